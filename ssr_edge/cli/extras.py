"""The error for a missing package: names the extra that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint


@contextmanager
def importing(extra: str) -> Iterator[None]:
    """Maps an ImportError inside the block to an error with the command that installs `extra`.

    Raises:
        RuntimeUnavailable: a package of the extra is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise RuntimeUnavailable(
            f"{error.name or error} is not installed",
            expected=f"the packages of the extra '{extra}'",
            next_step=install_hint(extra),
        ) from error
