"""Says which extra to install when a stage's packages are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint


@contextmanager
def importing(extra: str) -> Iterator[None]:
    """Turns an ImportError inside the block into the command that installs `extra`.

    Raises:
        RuntimeUnavailable: a package of the extra is missing.
    """
    try:
        yield
    except ImportError as error:
        raise RuntimeUnavailable(
            f"{error.name or error} is not installed",
            expected=f"the packages of the extra '{extra}'",
            next_step=install_hint(extra),
        ) from error
