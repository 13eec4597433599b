"""Writes a bundle's models into a Triton model repository; the same bundle again changes nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.bundle.bundle import MANIFEST, Bundle, model_file
from ssr_edge.common.errors import OutputError, UsageError
from ssr_edge.common.files import replacing
from ssr_edge.common.progress import Log
from ssr_edge.demo import DEMO_IMAGES
from ssr_edge.images.preprocess import load
from ssr_edge.triton.batching import Batching, check_same_bundle, choose_batching, image_times
from ssr_edge.triton.config import CONFIG, LABELS, WARM_UP, as_text, batch_limits, model_config
from ssr_edge.triton.files import form_of, write_files
from ssr_edge.triton.messages import batching_messages, heading, runtime_messages
from ssr_edge.triton.models import Plan, ServedModel
from ssr_edge.triton.record import (
    RECORD,
    MadeFrom,
    Record,
    Version,
    current_version,
    hashes,
    newest_version,
    read_record,
)
from ssr_edge.triton.tensors import read_tensors


def write_repository(bundle: Bundle, repository: Path, plan: Plan, bench: BenchFile | None, log: Log) -> None:
    """Writes or refreshes a folder for each of the plan's models; nothing before all of them were found writable.

    A model whose file is another than that of its newest version gets a new version folder; those that are there stay.
    bench: where the batches and waiting times come from; None leaves them out. say: is given each line of the account.

    Raises:
        UsageError: the repository is a bundle, a folder of a model's name is not ssr-edge's, or the bench.json is of
            another bundle.
        BundleError: a file of the bundle is missing or was changed. OutputError: the repository can't be written.
    """
    if (repository / MANIFEST).exists():
        raise UsageError(
            f"{repository} is a bundle",
            expected="a folder for Triton's models alone",
            next_step=f"ssr-edge triton {bundle.path} model_repository",
        )
    if bench is not None:
        check_same_bundle(bench, bundle.manifest)
    records = {model.name: read_record(repository / model.name) for model in plan.models}
    try:
        repository.mkdir(parents=True, exist_ok=True)
        for model in plan.models:
            record = records[model.name]
            with _folder(repository / model.name, new=record is None) as folder:
                _write_model(bundle, folder, model, record or Record(), bench, log)
    except OSError as error:
        raise OutputError(
            f"{repository} can't be written: {error.strerror or error}",
            expected="a folder on a disk with room that you may write to",
            next_step=f"ssr-edge triton {bundle.path} OTHER_REPOSITORY",
        ) from error


def _write_model(
    bundle: Bundle, folder: Path, model: ServedModel, record: Record, bench: BenchFile | None, log: Log
) -> None:
    # A plan says no more of its tensors than the model that it was built from.
    tensors = read_tensors(bundle.file(model_file(model.precision)))
    batching = _batching(model, bench)
    version, new = _write_version(bundle, folder, model, record)
    words = [*runtime_messages(model), *batching_messages(bundle, model, batching, bench)]
    _write_text(folder / LABELS, "".join(f"{label}\n" for label in bundle.manifest.classes))
    _write_bytes(folder / "warmup" / WARM_UP, load(min(DEMO_IMAGES.glob("*.jpg"))).tobytes())
    # Last: a server that watches the repository loads what the configuration names.
    _write_text(folder / CONFIG, as_text(model_config(model, tensors, batching), [*heading(bundle, model), *words]))
    log(f"{model.name}/{version}: {model.source} with {model.runtime}, {'written' if new else 'unchanged'}")
    for line in words:
        log(f"  {line}")


def _batching(model: ServedModel, bench: BenchFile | None) -> Batching | None:
    times = image_times(bench, model.bench_name) if bench is not None else {}
    least, most = batch_limits(model)
    return choose_batching(times, least, most) if 1 in times and most > 1 else None


def _write_version(bundle: Bundle, folder: Path, model: ServedModel, record: Record) -> tuple[int, bool]:
    """The number of the version that is served, and whether it is new."""
    entry = next(entry for entry in bundle.manifest.files if entry.path == model.source)
    made_from = MadeFrom(source=model.source, sha256=entry.sha256, form=form_of(model))
    current = current_version(folder, record, made_from)
    if current is not None:
        return current, False
    number = newest_version(folder) + 1
    with _folder(folder / str(number), new=True) as version:
        write_files(bundle, model, version)
        files = hashes(version)
    versions = record.versions | {number: Version(made_from=made_from, files=files)}
    _write_text(folder / RECORD, Record(versions=versions).model_dump_json(indent=2) + "\n")
    return number, True


@contextmanager
def _folder(place: Path, *, new: bool) -> Iterator[Path]:
    """Yields a folder to write in: `place` itself, or where it is new one beside it that takes its place at the end."""
    if not new:
        yield place
        return
    working = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".part", dir=place.parent))
    working.chmod(0o755)
    try:
        yield working
        os.replace(working, place)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _write_text(path: Path, text: str) -> None:
    _write_bytes(path, text.encode())


def _write_bytes(path: Path, data: bytes) -> None:
    """Writes a file unless it says so already: a watching server would load the model anew for nothing."""
    if path.is_file() and path.read_bytes() == data:
        return
    with replacing(path) as temporary:
        temporary.write_bytes(data)
