"""Lets files written by older versions of ssr-edge, with other field names, still be read."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, model_validator


class OlderNames(BaseModel):
    """A pydantic model that also accepts its fields' former names. older_names: former name -> current name."""

    older_names: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {cls.older_names.get(name, name): value for name, value in fields.items()}
