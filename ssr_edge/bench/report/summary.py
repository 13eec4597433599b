"""Summarizes a benchmark in sentences: headline, accuracy, noise, GPU state, and deviations from MLPerf."""

from __future__ import annotations

from collections.abc import Mapping

from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.rounds import Times
from ssr_edge.bench.measure.schedule import MLPERF, MLPERF_OFFLINE_SAMPLES, Task
from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.bench.report.schema import AccuracyRow, BenchFile, SpeedupRow
from ssr_edge.common.text import TIMES
from ssr_edge.machine.energy.nvml import GpuState

# Clock event reasons of machine.energy.nvml that do not affect a measurement.
_IDLE, _SET = "idle", "clocks set by the user"
_HARMLESS = {_IDLE, _SET, "synchronized with other GPUs", "clocks set by the display"}
# An unlocked clock varies by one or two steps of 15 MHz.
_CLOCK_TOLERANCE = 0.05
_MLPERF_SCENARIOS = ("single-stream", "multi-stream", "offline")


def fastest(bench: BenchFile) -> SpeedupRow | None:
    """The row with the highest single-stream speedup; None if there is nothing to compare."""
    single = [row for row in bench.speedup if row.scenario == "single-stream"]
    return max(single, key=lambda row: row.ratio, default=None)


def summary(bench: BenchFile) -> str:
    """The headline, marked as unreliable if the run was disturbed."""
    return f"Not reliable: {disturbance(bench)}. {headline(bench)}" if bench.disturbed else headline(bench)


def disturbance(bench: BenchFile) -> str:
    """The processor share that other programs used, as text."""
    return f"other programs used {bench.others_share or 0:.0%} of the processor during the run"


def headline(bench: BenchFile) -> str:
    """The fastest engine's single-stream speedup."""
    best = fastest(bench)
    if best is None:
        return "No engine to compare with the baseline."
    if best.ratio < 1:
        return f"No engine is faster than {best.over} at batch 1; {best.engine} reaches {best.ratio:.2f}{TIMES}."
    low, high = best.ci95
    return f"{best.engine} is {best.ratio:.1f}{TIMES} [{low:.1f}, {high:.1f}] faster than {best.over} at batch 1."


def accuracy_cost(bench: BenchFile) -> str | None:
    """The fastest engine's accuracy compared with the baseline; None without comparable labels."""
    rows = {row.engine: row for row in bench.accuracy}
    reference = next((rows[name] for name in BASELINES if name in rows), None)
    best = fastest(bench)
    row = None if best is None else rows.get(best.engine)
    if row is None or reference is None or row.agreement_with_fp32 is None:
        return None
    agreed = f"It agrees with FP32 on {round(row.agreement_with_fp32 * row.images)} of {row.images} images"
    return f"{agreed}{_macro_f1(row, reference)}."


def _macro_f1(row: AccuracyRow, reference: AccuracyRow) -> str:
    if row.macro_f1 is None or reference.macro_f1 is None:
        return "; the true classes are unknown"
    return f"; macro-F1 {row.macro_f1:.3f} ({reference.engine}: {reference.macro_f1:.3f})"


def describe_noise(bench: BenchFile) -> list[str]:
    """The measured noise, then a warning for each speedup within it; empty without A/A pairs."""
    share = bench.noise_share
    if share is None:
        return []
    pairs = ", ".join(
        f"{pair.task.label} {pair.ratio:.3f} [{pair.ci95[0]:.3f}, {pair.ci95[1]:.3f}]" for pair in bench.noise
    )
    return [
        f"Noise: speedup of a second process of {bench.noise[0].engine} over the first: {pairs}. "
        f"Differences under {share:.1%} are not significant.",
        *(
            f"Warning: {row.engine} {row.task.label}: {row.ratio:.2f}{TIMES} is within the noise."
            for row in bench.within_noise
        ),
    ]


def describe_roofline(engine: str, roofline: Roofline) -> str:
    """The engine's latency relative to its roofline bound."""
    return (
        f"{engine}: {roofline.measured_ms:.2f} ms per image, {roofline.gap:.2f}{TIMES} its roofline bound of "
        f"{roofline.bound_ms:.2f} ms."
    )


def describe_gpu(state: GpuState) -> str:
    """Clock, temperature, power and throttling; unknown values are omitted.

    NVML reports clocks set by `nvidia-smi -ac`; it does not document whether it reports those locked by `-lgc` or
    `jetson_clocks`.
    """
    if state.reason is not None:
        return f"unknown: {state.reason}"
    held = "set by the user" if _SET in state.throttled else "not locked, according to NVML"
    known = [
        None if state.sm_clock_mhz is None else f"{state.sm_clock_mhz} MHz ({held})",
        None if state.temperature_c is None else f"{state.temperature_c} °C",
        None if state.power_w is None else f"{state.power_w:.1f} W",
        *(reason for reason in state.throttled if reason != _SET),
    ]
    return ", ".join(text for text in known if text is not None) or "unknown: not reported by the driver"


def gpu_warnings(before: GpuState, after: GpuState) -> list[str]:
    """Reasons to doubt the figures: a throttled GPU, or a clock that dropped. Both states are under load."""
    warnings = []
    for when, state in (("before", before), ("after", after)):
        slowed = [reason for reason in state.throttled if reason not in _HARMLESS]
        if slowed:
            warnings.append(f"the GPU was throttled {when} the rounds: {', '.join(slowed)}")
    # The low clock of an idle GPU carries no information.
    clocks = [None if _IDLE in state.throttled else state.sm_clock_mhz for state in (before, after)]
    if clocks[0] and clocks[1] is not None and clocks[1] < (1 - _CLOCK_TOLERANCE) * clocks[0]:
        warnings.append(
            f"the GPU clock dropped from {clocks[0]} to {clocks[1]} MHz during the rounds: lock it "
            "(nvidia-smi -lgc, or jetson_clocks) and measure again"
        )
    return warnings


def mlperf_departures(times: Mapping[Task, Times]) -> list[str]:
    """Rules of MLPerf Inference (mlcommons/inference_policies) that a run with --mlperf did not meet; never empty."""
    found = [
        "not an MLPerf result: MLPerf's scenarios and durations, but without its LoadGen, models and review; "
        "engines take turns instead of running continuously"
    ]
    least_s = MLPERF.row_s or 0.0
    for task, rounds in times.items():
        if task.scenario not in _MLPERF_SCENARIOS:
            continue
        seconds = sum(ms for turn in rounds for ms in turn) / 1000
        images = sum(map(len, rounds)) * task.images_a_call
        name = f"{task.engine} {task.scenario}"
        if seconds < least_s:
            found.append(f"{name} was timed for {seconds:.0f} s, MLPerf requires {least_s:.0f} s")
        if task.scenario == "offline" and images < MLPERF_OFFLINE_SAMPLES:
            found.append(f"{name} classified {images:,} images, MLPerf requires {MLPERF_OFFLINE_SAMPLES:,}")
    return found
