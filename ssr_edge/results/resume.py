"""Finds where a killed run stopped: results that all its files contain are kept, the rest is truncated.

Results are in the order of the inputs, so the inputs are compared one by one with the lines of every output and of the
list of failures. The run resumes at the first input without a line in one of the outputs. Failures listed after the
last common line are retried, because their lines do not identify which of the remaining inputs they belong to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.readers import Records, read_failures, read_predictions
from ssr_edge.sources.inputs import Input

Count = Callable[[Prediction | Failure], None]


class _Cursor:
    """A position in a file of results: `head` is the next record, None at the end; `kept` bytes precede it."""

    def __init__(self, path: Path, records: Records) -> None:
        self.path = path
        self.head: Prediction | Failure | None = None
        self.kept = self.taken = 0
        self._records, self._behind_head = records, 0
        self._advance()

    def take(self) -> Prediction | Failure:
        """Returns the head and advances past it."""
        taken = self.head
        assert taken is not None
        self.kept, self.taken = self._behind_head, self.taken + 1
        self._advance()
        return taken

    def is_at(self, item: Input) -> bool:
        """Whether the head belongs to this input; a failure has no frame number and matches by source alone."""
        head = self.head
        if head is None or head.source != item.source:
            return False
        return isinstance(head, Failure) or head.frame == item.frame

    def _advance(self) -> None:
        self.head, self._behind_head = next(self._records, (None, 0))
        if self.head is None and self._behind_head:  # the header
            self.kept = self._behind_head
            self.head, self._behind_head = next(self._records, (None, 0))


def holds_results(outputs: Sequence[Path]) -> bool:
    """Whether any of an earlier run's outputs has a complete line of results.

    Raises:
        UsageError: a file exists but contains something else.
    """
    return any(record is not None for path in outputs for record, _ in islice(read_predictions(path), 2))


def go_on(outputs: Sequence[Path], failures: Path, inputs: Iterable[Input], count: Count) -> Iterator[Input]:
    """Truncates an earlier run's files to their common results, and returns the remaining inputs.

    outputs: CSV or JSON lines. failures: the list of inputs that failed; it may be missing. count: called with every
    result that is kept, in order. Memory does not grow with the number of results.

    Raises:
        UsageError: an output is missing or contains something else, or the inputs differ from the earlier run's. The
            files are left as they were.
    """
    with ExitStack() as files:
        done = [_Cursor(path, files.enter_context(closing(read_predictions(path)))) for path in outputs]
        failed = _Cursor(failures, files.enter_context(closing(read_failures(failures))))
        if any(cursor.head is not None for cursor in done):
            _check_all_exist(outputs)
        left = _walk(done, failed, iter(inputs), count)
    for cursor in (*done, failed):
        if cursor.path.exists():
            os.truncate(cursor.path, cursor.kept)
    if not failed.taken:
        failures.unlink(missing_ok=True)
    return left


def _walk(done: list[_Cursor], failed: _Cursor, inputs: Iterator[Input], count: Count) -> Iterator[Input]:
    for item in inputs:
        if any(cursor.head is None for cursor in done):
            return chain([item], inputs)
        found = [cursor.is_at(item) for cursor in done]
        if all(found):
            result, *_ = [cursor.take() for cursor in done]
            count(result)
        elif failed.is_at(item):
            count(failed.take())
        else:
            raise _other_inputs(done[found.index(False)], f"the next input is {item.source}")
    if all(cursor.head is not None for cursor in done):
        raise _other_inputs(done[0], "there are no more inputs")
    return inputs


def _other_inputs(cursor: _Cursor, now: str) -> UsageError:
    assert cursor.head is not None
    return UsageError(
        f"after {cursor.taken:,} lines, {cursor.path} continues with {cursor.head.source}, but {now}",
        expected="the inputs of the run to resume, in the same order",
        next_step="ssr-edge infer SOURCE -o OTHER.csv  (starts a new run)",
    )


def _check_all_exist(outputs: Sequence[Path]) -> None:
    for path in outputs:
        if not path.exists():
            raise UsageError(
                f"{path} is missing, but the run's other output has results",
                expected="every output of the run to resume: " + ", ".join(map(str, outputs)),
                next_step="the same command with only the outputs that exist",
            )
