from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.measure.statistics import Ratio
from ssr_edge.bench.report.report import Noise, as_json
from ssr_edge.bench.report.summary import accuracy_cost, describe_noise, fastest, summary
from ssr_edge.evaluation.accuracy import Predicted
from tests.edge.bench.report.reports import INT8, TORCH, judged, make_report

_TIMES = {TORCH: [[60.0]], INT8: [[10.0]]}


def test_summary_never_calls_a_slower_engine_faster() -> None:
    assert summary(make_report({TORCH: [[10.0]], INT8: [[20.0]]})).startswith("No engine is faster than torch-fp32")


def test_a_disturbed_machine_is_said_in_the_sentence_that_people_quote() -> None:
    quiet, disturbed, unknown = (make_report(_TIMES, share) for share in (0.04, 0.37, None))
    assert summary(quiet).startswith("openvino-int8 is 6.0")
    assert summary(unknown).startswith("openvino-int8 is 6.0")
    assert summary(disturbed).startswith(
        "Not reliable: other programs took 37% of the processor meanwhile. openvino-int8"
    )
    assert (as_json(disturbed)["disturbed"], as_json(quiet)["disturbed"]) == (True, False)


def test_summary_without_a_baseline() -> None:
    report = make_report({INT8: [[20.0]]})
    assert summary(report) == "There is no other engine than the baseline to compare."
    assert fastest(report) is accuracy_cost(report) is None


def test_what_the_speed_costs_in_accuracy() -> None:
    predictions = {
        "torch-fp32": Predicted([0, 0, 1, 1], [0.9] * 4),
        "openvino-int8": Predicted([0, 1, 1, 1], [0.8] * 4),
    }
    paths = [Path(f"{number}.png") for number in range(4)]
    report = judged(make_report(_TIMES), paths, [0, 0, 1, 1], predictions)
    # F1 is 2/3 for class 0 and 4/5 for class 1.
    assert accuracy_cost(report) == (
        "It gives 3 of 4 images the label of FP32; its macro-F1 is 0.733, that of torch-fp32 1.000."
    )
    unlabeled = judged(make_report(_TIMES), paths, [None] * 4, predictions)
    assert accuracy_cost(unlabeled) == (
        "It gives 3 of 4 images the label of FP32; how many of them are right is not known."
    )
    assert accuracy_cost(make_report(_TIMES)) is None


def test_noise_is_said_and_speedups_within_it_are_warned_about() -> None:
    fp32 = Task("openvino-fp32", "single-stream", 1)
    report = make_report({TORCH: [[60.0]] * 3, fp32: [[58.0]] * 3, INT8: [[10.0]] * 3})
    assert describe_noise(report) == []
    noisy = replace(report, noise=[Noise(INT8, Ratio(1.01, 0.98, 1.05))])
    assert describe_noise(noisy) == [
        "Noise: a second process of openvino-int8 seemed single-stream 1.010 [0.980, 1.050] times as fast, "
        "so differences under 5.0% are none.",
        "Warning: the 1.03\N{MULTIPLICATION SIGN} of openvino-fp32 single-stream lies within it.",
    ]
    quiet = replace(report, noise=[Noise(INT8, Ratio(1.0, 0.99, 1.01))])
    assert len(describe_noise(quiet)) == 1
