"""Opens, checks and replaces bundles: the directory that is shipped to a device (design section 3)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ssr_edge.bundle.manifest import SCHEMA_VERSION, EngineEntry, FileEntry, Manifest
from ssr_edge.common.errors import BundleError, GateRefused
from ssr_edge.common.files import sha256_of

MANIFEST = "manifest.json"
CALIBRATION = "calibration.json"
BUNDLES = Path("bundles")
REFUSED = ".refused"
_REBUILD = "ssr-edge build-engine"


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its folder and its manifest. Files are checked when they are asked for."""

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: Path) -> Bundle:
        """Reads a bundle's manifest.

        Raises:
            BundleError: no bundle there, or one of another schema.
        """
        file = path / MANIFEST
        if not file.is_file():
            raise BundleError(f"{path} is not a bundle", expected=f"a folder with a {MANIFEST}", next_step=_REBUILD)
        try:
            manifest = Manifest.model_validate_json(file.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise BundleError(
                f"{file}: {where}: {first['msg']}", expected=f"schema version {SCHEMA_VERSION}", next_step=_REBUILD
            ) from error
        if manifest.schema_version != SCHEMA_VERSION:
            raise BundleError(
                f"{file} has schema version {manifest.schema_version}",
                expected=f"version {SCHEMA_VERSION}, which this ssr-edge reads",
                next_step=_REBUILD,
            )
        return Bundle(path, manifest)

    @staticmethod
    def newest() -> Bundle:
        """The bundle in ./bundles whose manifest was written last; never one that the gate refused.

        Raises:
            BundleError: there is none.
        """
        found = [file for file in BUNDLES.glob(f"[!.]*/{MANIFEST}") if not file.parent.name.endswith(REFUSED)]
        manifests = sorted(found, key=lambda file: file.stat().st_mtime)
        if not manifests:
            raise BundleError(
                f"no bundle in {BUNDLES.resolve()}", expected="a bundle, or --bundle DIR", next_step=_REBUILD
            )
        return Bundle.open(manifests[-1].parent)

    def file(self, name: str) -> Path:
        """Path of one of the bundle's files, after its size and SHA-256 were found to be the manifest's.

        Raises:
            BundleError: the bundle has no such file, or the file is missing or was changed.
        """
        entry = next((entry for entry in self.manifest.files if entry.path == name), None)
        path = self.path / name
        if entry is None:
            raise BundleError(
                f"{self.path} has no {name}",
                expected="one of " + ", ".join(file.path for file in self.manifest.files),
                next_step=_REBUILD,
            )
        if not path.is_file():
            raise BundleError(f"{path} is missing", expected=f"{entry.size:,} bytes", next_step=_REBUILD)
        if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            raise BundleError(
                f"{path} was changed since the bundle was written",
                expected=f"SHA-256 {entry.sha256[:16]}..., {entry.size:,} bytes",
                next_step=f"{_REBUILD}  (an engine runs code, so a changed one is never loaded)",
            )
        return path

    def has(self, name: str) -> bool:
        """Whether the manifest lists a file."""
        return any(entry.path == name for entry in self.manifest.files)

    def engine(self, runtime: str, precision: str) -> EngineEntry | None:
        """The engine built last for a runtime and a precision."""
        found = [e for e in self.manifest.engines if (e.runtime, e.precision) == (runtime, precision)]
        return found[-1] if found else None


def model_file(precision: str) -> str:
    """Name of the ONNX file that a precision is computed from."""
    return f"model.{'fp32' if precision == 'bf16' else precision}.onnx"


def refused_place(path: Path) -> Path:
    """Where a bundle that the gate refused is kept: beside the place it was meant for."""
    return path.with_name(path.name + REFUSED)


@contextmanager
def writing_bundle(path: Path, copy_of: Path | None = None) -> Iterator[Path]:
    """Yields a folder beside `path` that takes its place if the block succeeds.

    copy_of: a bundle that the folder starts as a copy of; otherwise it starts empty. On an error the folder is removed
    and whatever stood at `path` stays as it was; on GateRefused the folder is moved to `refused_place(path)` instead,
    so that the refusal can be looked into.

    Raises:
        BundleError: something that is no bundle stands at one of the two places; it would be lost.
    """
    for place in (path, refused_place(path)):
        _check_replaceable(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
    working.chmod(0o755)
    try:
        if copy_of is not None:
            shutil.copytree(copy_of, working, dirs_exist_ok=True)
        yield working
        _move(working, path)
    except GateRefused:
        _move(working, refused_place(path))
        raise
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _move(working: Path, place: Path) -> None:
    previous = working.with_suffix(".previous")
    if place.exists():
        os.replace(place, previous)
    os.replace(working, place)
    shutil.rmtree(previous, ignore_errors=True)


def _check_replaceable(place: Path) -> None:
    if place.exists() and not (place / MANIFEST).is_file() and not _is_empty_folder(place):
        raise BundleError(
            f"{place} is not a bundle, and writing one there would delete it",
            expected="a new folder, or a bundle to replace",
            next_step=f"{_REBUILD} --bundle OTHER_FOLDER",
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes manifest.json into a folder from `writing_bundle`, listing every other file in it with hash and size."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    manifest.files = [
        FileEntry(path=p.relative_to(folder).as_posix(), sha256=sha256_of(p), size=p.stat().st_size) for p in files
    ]
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
