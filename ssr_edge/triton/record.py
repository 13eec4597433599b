"""Records the version folders written by ssr-edge, so that others are not touched and unchanged ones not rewritten."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ssr_edge.common.errors import UsageError
from ssr_edge.common.files import sha256_of

RECORD = "ssr-edge.json"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MadeFrom(_Entry):
    """Origin of a version. source: the bundle's file. sha256: of that file. form: see `form_of`."""

    source: str
    sha256: str
    form: str


class Version(_Entry):
    """A version folder. files: SHA-256 by name."""

    made_from: MadeFrom
    files: dict[str, str]


class Record(_Entry):
    """ssr-edge.json in a model's folder; Triton reads no such file. versions: by number."""

    written_by: Literal["ssr-edge"] = "ssr-edge"
    versions: dict[int, Version] = {}


def read_record(folder: Path) -> Record | None:
    """The record of a model's folder; None if the folder is missing or empty.

    Raises:
        UsageError: the folder was not written by ssr-edge.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        return Record.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{folder} was not written by ssr-edge and would be overwritten",
            expected=f"no {folder.name} in the repository, or a folder with ssr-edge's {RECORD}",
            next_step="ssr-edge triton BUNDLE OTHER_REPOSITORY  (tritonserver accepts several --model-repository)",
        ) from error


def current_version(folder: Path, record: Record, made_from: MadeFrom) -> int | None:
    """The newest version, if it has the requested origin and its files are unmodified; else None."""
    newest = newest_version(folder)
    version = record.versions.get(newest)
    if version is None or version.made_from != made_from:
        return None
    return newest if hashes(folder / str(newest)) == version.files else None


def newest_version(folder: Path) -> int:
    """The highest number among all version folders of a model, also those not written by ssr-edge; 0 if none."""
    numbers = [int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    return max(numbers, default=0)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by name."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
