"""Compares two benchmarks: changes beyond noise in latency and in labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.build import counterpart
from ssr_edge.bench.report.schema import AccuracyRow, BenchFile, Environment, Images, ResultRow
from ssr_edge.bench.report.summary import disturbance

# Family-wise error rate: with no real change, all verdicts are "within noise" in 19 of 20 comparisons.
_FALSE_ALARMS = 0.05
_RESAMPLES = 10_000
# Minimum to estimate noise.
_FEWEST_ROUNDS = 3

Verdict = Literal["worse", "better", "within noise", "not known"]
Medians = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """New time / old time: 1.1 is 10 % slower. low, high: interval; 0 and infinity with too few rounds."""

    ratio: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 if the interval lies above 1, -1 if it lies below, else 0."""
        return int(self.low > 1) - int(self.high < 1)


@dataclass(frozen=True)
class TimeChange:
    """A row present in both runs. old_ms, new_ms: medians over rounds; offline per image. why: explains the verdict."""

    task: Task
    old_ms: float
    new_ms: float
    change: Change
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class LabelChange:
    """Labels of one engine on the same images in both runs. changed: number of `images` whose label differs.

    accuracy, macro_f1: old and new; None if no class is known.
    """

    engine: str
    changed: int
    images: int
    accuracy: tuple[float | None, float | None]
    macro_f1: tuple[float | None, float | None]
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Changes between two runs. baseline: the engine both runs compare against; None if they differ.

    appeared, vanished: engines and rows present in one run only. warnings: differences that affect the comparison.
    """

    baseline: str | None
    times: list[TimeChange]
    labels: list[LabelChange]
    appeared: list[str]
    vanished: list[str]
    warnings: list[str]

    def regressions(self, limit: float) -> list[str]:
        """Describes the rows that are worse beyond noise and by more than `limit` (0.05 is 5 %).

        A slower baseline is a warning, not a regression.
        """
        slower = [
            f"{_row_name(row.task)} is {row.change.ratio - 1:.1%} slower"
            for row in self.times
            if row.verdict == "worse" and row.task.engine != self.baseline and row.change.ratio > 1 + limit
        ]
        wrong = [
            f"{row.engine} accuracy dropped from {old:.4f} to {new:.4f}"
            for row in self.labels
            for old, new in [row.accuracy]
            if row.verdict == "worse" and old is not None and new is not None and new < old * (1 - limit)
        ]
        return slower + wrong


def compare(old: BenchFile, new: BenchFile) -> Comparison:
    """Compares a new run with an old one."""
    old_rows, new_rows = _rows(old), _rows(new)
    baseline = _baseline(old_rows)
    if baseline != _baseline(new_rows):
        baseline = None
    before = {task: counterpart(task, task.engine, old_rows) for task in new_rows}
    both = [(old_task, task) for task, old_task in before.items() if old_task is not None]
    times = [_time_change(*tasks, old_rows, new_rows, baseline, _FALSE_ALARMS / len(both)) for tasks in both]
    same_images = (old.images.sha256, old.images.truth) == (new.images.sha256, new.images.truth)
    return Comparison(
        baseline=baseline,
        times=times,
        labels=_label_changes(old, new) if same_images else [],
        appeared=_only_in([task for task in new_rows if before[task] is None], old_rows),
        vanished=_only_in([task for task in old_rows if task not in before.values()], new_rows),
        warnings=[
            *_disturbances(old, new),
            *_other_machine(old.environment, new.environment),
            *_other_bundle(old, new),
            *_other_engines(old, new),
            *([] if same_images else ["different images or known classes: labels not compared"]),
            *_moved_baseline(times, baseline),
        ],
    )


def change_of_medians(old: Medians, new: Medians, false_alarms: float) -> Change:
    """Ratio of the medians of two samples [n], one value per round, with its bootstrap interval of 1 - false_alarms."""
    ratio = float(np.median(new) / np.median(old))
    if min(len(old), len(new)) < _FEWEST_ROUNDS:
        return Change(ratio, 0.0, math.inf)
    rng = np.random.default_rng(0)
    old_medians, new_medians = (
        np.median(sample[rng.integers(0, len(sample), (_RESAMPLES, len(sample)))], axis=1) for sample in (old, new)
    )
    low, high = np.quantile(new_medians / old_medians, (false_alarms / 2, 1 - false_alarms / 2))
    return Change(ratio, float(low), float(high))


def chance_of_flips(worse: int, better: int) -> float:
    """Two-sided p-value of the exact McNemar test. worse, better: labels that became wrong and right."""
    flips = worse + better
    tail = sum(math.comb(flips, number) for number in range(min(worse, better) + 1))
    return float(min(1.0, 2 * tail / 2**flips))


def _rows(bench: BenchFile) -> dict[Task, ResultRow]:
    return {row.task: row for row in bench.results}


def _baseline(rows: Mapping[Task, ResultRow]) -> str | None:
    present = {task.engine for task in rows}
    return next((name for name in BASELINES if name in present), None)


def _time_change(
    old_task: Task,
    task: Task,
    old_rows: Mapping[Task, ResultRow],
    new_rows: Mapping[Task, ResultRow],
    baseline: str | None,
    false_alarms: float,
) -> TimeChange:
    old, new = _medians(old_task, old_rows), _medians(task, new_rows)
    change = change_of_medians(old, new, false_alarms)
    verdict: Verdict = "worse" if change.sign > 0 else "better" if change.sign < 0 else "within noise"
    why = "" if math.isfinite(change.high) else "too few rounds"
    # Whatever slows the whole machine also slows the baseline in the same rounds; only the remainder is the engine's.
    old_base, base = counterpart(old_task, baseline, old_rows), counterpart(task, baseline, new_rows)
    if change.sign and task.engine != baseline and old_base is not None and base is not None:
        paired = change_of_medians(_over(old_rows, old_task, old_base), _over(new_rows, task, base), false_alarms)
        if paired.sign != change.sign:
            enough = math.isfinite(paired.high)
            verdict, why = "within noise", f"{baseline} may have changed equally" if enough else "too few rounds"
    return TimeChange(task, float(np.median(old)), float(np.median(new)), change, verdict, why)


def _medians(task: Task, rows: Mapping[Task, ResultRow]) -> Medians:
    """A row's medians by round; offline in ms per image, since each run may select a different batch size."""
    return np.array(rows[task].round_medians_ms) / (task.batch if task.scenario == "offline" else 1)


def _over(rows: Mapping[Task, ResultRow], task: Task, base: Task) -> Medians:
    # Not strict: an edited file may hold unequal numbers of rounds.
    return np.array([ms / base_ms for ms, base_ms in zip(_medians(task, rows), _medians(base, rows), strict=False)])


def _label_changes(old: BenchFile, new: BenchFile) -> list[LabelChange]:
    old_rows = {row.engine: row for row in old.accuracy}
    pairs = [(old_rows[row.engine], row) for row in new.accuracy if row.engine in old_rows]
    return [_label_change(before, after, new.images, _FALSE_ALARMS / len(pairs)) for before, after in pairs]


def _label_change(old: AccuracyRow, new: AccuracyRow, images: Images, false_alarms: float) -> LabelChange:
    changed = worse = better = 0
    for truth, before, after in zip(images.truth, old.labels, new.labels, strict=False):
        changed += before != after
        worse += before == truth != after and truth is not None
        better += before != truth == after and truth is not None
    verdict: Verdict = "within noise"
    if old.accuracy is None or new.accuracy is None:
        verdict = "not known" if changed else "within noise"
    elif chance_of_flips(worse, better) < false_alarms:
        verdict = "worse" if worse > better else "better"
    accuracy, macro_f1 = (old.accuracy, new.accuracy), (old.macro_f1, new.macro_f1)
    return LabelChange(new.engine, changed, len(images.truth), accuracy, macro_f1, verdict)


def _only_in(tasks: Sequence[Task], others: Collection[Task]) -> list[str]:
    """Names of rows missing from `others`; only the engine name if the whole engine is missing."""
    known = {task.engine for task in others}
    return list(dict.fromkeys(task.engine if task.engine not in known else _row_name(task) for task in tasks))


def _row_name(task: Task) -> str:
    return f"{task.engine} {task.label}"


def _disturbances(old: BenchFile, new: BenchFile) -> list[str]:
    return [
        f"{which} run was disturbed: {disturbance(run)}"
        for which, run in (("the old", old), ("this", new))
        if run.disturbed
    ]


def _other_machine(old: Environment, new: Environment) -> list[str]:
    found = []
    # Load varies from minute to minute. Fields added by a newer ssr-edge have no counterpart.
    for name in set(Environment.model_fields) - {"load_average", "packages"}:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found.append(f"different {name.replace('_', ' ')}: {_text(before)}, now {_text(after)}")
    for name in {**old.packages, **new.packages}:
        if old.packages.get(name) != new.packages.get(name):
            found.append(f"different {name}: {_text(old.packages.get(name))}, now {_text(new.packages.get(name))}")
    return sorted(found)


def _text(value: object) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _other_bundle(old: BenchFile, new: BenchFile) -> list[str]:
    if old.bundle.checkpoint_sha256 == new.bundle.checkpoint_sha256:
        return []
    return [f"different weights: bundle {old.bundle.name}, now {new.bundle.name}"]


def _other_engines(old: BenchFile, new: BenchFile) -> list[str]:
    return [
        f"different {what} of {name}: {before}, now {after}"
        for name, engine in new.engines.items()
        if name in old.engines
        for what in ("version", "device")
        for before, after in [(getattr(old.engines[name], what), getattr(engine, what))]
        if before != after
    ]


def _moved_baseline(times: list[TimeChange], baseline: str | None) -> list[str]:
    moved = [
        f"{row.task.label}: {row.change.ratio:.2f} times the old latency"
        for row in times
        if row.task.engine == baseline and row.change.sign
    ]
    if not moved:
        return []
    return [f"the baseline {baseline} changed ({'; '.join(moved)}): the machine or the package is slower or faster"]
