"""Writes a bundle's models into a Triton model repository. Idempotent."""

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
    """Writes or updates a folder for each model of the plan, after checking that all of them may be written.

    A model whose file differs from that of its newest version gets a new version folder; existing ones stay. bench:
    source of batch sizes and maximum wait; None leaves them out. log: receives each line of the report.

    Raises:
        UsageError: the repository is a bundle, a model's folder was not written by ssr-edge, or the bench.json belongs
            to another bundle.
        BundleError: a file of the bundle is missing or was modified. OutputError: the repository can't be written.
    """
    if (repository / MANIFEST).exists():
        raise UsageError(
            f"{repository} is a bundle",
            expected="a folder for Triton models only",
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
            expected="a writable folder on a disk with free space",
            next_step=f"ssr-edge triton {bundle.path} OTHER_REPOSITORY",
        ) from error


def _write_model(
    bundle: Bundle, folder: Path, model: ServedModel, record: Record, bench: BenchFile | None, log: Log
) -> None:
    # A plan has the same tensors as the model that it was built from.
    tensors = read_tensors(bundle.file(model_file(model.precision)))
    batching = _batching(model, bench)
    version, new = _write_version(bundle, folder, model, record)
    lines = [*runtime_messages(model), *batching_messages(bundle, model, batching, bench)]
    _write_text(folder / LABELS, "".join(f"{label}\n" for label in bundle.manifest.classes))
    _write_bytes(folder / "warmup" / WARM_UP, load(min(DEMO_IMAGES.glob("*.jpg"))).tobytes())
    # Last: a server that watches the repository loads the model when the configuration appears.
    _write_text(folder / CONFIG, as_text(model_config(model, tensors, batching), [*heading(bundle, model), *lines]))
    log(f"{model.name}/{version}: {model.source} with {model.runtime}, {'written' if new else 'unchanged'}")
    for line in lines:
        log(f"  {line}")


def _batching(model: ServedModel, bench: BenchFile | None) -> Batching | None:
    times = image_times(bench, model.bench_name) if bench is not None else {}
    least, most = batch_limits(model)
    return choose_batching(times, least, most) if 1 in times and most > 1 else None


def _write_version(bundle: Bundle, folder: Path, model: ServedModel, record: Record) -> tuple[int, bool]:
    """The number of the served version, and whether it is new."""
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
    """Yields the folder to write to: `place`, or if new, a temporary folder that is renamed to `place` at the end."""
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
    """Writes a file unless its content is unchanged: a watching server would reload the model for nothing."""
    if path.is_file() and path.read_bytes() == data:
        return
    with replacing(path) as temporary:
        temporary.write_bytes(data)
