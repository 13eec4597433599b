"""Keeps account of the version folders that ssr-edge wrote, so that it touches no other and repeats none."""

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
    """The bundle's file that a version is made from, its SHA-256 there, and what was done to it, in words."""

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
    """The record of a model's folder; None where there is no folder, or an empty one.

    Raises:
        UsageError: the folder is not one that ssr-edge wrote.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        return Record.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError) as error:
        raise UsageError(
            f"{folder} was not written by ssr-edge, and writing there would overwrite it",
            expected=f"no {folder.name} in the repository, or a folder with the {RECORD} that ssr-edge writes",
            next_step="ssr-edge triton BUNDLE OTHER_REPOSITORY  (tritonserver takes several --model-repository)",
        ) from error


def current_version(folder: Path, record: Record, made_from: MadeFrom) -> int | None:
    """The newest version, if it is the one asked for and its files are as they were written."""
    newest = newest_version(folder)
    version = record.versions.get(newest)
    if version is None or version.made_from != made_from:
        return None
    return newest if hashes(folder / str(newest)) == version.files else None


def newest_version(folder: Path) -> int:
    """The highest number among a model's version folders, whoever wrote them; 0 where there is none."""
    numbers = [int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    return max(numbers, default=0)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder, by name."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
