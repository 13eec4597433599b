"""Common interface of the energy meters."""

from __future__ import annotations

from typing import Protocol


class Unmeasurable(Exception):
    """A missing or failing energy source; the message gives the reason and, if possible, a remedy."""


class Meter(Protocol):
    """Measures from `start` to `stop`, repeatedly. name: short, for tables. what: what the figure includes."""

    name: str
    what: str

    def start(self) -> None:
        """Starts measuring.

        Raises:
            Unmeasurable: the source fails.
        """

    def stop(self) -> float:
        """Stops measuring and returns the joules since `start`.

        Raises:
            Unmeasurable: the source fails.
        """
