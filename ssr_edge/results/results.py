"""Takes every result of a run: writes it to each output, counts it, groups it, and lists the failures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TextIO

from typing_extensions import Self

from ssr_edge.common.errors import OutputError, UsageError
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.groups import Groups
from ssr_edge.results.readers import FAILURE_COLUMNS
from ssr_edge.results.record import RunRecord
from ssr_edge.results.resume import go_on, holds_results
from ssr_edge.results.rows import write_row
from ssr_edge.results.writers import LINES, STDOUT, Writer, check_outputs, open_lines, open_writer, writable
from ssr_edge.sources.inputs import Input

SHOWN = 10


class Results:
    """A run's outputs and sums. Call `begin` or `resume` once, then `add` every result, in the order of the inputs.

    outputs: files whose suffix says the format, `-` is CSV on stdout. group_by: see Groups. failures: the first SHOWN
    of the `failed`. Beside the first file stand `<name>.failed.csv` (if something failed), `<name>.by-group.csv` (with
    groups) and `<name>.run.json`: what a resumed run must have in common. Memory does not grow with the results.

    Raises:
        UsageError: a suffix that says no known format, or no regular expression. RuntimeUnavailable: no pyarrow.
    """

    def __init__(self, outputs: list[str], group_by: str | None = None) -> None:
        check_outputs(outputs)
        self.groups = None if group_by is None else Groups(group_by)
        # Whatever a run writes besides its outputs stands beside the first and begins with its name.
        self.first_output = Path(next((output for output in outputs if output != STDOUT), "predictions.csv"))
        self.failures_file = self.first_output.with_suffix(".failed.csv")
        self.groups_file = self.first_output.with_suffix(".by-group.csv")
        self.run_file = self.first_output.with_suffix(".run.json")
        self.counts: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.failed = 0
        self.failures: list[Failure] = []
        self._outputs = outputs
        self._files = ExitStack()
        self._writers: list[Writer] = []
        self._failures: TextIO | None = None
        self._confidence: dict[str, float] = defaultdict(float)

    @property
    def can_be_resumed(self) -> bool:
        """Whether a killed run's outputs can be gone on with: neither stdout nor Parquet can."""
        return all(Path(output).suffix.lower() in LINES for output in self._outputs)

    def begin(self, run: RunRecord) -> None:
        """Opens every output anew.

        Raises:
            UsageError: an output can't be written.
        """
        self._open(goes_on=False)
        # Only now: whoever is killed before has the old record, but no results that it could be wrong about.
        with writable(self.run_file):
            for old in (self.run_file, self.failures_file, self.groups_file):
                old.unlink(missing_ok=True)
            if self.can_be_resumed:
                run.write(self.run_file)

    def resume(
        self, run: RunRecord, inputs: Iterable[Input], seen: Callable[[Prediction | Failure], None] | None = None
    ) -> Iterator[Input]:
        """Counts what an earlier run did, cuts its outputs to that, and returns the inputs that are still to be done.

        Where there are no results yet this is `begin`. seen: is given each of the earlier results, too.

        Raises:
            UsageError: the outputs can't be resumed, or are of other inputs, another bundle or another engine.
        """
        if not self.can_be_resumed:
            raise UsageError(
                "--resume can't go on with " + " and ".join(self._outputs),
                expected="outputs that end in " + " or ".join(LINES) + "; a Parquet file or a stream can't be added to",
                next_step="ssr-edge infer SOURCE -o predictions.csv --resume",
            )
        paths = [Path(output) for output in self._outputs]
        if not holds_results(paths):
            self.begin(run)
            return iter(inputs)
        run.check_is(self.run_file)

        def count(result: Prediction | Failure) -> None:
            self._count(result)
            if seen is not None:
                seen(result)

        left = go_on(paths, self.failures_file, inputs, count)
        self._open(goes_on=True)
        return left

    def add(self, result: Prediction | Failure) -> None:
        """Writes one result.

        Raises:
            OutputError: an output takes no more. BrokenPipeError: the reader of stdout went away.
        """
        try:
            if isinstance(result, Failure):
                self._list(result)
            else:
                for writer in self._writers:
                    writer.write(result)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _full(error) from error
        self._count(result)

    def mean_confidence(self, label: str) -> float:
        """Mean confidence of the images given a label."""
        return self._confidence[label] / self.counts[label]

    def _count(self, result: Prediction | Failure) -> None:
        if isinstance(result, Failure):
            self.failed += 1
            self.failures += [result] if self.failed <= SHOWN else []
            return
        self.counts[result.label] += 1
        self.flags.update(result.flags)
        self._confidence[result.label] += result.confidence
        if self.groups is not None:
            self.groups.add(result)

    def _list(self, failure: Failure) -> None:
        if self._failures is None:
            self._failures = self._files.enter_context(open_lines(self.failures_file, goes_on=True))
            if self._failures.tell() == 0:
                write_row(self._failures, FAILURE_COLUMNS)
        write_row(self._failures, [failure.source, failure.reason])

    def _open(self, goes_on: bool) -> None:
        self._writers = [open_writer(output, goes_on, self._files) for output in self._outputs]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._files.close()
            if self.groups is not None and self._writers:
                self.groups.write(self.groups_file)
        except OSError as failed:
            # What ended the run says more than that its files could not be closed either.
            if kind is None:
                raise _full(failed) from failed


def _full(error: OSError) -> OutputError:
    return OutputError(
        f"the results can't be written any further: {(error.strerror or str(error)).lower()}",
        expected="room for them",
        next_step="make room, then the same command with --resume",
    )
