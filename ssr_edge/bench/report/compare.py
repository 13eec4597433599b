"""Compares a benchmark with an older one: what changed beyond noise, in time and in labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ssr_edge.bench.measure.engines import BASELINES
from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.report import counterpart, scenario_name
from ssr_edge.bench.report.schema import AccuracyFacts, BenchFile, Environment, Images, ResultFacts

# Shared by all rows of a comparison: if nothing changed, every verdict is "within noise" 19 times out of 20.
_FALSE_ALARMS = 0.05
_RESAMPLES = 10_000
# Fewer say nothing about noise.
_FEWEST_ROUNDS = 3

Verdict = Literal["worse", "better", "within noise", "not known"]
Medians = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """New over old: 1.1 takes a tenth longer. low, high: interval; 0 and infinity where there are too few rounds."""

    ratio: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 where the interval says that it grew or shrank, else 0."""
        return int(self.low > 1) - int(self.high < 1)


@dataclass(frozen=True)
class TimeChange:
    """A row that both runs have. old_ms, new_ms: medians over rounds, for offline of an image.

    why: what explains the verdict, if anything.
    """

    task: Task
    old_ms: float
    new_ms: float
    change: Change
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True)
class LabelChange:
    """An engine that both runs judged on the same images. changed: how many of `images` have another label now.

    accuracy, macro_f1: old and new; None where no class is known.
    """

    engine: str
    changed: int
    images: int
    accuracy: tuple[float | None, float | None]
    macro_f1: tuple[float | None, float | None]
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """What became of each row. baseline: what both runs measured the others by, if it is the same.

    appeared, vanished: engines and rows that only one of the runs has. warnings: what a reader should know, in words.
    """

    baseline: str | None
    times: list[TimeChange]
    labels: list[LabelChange]
    appeared: list[str]
    vanished: list[str]
    warnings: list[str]

    def regressions(self, limit: float) -> list[str]:
        """What is worse beyond noise and by more than `limit` (0.05: a twentieth), in words.

        The baseline is the yardstick: that it became slower is a warning, not a regression.
        """
        slower = [
            f"{_row_name(row.task)} takes {row.change.ratio - 1:.1%} longer"
            for row in self.times
            if row.verdict == "worse" and row.task.engine != self.baseline and row.change.ratio > 1 + limit
        ]
        wrong = [
            f"{row.engine} has an accuracy of {new:.4f} instead of {old:.4f}"
            for row in self.labels
            for old, new in [row.accuracy]
            if row.verdict == "worse" and old is not None and new is not None and new < old * (1 - limit)
        ]
        return slower + wrong


def compare(old: BenchFile, new: BenchFile) -> Comparison:
    """What changed from one run to another."""
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
            *(
                []
                if same_images
                else ["the images, or what is known of their classes, are others: labels not compared"]
            ),
            *_moved_baseline(times, baseline),
        ],
    )


def change_of_medians(old: Medians, new: Medians, false_alarms: float) -> Change:
    """Ratio of two samples' medians, one value a round [n] each, with its bootstrap interval of 1 - false_alarms."""
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
    """Exact McNemar test: how likely so one-sided a result is where each flip is for the worse or better by chance."""
    flips = worse + better
    tail = sum(math.comb(flips, number) for number in range(min(worse, better) + 1))
    return float(min(1.0, 2 * tail / 2**flips))


def _rows(bench: BenchFile) -> dict[Task, ResultFacts]:
    return {Task(row.engine, row.scenario, row.batch): row for row in bench.results}


def _baseline(rows: Mapping[Task, ResultFacts]) -> str | None:
    present = {task.engine for task in rows}
    return next((name for name in BASELINES if name in present), None)


def _time_change(
    old_task: Task,
    task: Task,
    old_rows: Mapping[Task, ResultFacts],
    new_rows: Mapping[Task, ResultFacts],
    baseline: str | None,
    false_alarms: float,
) -> TimeChange:
    old, new = _medians(old_task, old_rows), _medians(task, new_rows)
    change = change_of_medians(old, new, false_alarms)
    verdict: Verdict = "worse" if change.sign > 0 else "better" if change.sign < 0 else "within noise"
    why = "" if math.isfinite(change.high) else "too few rounds"
    # What slows the whole machine slows the baseline in the same rounds: only what remains is the engine's own.
    old_base, base = counterpart(old_task, baseline, old_rows), counterpart(task, baseline, new_rows)
    if change.sign and task.engine != baseline and old_base is not None and base is not None:
        paired = change_of_medians(_over(old_rows, old_task, old_base), _over(new_rows, task, base), false_alarms)
        if paired.sign != change.sign:
            told = math.isfinite(paired.high)
            verdict, why = "within noise", f"{baseline} may have changed alike" if told else "too few rounds"
    return TimeChange(task, float(np.median(old)), float(np.median(new)), change, verdict, why)


def _medians(task: Task, rows: Mapping[Task, ResultFacts]) -> Medians:
    """A row's medians by round; of offline ms an image, since each run may find another best batch."""
    return np.array(rows[task].round_medians_ms) / (task.batch if task.scenario == "offline" else 1)


def _over(rows: Mapping[Task, ResultFacts], task: Task, base: Task) -> Medians:
    # zip: an edited file may hold unequal numbers of rounds.
    return np.array([ms / base_ms for ms, base_ms in zip(_medians(task, rows), _medians(base, rows), strict=False)])


def _label_changes(old: BenchFile, new: BenchFile) -> list[LabelChange]:
    old_judged = {row.engine: row for row in old.accuracy}
    pairs = [(old_judged[row.engine], row) for row in new.accuracy if row.engine in old_judged]
    return [_label_change(before, after, new.images, _FALSE_ALARMS / len(pairs)) for before, after in pairs]


def _label_change(old: AccuracyFacts, new: AccuracyFacts, images: Images, false_alarms: float) -> LabelChange:
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
    """Names of rows that the others have not; where a whole engine is missing there, its name alone."""
    known = {task.engine for task in others}
    return list(dict.fromkeys(task.engine if task.engine not in known else _row_name(task) for task in tasks))


def _row_name(task: Task) -> str:
    return f"{task.engine} {scenario_name(task)}"


def _disturbances(old: BenchFile, new: BenchFile) -> list[str]:
    return [
        f"{which} run was disturbed: other programs took {run.others_share or 0:.0%} of the processor meanwhile"
        for which, run in (("the old", old), ("this", new))
        if run.disturbed
    ]


def _other_machine(old: Environment, new: Environment) -> list[str]:
    found = []
    # Load changes from minute to minute; what a newer ssr-edge adds has nothing to be compared with.
    for name in set(Environment.model_fields) - {"load_average", "packages"}:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            found.append(f"other {name.replace('_', ' ')}: {_words(before)}, now {_words(after)}")
    for name in {**old.packages, **new.packages}:
        if old.packages.get(name) != new.packages.get(name):
            found.append(f"other {name}: {_words(old.packages.get(name))}, now {_words(new.packages.get(name))}")
    return sorted(found)


def _words(value: object) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _other_bundle(old: BenchFile, new: BenchFile) -> list[str]:
    if old.bundle.checkpoint_sha256 == new.bundle.checkpoint_sha256:
        return []
    return [f"other weights: bundle {old.bundle.name}, now {new.bundle.name}"]


def _other_engines(old: BenchFile, new: BenchFile) -> list[str]:
    return [
        f"other {what} of {name}: {before}, now {after}"
        for name, engine in new.engines.items()
        if name in old.engines
        for what in ("version", "device")
        for before, after in [(getattr(old.engines[name], what), getattr(engine, what))]
        if before != after
    ]


def _moved_baseline(times: list[TimeChange], baseline: str | None) -> list[str]:
    moved = [
        f"{scenario_name(row.task)} {row.change.ratio:.2f} times as long"
        for row in times
        if row.task.engine == baseline and row.change.sign
    ]
    if not moved:
        return []
    return [
        f"{baseline}, the yardstick, changed itself ({'; '.join(moved)}): a slower or faster machine, or its package"
    ]
