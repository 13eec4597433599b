"""What every source of energy figures looks like to the benchmark."""

from __future__ import annotations

from typing import Protocol


class Unmeasurable(Exception):
    """A source that this machine lacks, or that fails; its text is the reason, and the way out where there is one."""


class Meter(Protocol):
    """Measures from `start` to `stop`, again and again. name: short, as in tables. what: what is inside, in words."""

    name: str
    what: str

    def start(self) -> None:
        """Begins to measure.

        Raises:
            Unmeasurable: the source fails.
        """

    def stop(self) -> float:
        """Ends what `start` began and returns its joules.

        Raises:
            Unmeasurable: the source fails.
        """
