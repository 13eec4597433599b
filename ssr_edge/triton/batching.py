"""Chooses the settings of Triton's dynamic batcher, only from times measured by `ssr-edge bench`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ssr_edge.bench.measure.schedule import QUERY, Scenario
from ssr_edge.bench.measure.statistics import Ratio, paired_speedup
from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.bundle.manifest import Manifest
from ssr_edge.common.errors import UsageError

# A smaller gain is not worth a request's wait.
GAIN = 1.05
_BATCHES = (2, 4, 8, 16, 32)
# Preference order if several rows have the same batch.
_SCENARIOS: tuple[Scenario, ...] = ("single-stream", "offline", "multi-stream")
# Batch -> time per image in each round, in ms. A round of all batches is measured at the same time.
ImageTimes = Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Batching:
    """preferred: batch sizes worth waiting for, ascending; may be empty. delay_us: maximum wait of a request.

    why: the reason, as a sentence.
    """

    preferred: tuple[int, ...]
    delay_us: int
    why: str


def check_same_bundle(bench: BenchFile, manifest: Manifest) -> None:
    """Rejects measurements of other models than the bundle's.

    Raises:
        UsageError: the bench.json belongs to another bundle.
    """
    measured = (bench.bundle.created, bench.bundle.checkpoint_sha256)
    if measured != (manifest.created, manifest.provenance.checkpoint_sha256):
        raise UsageError(
            f"the bench.json measures bundle {bench.bundle.name}, written {bench.bundle.created}",
            expected=f"a bench.json of this bundle, {manifest.name}, written {manifest.created}",
            next_step="ssr-edge bench --bundle BUNDLE --json bench.json",
        )


def image_times(bench: BenchFile, engine: str) -> dict[int, list[float]]:
    """An engine's time per image in ms, by batch and round. engine: e.g. `tensorrt-int8`. Empty if it has no rows.

    Warm-up times are excluded, because they are not paired. So are rows of an edited file with missing rounds or
    non-positive times.
    """
    rows: dict[int, list[float]] = {}
    for scenario in _SCENARIOS:
        for row in bench.results:
            # A multi-stream query is one call only if its batch is the whole query.
            one_call = scenario != "multi-stream" or row.batch == QUERY
            if (row.engine, row.scenario) == (engine, scenario) and one_call and min(row.round_medians_ms) > 0:
                rows.setdefault(row.batch, [ms / row.batch for ms in row.round_medians_ms])
    rounds = len(rows.get(1, ()))
    return {batch: times for batch, times in rows.items() if len(times) == rounds}


def choose_batching(times: ImageTimes, least: int, most: int) -> Batching:
    """Chooses batch sizes that cut the time per image by 5 % and beyond noise, compared with the previous chosen size.

    The maximum wait is the time that the largest one saves per image: time alone minus time in that batch, median over
    rounds. A longer wait would cost a request more than the batch saves. least, most: batch limits of the model.

    times: includes batch 1; all batches have the same number of rounds.
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
            tried.append(f"batch {batch}: {gain.ratio:.2f}x [{gain.low:.2f}, {gain.high:.2f}]")
    if not chosen:
        return Batching(
            (), 0, f"no batch size is faster per image beyond noise ({'; '.join(tried) or 'only batch 1 was timed'})"
        )
    saved_ms = float(np.median(np.subtract(alone, base)))
    total = _gain(alone, base)
    return Batching(
        tuple(chosen),
        int(saved_ms * 1000),
        f"{np.median(alone):.3f} ms per image alone, {saved_ms:.3f} ms less in batches of {chosen[-1]}: "
        f"{total.ratio:.2f}x as fast [{total.low:.2f}, {total.high:.2f}]",
    )


def how_to_measure(bundle: str, runtime: str, precision: str) -> str:
    """The command that measures the input of `choose_batching`."""
    batches = " ".join(f"--batch {batch}" for batch in (1, *_BATCHES))
    return f"ssr-edge bench --bundle {bundle} --runtime {runtime} --precision {precision} {batches} --json bench.json"


def _gain(slower: Sequence[float], faster: Sequence[float]) -> Ratio:
    return paired_speedup([[ms] for ms in slower], [[ms] for ms in faster], seed=0)
