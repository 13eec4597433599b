"""`python tests/brief_command.py VERB ...`: the ssr-edge command with benchmarks of a second instead of a minute.

For tests that need a measurement but not its figures. Only the measurement budgets are reduced.
"""

from __future__ import annotations

import sys

from ssr_edge.cli.main import run


def shorten() -> None:
    """Shortens the budgets of `bench` and of the choice between engines, in this process."""
    from dataclasses import replace
    from unittest import mock

    from ssr_edge.bench.measure import schedule
    from ssr_export.engines import choose

    brief = replace(schedule.QUICK, warm_s=0.1, rounds_s=0.5, turn_s=0.02, batches=(1, 8), live_s=0.3)
    # Patched where they are used, because a change in the defining module would not affect the imported names.
    mock.patch.multiple("ssr_edge.bench.options", QUICK=brief, FULL=brief).start()
    choose.TIMING_BUDGET = brief
    schedule.MIN_ROUNDS = 2


if __name__ == "__main__":
    # Importing the benchmark takes a second; other verbs do not need it.
    if sys.argv[1:2] in (["bench"], ["build-engine"]):
        shorten()
    run()
