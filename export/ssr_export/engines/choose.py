"""Times a bundle's engines and chooses the one that a runtime uses when no precision is requested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssr_edge.bench.measure.engines import EngineSpec
from ssr_edge.bench.measure.process import Workers
from ssr_edge.bench.measure.rounds import Times, run_rounds, start_engine, warm_batch
from ssr_edge.bench.measure.schedule import Budget, Task, plan_schedule
from ssr_edge.bench.measure.statistics import paired_speedup, percentiles
from ssr_edge.bundle.manifest import PRECISIONS, Candidate, Choice, EngineEntry, Precision
from ssr_edge.demo import DEMO_IMAGES
from ssr_edge.sources.paths import find_sources

# A few seconds in total: a difference too small to measure in them is not worth the loss of precision.
TIMING_BUDGET = Budget(warm_s=1.0, rounds_s=4.0, turn_s=0.1, max_images=None)
_SEED = 0


def choose_engine(folder: Path, engines: Sequence[EngineEntry], dropped: dict[Precision, str]) -> Choice | None:
    """Times engines of one runtime on this machine on single images, in alternating rounds, each in its own process.

    folder: the bundle, with its manifest. engines: at least one. dropped: reasons by precision, recorded in the result.
    Returns None if there are several engines and none of them can be timed.
    """
    runtime, device = engines[0].runtime, engines[0].device
    built = [p for p in PRECISIONS if any(engine.precision == p for engine in engines)]
    if len(built) == 1:
        times: dict[Precision, Times] = {}
        not_timed = dropped
        chosen, why = built[0], "the only one that passed" if dropped else "the only one built"
    else:
        times, failures = _measure(folder, runtime, built)
        if not times:
            return None
        chosen, why = _fastest([p for p in built if p in times], times)
        not_timed = dropped | failures
    candidates = [
        Candidate(
            precision=p,
            ms=round(percentiles(_flat(times[p])).p50, 4) if p in times else None,
            dropped=not_timed.get(p),
        )
        for p in PRECISIONS
        if p in built or p in not_timed
    ]
    return Choice(precision=chosen, device=device, why=why, candidates=candidates)


def _measure(
    folder: Path, runtime: str, precisions: Sequence[Precision]
) -> tuple[dict[Precision, Times], dict[Precision, str]]:
    """Call times by precision, and the reason for each precision without any."""
    images = list(find_sources(str(DEMO_IMAGES)))
    specs = {p: EngineSpec(runtime, p, bundle=str(folder)) for p in precisions}
    with Workers() as workers:
        settled: dict[Task, float] = {}
        for spec in specs.values():
            if start_engine(workers, spec, images, (1,)) is not None:
                warm = warm_batch(workers, spec.name, 1, TIMING_BUDGET)
                if warm is not None:
                    settled[Task(spec.name, "single-stream", 1)] = warm.settled_ms
        times = run_rounds(workers, plan_schedule(settled, TIMING_BUDGET), images, _SEED) if settled else {}
        by_name = {task.engine: rounds for task, rounds in times.items()}
        return (
            {p: by_name[spec.name] for p, spec in specs.items() if spec.name in by_name},
            {p: workers.failures[spec.name] for p, spec in specs.items() if spec.name in workers.failures},
        )


def _fastest(precisions: Sequence[Precision], times: dict[Precision, Times]) -> tuple[Precision, str]:
    """Starts with the most precise and moves to a less precise one only if it is significantly faster."""
    best = precisions[0]
    for precision in precisions[1:]:
        if paired_speedup(times[best], times[precision], _SEED).low > 1:
            best = precision
    comparisons = []
    for other in precisions:
        if other != best:
            speed = paired_speedup(times[other], times[best], _SEED)
            comparisons.append(f"{speed.ratio:.2f} times as fast as {other} ({speed.low:.2f} to {speed.high:.2f})")
    ms = percentiles(_flat(times[best])).p50
    return best, "; ".join([f"{ms:.2f} ms per image", *comparisons])


def _flat(rounds: Times) -> list[float]:
    return [ms for calls in rounds for ms in calls]
