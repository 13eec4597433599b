"""Progress of long operations: a bar on a terminal, a line of text every 20 seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Takes one line of progress text, such as typer.echo.
Log = Callable[[str], None]
# advance(steps, note): call it after each step; the note is shown after the bar.
Advance = Callable[[int, str], None]
_PLAIN_EVERY_SECONDS = 20.0


@contextmanager
def progress(title: str, total: int | None, quiet: bool = False) -> Iterator[Advance]:
    """Yields `advance(steps, note)`. total: number of steps, None if unknown. quiet: shows nothing.

    Progress goes to stderr, so that stdout contains only results.
    """
    if quiet:
        yield lambda steps, note: None
    elif sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
    else:
        yield _lines(title, total)


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=total, note="")
        yield lambda steps, note: bars.update(task, advance=steps, note=note)


def _lines(title: str, total: int | None) -> Advance:
    done = 0
    started = shown = time.monotonic()

    def advance(steps: int, note: str) -> None:
        nonlocal done, shown
        done += steps
        now = time.monotonic()
        if now - shown >= _PLAIN_EVERY_SECONDS:
            shown = now
            of = "" if total is None else f"/{total}"
            print(f"{title} {done}{of} after {now - started:.0f} s {note}".rstrip(), file=sys.stderr, flush=True)

    return advance
