from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.measure.statistics import paired_speedup
from ssr_edge.bench.report.schema import read_bench
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import UsageError
from ssr_edge.triton.batching import GAIN, check_same_bundle, choose_batching, image_times

ROUNDS = 6


def steady(ms: float) -> list[float]:
    return [ms] * ROUNDS


@st.composite
def measured(draw: st.DrawFn) -> dict[int, list[float]]:
    """Times per image in ms, by batch and round, with noise of up to a third."""
    batches = draw(st.sets(st.integers(2, 64), max_size=6)) | {1}
    rounds = draw(st.integers(1, 8))
    noise = st.floats(0.75, 1.33)
    return {
        batch: [draw(st.floats(0.01, 100)) * draw(noise) for _ in range(rounds)]
        if draw(st.booleans())
        else [draw(st.floats(0.01, 100))] * rounds
        for batch in sorted(batches)
    }


def test_batches_that_are_faster_are_preferred_and_waited_for_as_long_as_they_save() -> None:
    found = choose_batching({1: steady(4.0), 2: steady(3.0), 4: steady(2.9), 8: steady(2.0), 16: steady(2.0)}, 1, 64)
    assert (found.preferred, found.delay_us) == ((2, 8), 2000)
    for part in ("4.000 ms", "2.000 ms less", "batches of 8", "2.00x as fast [2.00, 2.00]"):
        assert part in found.why


def test_where_no_batch_is_faster_nothing_is_waited_for() -> None:
    found = choose_batching({1: steady(4.0), 8: steady(3.9)}, 1, 64)
    assert (found.preferred, found.delay_us) == ((), 0)
    assert "batch 8: 1.03x [1.03, 1.03]" in found.why
    assert "only batch 1" in choose_batching({1: steady(4.0)}, 1, 64).why


def test_what_is_within_noise_is_not_preferred() -> None:
    noisy = [1.0, 8.0, 1.5, 7.0, 9.0, 2.0]  # twice as fast in half of the rounds, half as fast in the others
    assert choose_batching({1: steady(4.0), 8: noisy}, 1, 64).preferred == ()


def test_what_slows_whole_rounds_does_not_hide_a_gain() -> None:
    slowed = [1.0, 1.0, 5.0, 2.0, 9.0, 1.0]
    found = choose_batching({1: [4.0 * s for s in slowed], 8: [2.0 * s for s in slowed]}, 1, 64)
    assert found.preferred == (8,)


def test_the_saving_is_paired_by_round() -> None:
    # 2, 20 and 3 ms less in each round.
    found = choose_batching({1: [4.0, 40.0, 8.0], 8: [2.0, 20.0, 5.0]}, 1, 64)
    assert (found.preferred, found.delay_us) == ((8,), 3000)


def test_only_batches_that_the_model_takes_are_preferred() -> None:
    times = {1: steady(8.0), 2: steady(4.0), 8: steady(2.0), 32: steady(1.0)}
    assert choose_batching(times, 1, 8).preferred == (2, 8)
    assert choose_batching(times, 4, 64).preferred == (8, 32)


@given(times=measured(), least=st.integers(1, 8), most=st.integers(1, 64))
def test_each_preferred_batch_beats_the_one_before_and_no_wait_is_longer_than_an_image(
    times: dict[int, list[float]], least: int, most: int
) -> None:
    found = choose_batching(times, least, most)
    assert list(found.preferred) == sorted(set(found.preferred))
    assert all(batch in times and max(2, least) <= batch <= most for batch in found.preferred)
    for before, after in zip((1, *found.preferred), found.preferred, strict=False):
        assert paired([times[before], times[after]]) >= GAIN
    assert 0 <= found.delay_us <= max(times[1]) * 1000
    assert (found.delay_us > 0) <= bool(found.preferred)


@given(times=measured(), factor=st.sampled_from([0.25, 2.0, 64.0]))
def test_a_machine_that_is_slower_by_a_factor_waits_longer_by_it(times: dict[int, list[float]], factor: float) -> None:
    found = choose_batching(times, 1, 64)
    scaled = choose_batching({batch: [ms * factor for ms in rounds] for batch, rounds in times.items()}, 1, 64)
    assert scaled.preferred == found.preferred
    assert abs(scaled.delay_us - found.delay_us * factor) <= max(1.0, factor)


def paired(rows: list[list[float]]) -> float:
    slower, faster = rows
    return paired_speedup([[ms] for ms in slower], [[ms] for ms in faster], 0).ratio


def test_times_of_an_image_are_read_by_batch(tiny_bundle: Bundle, make_bench: Callable[..., Path]) -> None:
    file = make_bench(tiny_bundle, {"openvino-int8": {1: [4.0, 5.0], 8: [16.0, 24.0]}, "torch-fp32": {1: [9.0, 9.0]}})
    assert image_times(read_bench(file), "openvino-int8") == {1: [4.0, 5.0], 8: [2.0, 3.0]}
    assert image_times(read_bench(file), "tensorrt-int8") == {}


@pytest.mark.parametrize("medians", [[16.0], [16.0, 24.0, 1.0], [0.0, 24.0]])
def test_a_row_that_cannot_be_paired_is_passed_over(
    tiny_bundle: Bundle, make_bench: Callable[..., Path], medians: list[float]
) -> None:
    file = make_bench(tiny_bundle, {"openvino-int8": {1: [4.0, 5.0], 8: [16.0, 24.0]}})
    bench = json.loads(file.read_text())
    bench["results"][1]["round_medians_ms"] = medians
    file.write_text(json.dumps(bench))
    assert image_times(read_bench(file), "openvino-int8") == {1: [4.0, 5.0]}


def test_a_query_in_several_calls_is_ignored(tiny_bundle: Bundle, make_bench: Callable[..., Path]) -> None:
    file = make_bench(tiny_bundle, {"openvino-int8": {1: [4.0, 5.0], 8: [16.0, 24.0]}})
    bench = json.loads(file.read_text())
    for batch, expected in ((8, {1: [4.0, 5.0], 8: [2.0, 3.0]}), (4, {1: [4.0, 5.0]})):
        bench["results"][1] |= {"scenario": "multi-stream", "batch": batch}
        file.write_text(json.dumps(bench))
        assert image_times(read_bench(file), "openvino-int8") == expected


@pytest.mark.parametrize("field", ["created", "checkpoint_sha256"])
def test_times_of_another_bundle_are_refused(tiny_bundle: Bundle, make_bench: Callable[..., Path], field: str) -> None:
    file = make_bench(tiny_bundle, {"openvino-int8": {1: [4.0]}})
    check_same_bundle(read_bench(file), tiny_bundle.manifest)
    bench: dict[str, Any] = json.loads(file.read_text())
    bench["bundle"][field] = "another"
    file.write_text(json.dumps(bench))
    with pytest.raises(UsageError, match=r"bench\.json .*ssresnext14_8x4d"):
        check_same_bundle(read_bench(file), tiny_bundle.manifest)
