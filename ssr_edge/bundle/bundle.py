"""Reads, verifies and writes bundles: the directory of models, engines and metadata that is shipped to a device."""

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
    """A bundle whose manifest was read and validated.

    Opening a bundle does not read its models or engines. Each of them is verified when `file` returns its path, so
    never build a path from `path` yourself to load a model: an engine contains code that its runtime executes.

    path: the bundle's folder, as it was given. manifest: the content of its manifest.json.
    """

    path: Path
    manifest: Manifest

    @staticmethod
    def open(path: Path) -> Bundle:
        """Opens the bundle in the folder `path`: reads manifest.json and validates it against the schema.

        Manifests written by older versions of ssr-edge under the same schema version are accepted. The other files are
        neither read nor verified; see `file`.

        Raises:
            BundleError: the folder has no manifest.json, or it is not valid JSON, lacks a field, has an unknown one, or
                has another schema version.
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
        """Opens the bundle in `bundles/` below the working directory whose manifest was written last.

        Bundles that failed the accuracy gate (`*.refused`) and unfinished ones (hidden folders) are ignored.

        Raises:
            BundleError: there is no bundle, or the newest can't be opened (see `open`).
        """
        found = [file for file in BUNDLES.glob(f"[!.]*/{MANIFEST}") if not file.parent.name.endswith(REFUSED)]
        manifests = sorted(found, key=lambda file: file.stat().st_mtime)
        if not manifests:
            raise BundleError(
                f"no bundle in {BUNDLES.resolve()}", expected="a bundle there, or --bundle DIR", next_step=_REBUILD
            )
        return Bundle.open(manifests[-1].parent)

    def file(self, name: str) -> Path:
        """Returns the path of one of the bundle's files after verifying its size and SHA-256 against the manifest.

        name: the file's path relative to the bundle, with forward slashes, as `manifest.files` lists it. A file that
        the manifest does not list is rejected even if it exists. The whole file is read on every call.

        Raises:
            BundleError: the manifest does not list the file, or the file is missing or was changed.
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
        """Whether the manifest lists a file of this name; does not check that it exists."""
        return any(entry.path == name for entry in self.manifest.files)

    def engine(self, runtime: str, precision: str) -> EngineEntry | None:
        """The most recently built engine for a runtime and a precision, or None. Its file is not verified.

        runtime: `openvino` or `tensorrt`. precision: one of PRECISIONS.
        """
        found = [e for e in self.manifest.engines if (e.runtime, e.precision) == (runtime, precision)]
        return found[-1] if found else None


def model_file(precision: str) -> str:
    """Name of the ONNX file that an engine of this precision is built from. bf16 is computed from the FP32 file."""
    return f"model.{'fp32' if precision == 'bf16' else precision}.onnx"


def refused_place(path: Path) -> Path:
    """The folder that receives a bundle meant for `path` if it fails the accuracy gate: `<path>.refused`."""
    return path.with_name(path.name + REFUSED)


@contextmanager
def writing_bundle(path: Path, copy_of: Path | None = None) -> Iterator[Path]:
    """Yields a temporary folder in the parent of `path`; when the block succeeds, it replaces `path`.

    copy_of: a bundle whose files are copied to the folder first; by default it is empty. On an error the folder is
    deleted and `path` is left as it was. On GateRefused it replaces `refused_place(path)` instead, so that the cause
    can be investigated.

    Raises:
        BundleError: one of the two places holds something other than a bundle, which would be deleted.
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
    """Writes manifest.json to a folder from `writing_bundle`. Sets `manifest.files`: each file's SHA-256 and size."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / MANIFEST)
    manifest.files = [
        FileEntry(path=p.relative_to(folder).as_posix(), sha256=sha256_of(p), size=p.stat().st_size) for p in files
    ]
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
