from __future__ import annotations

import re

import pytest

from ssr_edge.common import errors
from ssr_edge.common.errors import SsrEdgeError


def drawn() -> dict[str, int]:
    """Names and exit codes in the tree of the module's docstring."""
    assert errors.__doc__ is not None
    return {name: int(code) for name, code in re.findall(r"^[├└─ ]*(\w+) +(\d)  ", errors.__doc__, re.MULTILINE)}


def test_the_drawn_tree_is_the_real_one() -> None:
    kinds: list[type[SsrEdgeError]] = [SsrEdgeError, *SsrEdgeError.__subclasses__()]
    real = {kind.__name__: kind.exit_code for kind in kinds}
    assert drawn() == real
    assert all(not kind.__subclasses__() for kind in SsrEdgeError.__subclasses__())


@pytest.mark.parametrize("kind", SsrEdgeError.__subclasses__())
def test_an_error_prints_found_expected_and_next(kind: type[SsrEdgeError]) -> None:
    error = kind("3 legs", expected="4 legs", next_step="ssr-edge doctor")
    assert str(error) == "3 legs\n  expected: 4 legs\n  next: ssr-edge doctor"
    assert (error.found, error.expected, error.next_step) == ("3 legs", "4 legs", "ssr-edge doctor")
