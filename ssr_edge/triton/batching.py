"""Chooses what Triton's dynamic batcher aims at, from the times that `ssr-edge bench` measured; never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ssr_edge.bench.measure.schedule import QUERY, Scenario
from ssr_edge.bench.measure.statistics import Ratio, paired_speedup
from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.bundle.manifest import Manifest
from ssr_edge.common.errors import UsageError

# Less is not worth a request's waiting.
GAIN = 1.05
_BATCHES = (2, 4, 8, 16, 32)
# The row to take where two of them are of the same batch.
_SCENARIOS: tuple[Scenario, ...] = ("single-stream", "offline", "multi-stream")
# By batch, the time of one image in each round, in ms; the rounds of all batches are the same moments.
ImageTimes = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Batching:
    """preferred: batch sizes worth waiting for, rising; empty where none is. delay_us: longest wait of a request.

    why: in words.
    """

    preferred: tuple[int, ...]
    delay_us: int
    why: str


def check_same_bundle(bench: BenchFile, manifest: Manifest) -> None:
    """Refuses times of other models than the bundle's.

    Raises:
        UsageError: the bench.json is of another bundle.
    """
    measured = (bench.bundle.created, bench.bundle.checkpoint_sha256)
    if measured != (manifest.created, manifest.provenance.checkpoint_sha256):
        raise UsageError(
            f"the bench.json is of {bench.bundle.name}, written {bench.bundle.created}",
            expected=f"one of this bundle's models, {manifest.name}, written {manifest.created}",
            next_step="ssr-edge bench --bundle BUNDLE --json bench.json",
        )


def image_times(bench: BenchFile, engine: str) -> dict[int, list[float]]:
    """An engine's times of an image, in ms, by batch and round. engine: `tensorrt-int8`; empty where it has no rows.

    Times seen while warming up are not among them: they were not taken at the same moments. Nor are rows that a changed
    file leaves without a partner for each round, or with times that nothing takes.
    """
    rows: dict[int, list[float]] = {}
    for scenario in _SCENARIOS:
        for row in bench.results:
            # A query of multi-stream is one call only where the engine takes it in one.
            one_call = scenario != "multi-stream" or row.batch == QUERY
            if (row.engine, row.scenario) == (engine, scenario) and one_call and min(row.round_medians_ms) > 0:
                rows.setdefault(row.batch, [ms / row.batch for ms in row.round_medians_ms])
    rounds = len(rows.get(1, ()))
    return {batch: times for batch, times in rows.items() if len(times) == rounds}


def choose_batching(times: ImageTimes, least: int, most: int) -> Batching:
    """The batch sizes that make an image faster than every smaller one that was chosen, by 5 % and beyond noise.

    A request waits no longer than the largest of them saves an image: its time alone less its time in that batch, the
    median over rounds. Waiting longer would cost a request more than its company is worth. least, most: what the model
    takes.

    times: with a batch of 1; all of as many rounds.
    """
    chosen: list[int] = []
    alone = base = times[1]
    tried: list[str] = []
    for batch in sorted(batch for batch in times if max(2, least) <= batch <= most):
        gain = _gain(base, times[batch])
        if gain.low > 1 and gain.ratio >= GAIN:
            chosen.append(batch)
            base = times[batch]
        else:
            tried.append(f"batch {batch}: {gain.ratio:.2f} times [{gain.low:.2f}, {gain.high:.2f}]")
    if not chosen:
        return Batching(
            (), 0, f"no batch makes an image faster beyond noise ({'; '.join(tried) or 'only 1 was timed'})"
        )
    saved_ms = float(np.median(np.subtract(alone, base)))
    total = _gain(alone, base)
    return Batching(
        tuple(chosen),
        int(saved_ms * 1000),
        f"{np.median(alone):.3f} ms an image alone, {saved_ms:.3f} less in batches of {chosen[-1]}: "
        f"{total.ratio:.2f} times as fast [{total.low:.2f}, {total.high:.2f}]",
    )


def how_to_measure(bundle: str, runtime: str, precision: str) -> str:
    """The command that measures what `choose_batching` needs."""
    batches = " ".join(f"--batch {batch}" for batch in (1, *_BATCHES))
    return f"ssr-edge bench --bundle {bundle} --runtime {runtime} --precision {precision} {batches} --json bench.json"


def _gain(slower: Sequence[float], faster: Sequence[float]) -> Ratio:
    return paired_speedup([[ms] for ms in slower], [[ms] for ms in faster], seed=0)
