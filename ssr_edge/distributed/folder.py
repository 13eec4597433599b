"""The folder of a job's finished parts, from which a killed job resumes and the final table is merged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ssr_edge.common.errors import OutputError, UsageError
from ssr_edge.common.files import replacing
from ssr_edge.distributed.part_file import PartRecord, read_record, read_results
from ssr_edge.distributed.parts import Part
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.record import RunRecord
from ssr_edge.results.writers import writable

_JOB = "job.json"
_RESTART = "the same command without --resume  (starts over and deletes the finished parts)"


class JobRecord(BaseModel):
    """The options that results depend on. bundle: SHA-256 of its manifest. precision: None for automatic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    runtime: str
    precision: str | None
    resize: str
    part_size: int


class PartsFolder:
    """Finished parts of one job; each part file appears atomically. Call `begin` or `resume` once before other methods.

    devices: names of the devices that computed the parts seen so far.
    """

    def __init__(self, path: Path, job: JobRecord) -> None:
        self.path = path
        self._job = job
        self._first: PartRecord | None = None
        self.devices: set[str] = set()

    def begin(self) -> None:
        """Deletes the parts of an earlier job.

        Raises:
            UsageError: the folder can't be written.
        """
        with writable(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for old in self._files():
                old.unlink()
            with replacing(self.path / _JOB) as temporary:
                temporary.write_text(self._job.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def resume(self) -> None:
        """Continues an earlier job; without any parts, same as `begin`.

        Raises:
            UsageError: the parts are from a job with other options.
        """
        if not self._files():
            self.begin()
            return
        file = self.path / _JOB
        try:
            earlier = JobRecord.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"{file} is missing or damaged: the job of the parts in this folder is unknown",
                expected="the file as written",
                next_step=_RESTART,
            ) from error
        for name, ours in self._job:
            theirs = getattr(earlier, name)
            if theirs != ours:
                raise UsageError(
                    f"{self.path}: the finished parts have {_shown(name, theirs)}, this run has {_shown(name, ours)}",
                    expected="the command to resume, with the same bundle and options",
                    next_step=_RESTART,
                )

    def has(self, part: Part) -> bool:
        """Whether a part is finished.

        Raises:
            UsageError: the part of this number has other inputs, or another engine than the other parts.
        """
        record = read_record(self._file(part.number))
        if record is None:
            return False
        if record.inputs != part.digest:
            raise UsageError(
                f"{self._file(part.number)} has other images than here, where it starts with {part.inputs[0].source}",
                expected="the inputs of the job to resume, in the same order",
                next_step=_RESTART,
            )
        self._agree(part.number, record)
        return True

    def add(self, number: int, record: PartRecord, data: bytes) -> None:
        """Writes a finished part. data: from `to_parquet`.

        Raises:
            UsageError: it has another engine than the other parts. OutputError: it can't be written.
        """
        self._agree(number, record)
        try:
            with replacing(self._file(number)) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            raise OutputError(
                f"{self._file(number)} can't be written: {(error.strerror or str(error)).lower()}",
                expected="a writable folder with free space",
                next_step="free some space, then run the same command with --resume",
            ) from error

    def check_end(self, count: int) -> None:
        """Checks that the folder has no more than the job's `count` parts.

        Raises:
            UsageError: it has more.
        """
        if len(self._files()) > count:
            raise UsageError(
                f"{self.path} has {len(self._files()):,} parts, but the inputs now make {count:,}",
                expected="the inputs of the job to resume",
                next_step=_RESTART,
            )

    def record(self) -> RunRecord:
        """The run record for all parts; several devices are joined by semicolons."""
        assert self._first is not None
        facts = self._first.model_dump(exclude={"inputs", "device"})
        return RunRecord(**facts, device="; ".join(sorted(self.devices)))

    def results(self, count: int) -> Iterator[Prediction | Failure]:
        """The results of the first `count` parts, in the order of the inputs."""
        for number in range(count):
            yield from read_results(self._file(number))

    def _agree(self, number: int, record: PartRecord) -> None:
        first = self._first = self._first or record
        for name in ("bundle", "engine", "version"):
            if getattr(record, name) != getattr(first, name):
                raise UsageError(
                    f"part {number} has {name} {getattr(record, name)}, the other parts have {getattr(first, name)}",
                    expected="one engine for all parts: the same packages on every node",
                    next_step="run the same command with explicit --runtime and --precision",
                )
        self.devices.add(record.device)

    def _file(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.parquet"

    def _files(self) -> list[Path]:
        return list(self.path.glob("part-*.parquet"))


def _shown(name: str, value: object) -> str:
    return f"{name.replace('_', ' ')} {'auto' if value is None else value}"
