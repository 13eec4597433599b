"""Selects the engines to profile and computes their rooflines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ssr_edge.bench.measure.prepare import Prepared
from ssr_edge.bench.measure.process import WorkerError
from ssr_edge.bench.options import BenchOptions
from ssr_edge.bench.profile.cost import network_cost
from ssr_edge.bench.profile.layers import Profile
from ssr_edge.bench.profile.profiling import measure_peaks_apart
from ssr_edge.bench.profile.roofline import Roofline, roofline
from ssr_edge.bundle.bundle import Bundle, model_file

# For each of the machine's peaks.
_PEAK_S, _QUICK_PEAK_S = 1.5, 0.5


def engines_to_profile(engines: Sequence[str], ready: Prepared, options: BenchOptions) -> list[str]:
    """All engines with --layers, none with --quick, otherwise the baseline and the fastest."""
    if options.layers:
        return list(engines)
    if options.quick or not engines:
        return []
    single = {task.engine: warm.settled_ms for task, warm in ready.warm.items() if task.scenario == "single-stream"}
    return list(dict.fromkeys([engines[0], min(engines, key=lambda name: single[name])]))


def rooflines_of(
    bundle: Bundle, single_ms: Mapping[str, float], profiles: Mapping[str, Profile], options: BenchOptions
) -> tuple[dict[str, Roofline], dict[str, str]]:
    """Rooflines of the profiled CPU engines, and the reason if the peaks could not be measured.

    single_ms: median single-stream latency by engine.
    """
    engines = [name for name in profiles if name in single_ms and not name.startswith("tensorrt")]
    if not engines:
        return {}, {}
    try:
        peaks = measure_peaks_apart(_QUICK_PEAK_S if options.quick else _PEAK_S)
    except WorkerError as error:
        return {}, {"processor peaks": str(error)}
    found = {}
    for name in engines:
        precision = name.rsplit("-", 1)[1]
        costs = network_cost(bundle.file(model_file(precision)), precision)
        found[name] = roofline(costs, peaks, single_ms[name], profiles[name])
    return found, {}
