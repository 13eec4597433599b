"""Compares engines with the vendor's benchmark tool on the same file, taking turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssr_edge.bench.measure.process import Workers
from ssr_edge.bench.measure.rounds import take_turn
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.statistics import Ratio, paired_speedup
from ssr_edge.bench.measure.vendor_tools.base import VendorTimes, VendorTool
from ssr_edge.bench.measure.vendor_tools.choose import VENDOR_TOOLS, open_vendor_tool
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import PRECISIONS
from ssr_edge.common.errors import SsrEdgeError
from ssr_edge.common.progress import progress

# The tool loads and warms up in every turn, so its turns are long. Ours are as long, split before and after.
TURNS, TURN_S = 6, 3.0


@dataclass(frozen=True)
class BesideVendorTool:
    """An engine compared with a tool, single-stream. ratio: our time / the tool's, paired by turn; 1.02 is 2 % slower.

    what: what the tool's time includes. ours_ms, vendor_ms: medians over turns.
    """

    engine: str
    tool: str
    version: str
    command: str
    what: str
    ours_ms: float
    vendor_ms: float
    ratio: Ratio


def run_vendor_tool(
    workers: Workers, name: str | None, bundle: Bundle, paths: Sequence[Path], seed: int
) -> tuple[list[BesideVendorTool], dict[str, str]]:
    """Compares every running engine of the tool's runtime with it; returns rows and failures by name.

    name: one of VENDOR_TOOLS; None compares nothing.
    """
    rows: list[BesideVendorTool] = []
    reasons: dict[str, str] = {}
    if name is None:
        return rows, reasons
    runtime = VENDOR_TOOLS[name]
    engines = [f"{runtime}-{precision}" for precision in PRECISIONS if f"{runtime}-{precision}" in workers.running]
    if not engines:
        reasons[name] = f"no running {runtime} engine to compare with (next: ssr-edge doctor)"
    for engine in engines:
        try:
            tool = open_vendor_tool(name, bundle, engine.removeprefix(f"{runtime}-"))
            row = _turns(workers, engine, tool, paths, seed)
        except SsrEdgeError as error:
            reasons[f"{name} for {engine}"] = f"{error.found} (next: {error.next_step})"
            continue
        if row is not None:
            rows.append(row)
    return rows, reasons


def _turns(
    workers: Workers, engine: str, tool: VendorTool, paths: Sequence[Path], seed: int
) -> BesideVendorTool | None:
    task = Task(engine, "single-stream", 1)
    ours: list[list[float]] = []
    theirs: list[VendorTimes] = []
    with progress(f"{tool.tool} and {engine}, turn", TURNS) as advance:
        calls = 1
        for _ in range(TURNS):
            before = take_turn(workers, task, calls, paths)
            theirs.append(tool.turn(TURN_S))
            calls = max(1, round(TURN_S * 500 / theirs[-1].median_ms))
            after = take_turn(workers, task, calls, paths)
            if before is None or after is None:
                return None
            # In the first turn, the single call before the tool only determines how many calls fit.
            ours.append(after if len(before) == 1 else before + after)
            advance(1, "")
    vendor_ms = [[found.median_ms if VENDOR_TOOLS[tool.tool] == "openvino" else found.mean_call_ms] for found in theirs]
    return BesideVendorTool(
        engine=engine,
        tool=tool.tool,
        version=theirs[0].version,
        command=theirs[0].command,
        what=tool.what,
        ours_ms=float(np.median([np.median(turn) for turn in ours])),
        vendor_ms=float(np.median(vendor_ms)),
        ratio=paired_speedup(ours, vendor_ms, seed),
    )
