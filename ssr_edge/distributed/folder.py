"""The folder of a job's finished parts: what a killed job goes on from, and what the one table is made of."""

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
_ANEW = "the same command without --resume  (begins anew and deletes the finished parts)"


class JobRecord(BaseModel):
    """What a command asks for, as far as results depend on it. bundle: SHA-256 of its manifest. None: not said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: str
    runtime: str
    precision: str | None
    resize: str
    part_size: int


class PartsFolder:
    """Finished parts of one job; a part appears in one step, whole. Call `begin` or `resume` once before anything else.

    devices: those that computed the parts met so far, in words.
    """

    def __init__(self, path: Path, job: JobRecord) -> None:
        self.path = path
        self._job = job
        self._first: PartRecord | None = None
        self.devices: set[str] = set()

    def begin(self) -> None:
        """Deletes an older job's parts.

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
        """Goes on with an older job's parts; where there are none this is `begin`.

        Raises:
            UsageError: they are of a job that asked for something else.
        """
        if not self._files():
            self.begin()
            return
        file = self.path / _JOB
        try:
            earlier = JobRecord.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise UsageError(
                f"{file} does not say what made the parts beside it", expected="the file as written", next_step=_ANEW
            ) from error
        for name, ours in self._job:
            theirs = getattr(earlier, name)
            if theirs != ours:
                raise UsageError(
                    f"{self.path}: the finished parts are of {_said(name, theirs)}, this run has {_said(name, ours)}",
                    expected="the command that is to be resumed, with the same bundle and options",
                    next_step=_ANEW,
                )

    def has(self, part: Part) -> bool:
        """Whether a part is finished.

        Raises:
            UsageError: the part of this number is of other inputs, or was made with another engine than others.
        """
        record = read_record(self._file(part.number))
        if record is None:
            return False
        if record.inputs != part.digest:
            raise UsageError(
                f"{self._file(part.number)} is of other images than those that begin with {part.inputs[0].source}",
                expected="the inputs of the job that is to be resumed, in the same order",
                next_step=_ANEW,
            )
        self._agree(part.number, record)
        return True

    def add(self, number: int, record: PartRecord, data: bytes) -> None:
        """Keeps a finished part. data: from `to_parquet`.

        Raises:
            UsageError: it was made with another engine than the others. OutputError: it can't be written.
        """
        self._agree(number, record)
        try:
            with replacing(self._file(number)) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            raise OutputError(
                f"{self._file(number)} can't be written: {(error.strerror or str(error)).lower()}",
                expected="room for it",
                next_step="make room, then the same command with --resume",
            ) from error

    def check_end(self, count: int) -> None:
        """Makes sure that a job of `count` parts has no more of them here.

        Raises:
            UsageError: it has.
        """
        if len(self._files()) > count:
            raise UsageError(
                f"{self.path} has {len(self._files()):,} parts, the inputs now end after {count:,}",
                expected="the inputs of the job that is to be resumed",
                next_step=_ANEW,
            )

    def record(self) -> RunRecord:
        """What made the results of all parts; several devices are named one after the other."""
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
                    f"part {number} was made with {name} {getattr(record, name)}, others with {getattr(first, name)}",
                    expected="one engine for one table: the same packages on every node",
                    next_step="the same command with --runtime and --precision said aloud",
                )
        self.devices.add(record.device)

    def _file(self, number: int) -> Path:
        return self.path / f"part-{number:06d}.parquet"

    def _files(self) -> list[Path]:
        return list(self.path.glob("part-*.parquet"))


def _said(name: str, value: object) -> str:
    return f"{name.replace('_', ' ')} {'auto' if value is None else value}"
