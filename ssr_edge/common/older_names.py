"""Reads files whose fields had other names in an older version of ssr-edge."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, model_validator


class OlderNames(BaseModel):
    """A pydantic model that also accepts the names its fields had before. older_names: old name -> today's."""

    older_names: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {cls.older_names.get(name, name): value for name, value in fields.items()}
