"""Receives every result of a run: writes it to each output, counts and groups it, and lists failures."""

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
    """A run's outputs and counts. Call `begin` or `resume` once, then `add` every result in the order of the inputs.

    outputs: files whose suffix determines the format (.csv, .jsonl or .parquet), or `-` for CSV on stdout. group_by:
    see Groups. failed: number of failures; failures: the first SHOWN of them. The folder of the first file also
    receives `<name>.failed.csv` (if there were failures), `<name>.by-group.csv` (with group_by) and `<name>.run.json`
    (see RunRecord). Memory does not grow with the number of results.

    Raises:
        UsageError: an unknown suffix, or an invalid regular expression. RuntimeUnavailable: pyarrow is not installed.
    """

    def __init__(self, outputs: list[str], group_by: str | None = None) -> None:
        check_outputs(outputs)
        self.groups = None if group_by is None else Groups(group_by)
        # Every other file of the run is written next to the first output, with its stem.
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
        """Whether a killed run with these outputs can be resumed: not with stdout or Parquet."""
        return all(Path(output).suffix.lower() in LINES for output in self._outputs)

    def begin(self, run: RunRecord) -> None:
        """Opens every output, overwriting earlier files.

        Raises:
            UsageError: an output can't be written.
        """
        self._open(goes_on=False)
        # After the outputs are emptied: a run killed before this leaves the old record, but no results it could
        # misdescribe.
        with writable(self.run_file):
            for old in (self.run_file, self.failures_file, self.groups_file):
                old.unlink(missing_ok=True)
            if self.can_be_resumed:
                run.write(self.run_file)

    def resume(
        self, run: RunRecord, inputs: Iterable[Input], seen: Callable[[Prediction | Failure], None] | None = None
    ) -> Iterator[Input]:
        """Counts the results of an earlier run, truncates its outputs to them, and returns the remaining inputs.

        Without earlier results, this is `begin`. seen: called with each earlier result.

        Raises:
            UsageError: the outputs can't be resumed, or belong to other inputs, another bundle or another engine.
        """
        if not self.can_be_resumed:
            raise UsageError(
                "--resume does not support " + " and ".join(self._outputs),
                expected=f"outputs that end in {' or '.join(LINES)}; Parquet files and stdout can't be appended to",
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
            OutputError: an output can no longer be written. BrokenPipeError: the reader of stdout closed it.
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
        """Mean confidence of the images with this label."""
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
            # An error inside the block takes precedence over the error on closing the files.
            if kind is None:
                raise _full(failed) from failed


def _full(error: OSError) -> OutputError:
    return OutputError(
        f"the results can no longer be written: {(error.strerror or str(error)).lower()}",
        expected="free disk space, within the limits on file size",
        next_step="free disk space, then the same command with --resume",
    )
