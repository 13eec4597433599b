"""Says in a sentence what a benchmark found: the one that people quote, and what the speed costs in accuracy."""

from __future__ import annotations

from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.report.report import Report, Speedup, scenario_name
from ssr_edge.evaluation.accuracy import Accuracy

_TIMES = "\N{MULTIPLICATION SIGN}"


def fastest(report: Report) -> Speedup | None:
    """The engine with the highest single-stream speed-up; None where there is nothing to compare."""
    single = [row for row in report.speedups if row.task.scenario == "single-stream"]
    return max(single, key=lambda row: row.ratio.ratio, default=None)


def summary(report: Report) -> str:
    """The fastest engine's single-stream speed-up in one sentence, or why there is none or it means little."""
    if report.disturbed:
        return f"Not reliable: {disturbance(report)}. {comparison(report)}"
    return comparison(report)


def disturbance(report: Report) -> str:
    """What other programs took, in words."""
    return f"other programs took {report.others_share:.0%} of the processor meanwhile"


def comparison(report: Report) -> str:
    """The sentence itself, whatever happened on the machine meanwhile."""
    best = fastest(report)
    if best is None:
        return "There is no other engine than the baseline to compare."
    ratio, low, high = best.ratio.ratio, best.ratio.low, best.ratio.high
    if ratio < 1:
        return f"No engine is faster than {best.over} at batch 1; {best.task.engine} comes to {ratio:.2f}{_TIMES}."
    return f"{best.task.engine} is {ratio:.1f}{_TIMES} [{low:.1f}, {high:.1f}] faster than {best.over} at batch 1."


def describe_noise(report: Report) -> list[str]:
    """What two equal engines seemed to differ by, and which speed-ups are no larger than that."""
    share = report.noise_share
    if share is None:
        return []
    pairs = ", ".join(
        f"{scenario_name(pair.task)} {pair.ratio.ratio:.3f} [{pair.ratio.low:.3f}, {pair.ratio.high:.3f}]"
        for pair in report.noise
    )
    engine = report.noise[0].task.engine
    return [
        f"Noise: a second process of {engine} seemed {pairs} times as fast, so differences under {share:.1%} are none.",
        *(
            f"Warning: the {row.ratio.ratio:.2f}{_TIMES} of {row.task.engine} {scenario_name(row.task)} lies within it."
            for row in report.within_noise
        ),
    ]


def accuracy_cost(report: Report) -> str | None:
    """What the fastest engine loses against the baseline, in a sentence; None where no label means anything."""
    rows = {row.engine: row for row in report.accuracy}
    reference = next((rows[name] for name in BASELINES if name in rows), None)
    best = fastest(report)
    row = None if best is None else rows.get(best.task.engine)
    if row is None or reference is None or row.agreement_with_fp32 is None:
        return None
    agreed = f"It gives {round(row.agreement_with_fp32 * row.images)} of {row.images} images the label of FP32"
    figures = _figures(row, reference)
    return f"{agreed}{figures}."


def _figures(row: Accuracy, reference: Accuracy) -> str:
    if row.macro_f1 is None or reference.macro_f1 is None:
        return "; how many of them are right is not known"
    return f"; its macro-F1 is {row.macro_f1:.3f}, that of {reference.engine} {reference.macro_f1:.3f}"
