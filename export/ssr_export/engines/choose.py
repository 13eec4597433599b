"""Times a bundle's engines against each other and chooses the one a runtime takes when no precision is asked for."""

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

# A few seconds in all: a difference too small to see in them is too small to give precision up for.
_BUDGET = Budget(warm_s=1.0, rounds_s=4.0, turn_s=0.1, max_images=None)
_SEED = 0


def choose_engine(folder: Path, engines: Sequence[EngineEntry], dropped: dict[Precision, str]) -> Choice | None:
    """Times engines of one runtime on this machine, single images, interleaved, each in a process of its own.

    folder: the bundle, its manifest written. engines: at least one. dropped: reasons by precision, for the record.
    Returns None where not one of several can be timed.
    """
    runtime, device = engines[0].runtime, engines[0].device
    built = [p for p in PRECISIONS if any(engine.precision == p for engine in engines)]
    if len(built) == 1:
        times: dict[Precision, Times] = {}
        left_out = dropped
        chosen, why = built[0], "the only one that passed" if dropped else "the only one built"
    else:
        times, failures = _measure(folder, runtime, built)
        if not times:
            return None
        chosen, why = _fastest([p for p in built if p in times], times)
        left_out = dropped | failures
    candidates = [
        Candidate(
            precision=p,
            ms=round(percentiles(_flat(times[p])).p50, 4) if p in times else None,
            dropped=left_out.get(p),
        )
        for p in PRECISIONS
        if p in built or p in left_out
    ]
    return Choice(precision=chosen, device=device, why=why, candidates=candidates)


def _measure(
    folder: Path, runtime: str, precisions: Sequence[Precision]
) -> tuple[dict[Precision, Times], dict[Precision, str]]:
    """Call times by precision, and why a precision has none."""
    images = list(find_sources(str(DEMO_IMAGES)))
    specs = {p: EngineSpec(runtime, p, bundle=str(folder)) for p in precisions}
    with Workers() as workers:
        settled: dict[Task, float] = {}
        for spec in specs.values():
            if start_engine(workers, spec, images, (1,)) is not None:
                warm = warm_batch(workers, spec.name, 1, _BUDGET)
                if warm is not None:
                    settled[Task(spec.name, "single-stream", 1)] = warm.settled_ms
        times = run_rounds(workers, plan_schedule(settled, _BUDGET), images, _SEED) if settled else {}
        by_name = {task.engine: rounds for task, rounds in times.items()}
        return (
            {p: by_name[spec.name] for p, spec in specs.items() if spec.name in by_name},
            {p: workers.failures[spec.name] for p, spec in specs.items() if spec.name in workers.failures},
        )


def _fastest(precisions: Sequence[Precision], times: dict[Precision, Times]) -> tuple[Precision, str]:
    """From the most precise on, one takes the place of the best so far only where it is faster beyond doubt."""
    best = precisions[0]
    for precision in precisions[1:]:
        if paired_speedup(times[best], times[precision], _SEED).low > 1:
            best = precision
    words = []
    for other in precisions:
        if other != best:
            speed = paired_speedup(times[other], times[best], _SEED)
            words.append(f"{speed.ratio:.2f} times as fast as {other} ({speed.low:.2f} to {speed.high:.2f})")
    ms = percentiles(_flat(times[best])).p50
    return best, "; ".join([f"{ms:.2f} ms an image", *words])


def _flat(rounds: Times) -> list[float]:
    return [ms for calls in rounds for ms in calls]
