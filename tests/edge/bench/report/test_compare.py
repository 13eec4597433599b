"""Two runs whose differences are known."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.compare import Comparison, chance_of_flips, change_of_medians, compare
from ssr_edge.bench.report.comparison_table import print_comparison
from ssr_edge.bench.report.schema import BenchFile
from ssr_edge.evaluation.accuracy import Predicted
from tests.edge.bench.report.reports import INT8, TORCH, make_bench, make_run, with_labels

_OFFLINE = Task("openvino-int8", "offline", 8)
_ROUNDS = 12


def _noisy(ms: float, seed: int, noise: float = 0.02) -> list[float]:
    return [ms * float(f) for f in np.exp(np.random.default_rng(seed).normal(0, noise, _ROUNDS))]


def _run(medians: Mapping[Task, Sequence[float]]) -> BenchFile:
    return make_bench({task: [[ms] for ms in rounds] for task, rounds in medians.items()})


def _with(bench: BenchFile, **changes: Any) -> BenchFile:
    return BenchFile.model_validate(json.loads(bench.model_dump_json()) | changes)


def _printed(comparison: Comparison) -> str:
    file = io.StringIO()
    print_comparison(comparison, "old.json", file)
    return file.getvalue()


def test_a_slower_engine_is_found_and_past_its_limit() -> None:
    old = _run({TORCH: _noisy(60, 1), INT8: _noisy(10, 2)})
    new = _run({TORCH: _noisy(60, 3), INT8: _noisy(12, 4)})
    comparison = compare(old, new)
    torch, int8 = comparison.times
    assert (torch.verdict, int8.verdict) == ("within noise", "worse")
    assert 1.15 < int8.change.low < int8.change.ratio < int8.change.high < 1.25
    (regression,) = comparison.regressions(0.05)
    assert regression.startswith("openvino-int8 single-stream ") and "%" in regression
    # Beyond noise, but within the limit.
    assert comparison.regressions(0.5) == []
    assert "slower" in _printed(comparison)
    assert "1 of 1 rows are worse than in old.json and 0 are better" in _printed(comparison)


def test_a_faster_engine_is_no_regression() -> None:
    comparison = compare(
        _run({TORCH: _noisy(60, 1), INT8: _noisy(10, 2)}), _run({TORCH: _noisy(60, 3), INT8: _noisy(8, 4)})
    )
    assert comparison.times[1].verdict == "better"
    assert comparison.regressions(0) == []


def test_past_the_limit_but_within_noise_is_no_regression() -> None:
    old = _run({TORCH: _noisy(60, 1), INT8: _noisy(10, 2, noise=0.5)})
    new = _run({TORCH: _noisy(60, 3), INT8: _noisy(11, 7, noise=0.5)})
    comparison = compare(old, new)
    assert comparison.times[1].change.ratio > 1.05
    assert comparison.times[1].verdict == "within noise"
    assert comparison.regressions(0.05) == []


def test_what_slows_the_whole_machine_is_not_put_down_to_the_engine() -> None:
    old = _run({TORCH: _noisy(60, 1), INT8: _noisy(10, 2)})
    new = _run({TORCH: _noisy(78, 3), INT8: _noisy(13, 4)})
    comparison = compare(old, new)
    torch, int8 = comparison.times
    assert (torch.verdict, int8.verdict, int8.why) == ("worse", "within noise", "torch-fp32 may have changed equally")
    assert comparison.regressions(0.05) == []
    (warning,) = comparison.warnings
    assert "torch-fp32" in warning and "single-stream: 1.28 times" in warning
    assert "No change beyond noise" in _printed(comparison)


def test_a_slower_baseline_alone_makes_no_engine_better() -> None:
    old = _run({TORCH: _noisy(60, 1), INT8: _noisy(10, 2)})
    new = _run({TORCH: _noisy(78, 3), INT8: _noisy(10, 4)})
    assert compare(old, new).times[1].verdict == "within noise"


def test_without_a_common_baseline_times_count_as_they_are() -> None:
    comparison = compare(_run({INT8: _noisy(10, 2)}), _run({TORCH: _noisy(60, 3), INT8: _noisy(13, 4)}))
    assert comparison.baseline is None
    assert comparison.times[0].verdict == "worse"
    assert comparison.appeared == ["torch-fp32"]


def test_few_rounds_give_no_verdict() -> None:
    comparison = compare(_run({INT8: [10.0, 10.0]}), _run({INT8: [30.0, 30.0]}))
    assert (comparison.times[0].verdict, comparison.times[0].why) == ("within noise", "too few rounds")
    assert "3.00" in _printed(comparison)
    assert "inf" not in _printed(comparison)


def test_an_edited_file_with_unequal_rounds_is_compared_as_far_as_it_goes() -> None:
    old = _run({TORCH: _noisy(60, 1), INT8: _noisy(10, 2)})
    new = _run({TORCH: _noisy(60, 3), INT8: _noisy(12, 4)})
    torch, int8 = (row.model_dump() for row in new.results)
    edited = _with(new, results=[torch | {"round_medians_ms": [60.0, 60.0]}, int8])
    row = compare(old, edited).times[1]
    assert (row.verdict, row.why) == ("within noise", "too few rounds")


def test_what_appears_and_vanishes_is_named() -> None:
    one, four = (Task("openvino-int8", "offline", batch) for batch in (1, 4))
    bf16 = Task("openvino-bf16", "single-stream", 1)
    old = _run({INT8: [1.0] * 3, one: [1.0] * 3, _OFFLINE: [8.0] * 3, bf16: [2.0] * 3})
    new = _run({INT8: [1.0] * 3, four: [4.0] * 3})
    comparison = compare(old, new)
    assert comparison.appeared == ["openvino-int8 offline, batch 4"]
    assert comparison.vanished == ["openvino-int8 offline, batch 1", "openvino-int8 offline, batch 8", "openvino-bf16"]
    assert "removed: openvino-bf16" in _printed(comparison)


def test_an_engines_best_batch_may_differ_and_the_time_of_an_image_is_compared() -> None:
    old = _run({_OFFLINE: [8.0] * 3})
    new = _run({Task("openvino-int8", "offline", 4): [6.0] * 3})
    comparison = compare(old, new)
    assert (comparison.appeared, comparison.vanished) == ([], [])
    [row] = comparison.times
    assert (row.old_ms, row.new_ms, row.change.ratio, row.verdict) == (1.0, 1.5, 1.5, "worse")


def test_runs_without_a_row_in_common() -> None:
    comparison = compare(_run({INT8: [1.0]}), _run({TORCH: [1.0]}))
    assert (comparison.times, comparison.labels) == ([], [])
    assert "no rows in common" in _printed(comparison)


def test_another_machine_is_warned_about() -> None:
    new = _run({INT8: [1.0] * 3})
    environment = new.environment.model_dump()
    other = environment | {
        "cpu": "Other CPU",
        "load_average": 99.0,
        "packages": environment["packages"] | {"openvino": "2020.1"},
    }
    old = _with(
        new,
        environment=other,
        disturbed=True,
        others_share=0.4,
        bundle={"name": "older", "created": "", "checkpoint_sha256": "00"},
        engines={"openvino-int8": new.engines["openvino-int8"].model_dump() | {"version": "0.9"}},
        images=new.images.model_dump() | {"sha256": "ff"},
    )
    disturbed, cpu, package, weights, version, images = compare(old, new).warnings
    assert "old run" in disturbed and "40%" in disturbed
    assert cpu == f"different cpu: Other CPU, now {environment['cpu']}"
    assert package == f"different openvino: 2020.1, now {environment['packages']['openvino']}"
    assert weights == "different weights: bundle older, now tiny"
    assert version == "different version of openvino-int8: 0.9, now 1.0"
    assert "images" in images and "labels not compared" in images
    assert compare(new, new).warnings == []


def _labeled_run(labels: Sequence[int | None], truth: Sequence[int | None]) -> BenchFile:
    paths = [Path(f"{number}.png") for number in range(len(truth))]
    predicted = {"openvino-int8": Predicted(list(labels), [0.9] * len(truth))}
    return with_labels(make_run({INT8: [[1.0]] * 3}), paths, truth, predicted).bench


def test_labels_that_became_wrong() -> None:
    truth: list[int | None] = [0, 1] * 10
    old, new = _labeled_run(truth, truth), _labeled_run([0, 1] * 5 + [1, 0] * 4 + [0, 1], truth)
    comparison = compare(old, new)
    (row,) = comparison.labels
    assert (row.changed, row.images, row.accuracy, row.verdict) == (8, 20, (1.0, 0.6), "worse")
    assert comparison.regressions(0.05) == ["openvino-int8 accuracy dropped from 1.0000 to 0.6000"]
    assert comparison.regressions(0.5) == []
    assert "8 of 20" in _printed(comparison)
    assert "1.0000 -> 0.6000" in _printed(comparison)
    assert compare(new, old).labels[0].verdict == "better"


def test_one_flipped_label_is_within_noise() -> None:
    truth: list[int | None] = [0, 1] * 10
    (row,) = compare(_labeled_run(truth, truth), _labeled_run([1, *truth[1:]], truth)).labels
    assert (row.changed, row.verdict) == (1, "within noise")


def test_without_classes_nobody_knows_which_label_was_right() -> None:
    truth: list[int | None] = [None] * 4
    (row,) = compare(_labeled_run([0, 0, 0, 0], truth), _labeled_run([0, 0, 0, None], truth)).labels
    assert (row.changed, row.accuracy, row.verdict) == (1, (None, None), "not known")


def test_mcnemar_of_known_flips() -> None:
    assert chance_of_flips(0, 0) == 1
    assert chance_of_flips(1, 0) == 1
    assert chance_of_flips(0, 6) == chance_of_flips(6, 0) == 2 / 64
    assert chance_of_flips(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024)


@given(st.floats(0.2, 5), st.integers(3, 20), st.integers(0, 1000))
def test_a_change_is_the_inverse_of_its_inverse(factor: float, rounds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    old, new = np.exp(rng.normal(0, 0.1, rounds)), factor * np.exp(rng.normal(0, 0.1, rounds))
    there, back = change_of_medians(old, new, 0.05), change_of_medians(new, old, 0.05)
    assert there.low <= there.ratio <= there.high
    assert there.ratio * back.ratio == pytest.approx(1)
    # Both are bootstraps of a few rounds: their ends agree about as well as draws do.
    assert there.low * back.high == pytest.approx(1, rel=0.1)


@pytest.mark.slow
def test_nothing_that_did_not_change_is_called_changed_more_often_than_printed() -> None:
    """Sixteen rows a run, six rounds each, as --quick has them, each run on a machine a little faster or slower."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        runs = []
        for _ in range(2):
            machine = float(np.exp(rng.normal(0, 0.1)))
            moments = np.exp(rng.normal(0, 0.05, 6))
            rows = {
                Task(engine, "offline", batch): (ms * machine * moments * np.exp(rng.normal(0, 0.03, 6))).tolist()
                for engine, ms in (("torch-fp32", 60.0), ("openvino-fp32", 20.0), ("openvino-int8", 8.0))
                for batch in (1, 2, 4, 8)
            }
            runs.append(_run(rows))
        alarms += bool(compare(*runs).regressions(0.0))
    assert alarms <= 4
