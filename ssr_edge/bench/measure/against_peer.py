"""Sets engines against the vendor's own tool on the same file, in turns, one awake at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssr_edge.bench.measure.measure import take_turn
from ssr_edge.bench.measure.peers.base import Peer, PeerTimes
from ssr_edge.bench.measure.peers.choose import PEERS, open_peer
from ssr_edge.bench.measure.process import Workers
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.statistics import Ratio, paired_speedup
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import PRECISIONS
from ssr_edge.common.errors import SsrEdgeError
from ssr_edge.common.progress import progress

# The tool loads and warms up in each turn, so its turns are long; ours is as long, in pieces around it.
TURNS, TURN_S = 6, 3.0


@dataclass(frozen=True)
class AgainstPeer:
    """An engine beside a tool, single-stream. ratio: our time over the tool's, paired by turn; 1.02 is 2 % slower.

    what: inside the tool's time, in words. ours_ms, peer_ms: medians over turns.
    """

    engine: str
    tool: str
    version: str
    command: str
    what: str
    ours_ms: float
    peer_ms: float
    ratio: Ratio


def run_against_peer(
    workers: Workers, name: str | None, bundle: Bundle, paths: Sequence[Path], seed: int
) -> tuple[list[AgainstPeer], dict[str, str]]:
    """Every running engine of the tool's runtime beside it, and why some are not. name: of PEERS; None for none."""
    rows: list[AgainstPeer] = []
    reasons: dict[str, str] = {}
    if name is None:
        return rows, reasons
    runtime = PEERS[name]
    engines = [f"{runtime}-{precision}" for precision in PRECISIONS if f"{runtime}-{precision}" in workers.running]
    if not engines:
        reasons[name] = f"no engine of {runtime} runs here to stand beside it (next: ssr-edge doctor)"
    for engine in engines:
        try:
            peer = open_peer(name, bundle, engine.removeprefix(f"{runtime}-"))
            row = _turns(workers, engine, peer, paths, seed)
        except SsrEdgeError as error:
            reasons[f"{name} beside {engine}"] = f"{error.found} (next: {error.next_step})"
            continue
        if row is not None:
            rows.append(row)
    return rows, reasons


def _turns(workers: Workers, engine: str, peer: Peer, paths: Sequence[Path], seed: int) -> AgainstPeer | None:
    task = Task(engine, "single-stream", 1)
    ours: list[list[float]] = []
    theirs: list[PeerTimes] = []
    with progress(f"{peer.tool} and {engine}, turn", TURNS) as advance:
        calls = 1
        for _ in range(TURNS):
            before = take_turn(workers, task, calls, paths)
            theirs.append(peer.turn(TURN_S))
            calls = max(1, round(TURN_S * 500 / theirs[-1].median_ms))
            after = take_turn(workers, task, calls, paths)
            if before is None or after is None:
                return None
            # The first turn's call before the tool's only says how many fit.
            ours.append(after if len(before) == 1 else before + after)
            advance(1, "")
    peer_ms = [[found.median_ms if PEERS[peer.tool] == "openvino" else found.mean_call_ms] for found in theirs]
    return AgainstPeer(
        engine=engine,
        tool=peer.tool,
        version=theirs[0].version,
        command=theirs[0].command,
        what=peer.what,
        ours_ms=float(np.median([np.median(turn) for turn in ours])),
        peer_ms=float(np.median(peer_ms)),
        ratio=paired_speedup(ours, peer_ms, seed),
    )
