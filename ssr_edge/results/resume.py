"""Finds where a killed run stopped: what its files hold in common is kept, what lies behind is cut off.

Results stand in the order of the inputs, so the inputs are walked along with the lines of every output and of the list
of failures. The first input that has no line in one of the outputs is where to go on. Failures listed behind the last
common line are tried again, because no line says which of the inputs still to come they are.
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
    """A place in a file of results: `head` is the next record, None at the end; `kept` bytes lie before it."""

    def __init__(self, path: Path, records: Records) -> None:
        self.path = path
        self.head: Prediction | Failure | None = None
        self.kept = self.taken = 0
        self._records, self._behind_head = records, 0
        self._advance()

    def take(self) -> Prediction | Failure:
        """Moves behind the head and returns it."""
        taken = self.head
        assert taken is not None
        self.kept, self.taken = self._behind_head, self.taken + 1
        self._advance()
        return taken

    def is_at(self, item: Input) -> bool:
        """Whether the head is this input's; a failure is of a whole source."""
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
    """Whether any of an earlier run's outputs has a whole line of results.

    Raises:
        UsageError: a file is there that holds something else.
    """
    return any(record is not None for path in outputs for record, _ in islice(read_predictions(path), 2))


def go_on(outputs: Sequence[Path], failures: Path, inputs: Iterable[Input], count: Count) -> Iterator[Input]:
    """Cuts an earlier run's files to what they hold in common, and returns the inputs that are still to be done.

    outputs: CSV or JSON lines. failures: the list of inputs that failed; it may be missing. count: is called with every
    result that is kept, in order. Memory does not grow with the number of results.

    Raises:
        UsageError: an output is missing or holds something else, or the inputs are not those of the earlier run; the
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
            raise _other_inputs(done[found.index(False)], f"the inputs now go on with {item.source}")
    if all(cursor.head is not None for cursor in done):
        raise _other_inputs(done[0], "the inputs now end before it")
    return inputs


def _other_inputs(cursor: _Cursor, now: str) -> UsageError:
    assert cursor.head is not None
    return UsageError(
        f"after {cursor.taken:,} lines {cursor.path} goes on with {cursor.head.source}; {now}",
        expected="the inputs of the run that is to be resumed, in the same order",
        next_step="ssr-edge infer SOURCE -o OTHER.csv  (begins anew)",
    )


def _check_all_exist(outputs: Sequence[Path]) -> None:
    for path in outputs:
        if not path.exists():
            raise UsageError(
                f"{path} is missing, but the run's other output has results",
                expected="every output of the run that is to be resumed: " + ", ".join(map(str, outputs)),
                next_step="the same command with only the outputs that are there",
            )
