"""An option whose value may be left out, which typer does not know."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

_RAY = "--ray"
# HOST:PORT; anything else behind the option is another argument.
_ADDRESS = re.compile(r"[^/\\]+:\d+")


class WithBareRay(TyperCommand):
    """Reads `--ray` without an address behind it as an empty address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        given: list[str] = []
        for place, argument in enumerate(args, start=1):
            bare = argument == _RAY and not _ADDRESS.fullmatch("".join(args[place : place + 1]))
            given.append(f"{_RAY}=" if bare else argument)
        return super().parse_args(ctx, given)
