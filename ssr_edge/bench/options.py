"""What a benchmark is asked to compare, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssr_edge.bench.measure.schedule import FULL, MLPERF, QUICK, Budget


@dataclass(frozen=True)
class BenchOptions:
    """What to compare. runtimes, precisions: the only ones; empty for all.

    batches: of the offline scenario, each a row; empty for each engine's best. fps: of the live scenario.
    peer: the vendor's tool to compare with. layers: time those of every engine, not of the baseline and the fastest.
    latency_only: the weights are random, so labels mean nothing. server: of a model to measure over the network, too.
    """

    folder: Path
    runtimes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    quick: bool = False
    mlperf: bool = False
    fps: float = 30.0
    peer: str | None = None
    layers: bool = False
    latency_only: bool = False
    server: str | None = None
    seed: int = 0

    @property
    def budget(self) -> Budget:
        """How long it may take."""
        return QUICK if self.quick else MLPERF if self.mlperf else FULL
