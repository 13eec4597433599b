from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.profile.cost import BlockCost
from ssr_edge.bench.profile.layers import LayerTime, Profile
from ssr_edge.bench.profile.peaks import Peaks
from ssr_edge.bench.profile.roofline import roofline
from tests.edge.bench.profile.profiles import COSTS, MEASURED_MS, PEAKS, PROFILE, make_roofline


def test_bounds_and_gap_by_hand() -> None:
    found = make_roofline()
    assert [block.block for block in found.blocks] == ["preprocessing", "stem", "stages.0.blocks.0", "conversions"]
    assert [block.bound_ms for block in found.blocks] == pytest.approx([0.1, 1.0, 2.25, 0.0])
    assert [block.measured_ms for block in found.blocks] == pytest.approx([0.4, 3.2, 4.0, 0.4])
    assert [block.gap for block in found.blocks] == [
        pytest.approx(4.0),
        pytest.approx(3.2),
        pytest.approx(16 / 9),
        None,
    ]
    assert found.bound_ms == pytest.approx(3.35)
    assert found.gap == pytest.approx(8.0 / 3.35)
    assert found.operations == 420_000_000
    assert found.intensity == pytest.approx(420 / 12.01)
    assert found.operations_per_s == pytest.approx(52.5e9)
    stem = found.blocks[1]
    assert (stem.intensity, stem.operations_per_s) == pytest.approx((80 / 2.01, 25e9))


def test_what_moves_more_than_it_computes_is_bound_by_its_bytes() -> None:
    heavy = [replace(COSTS[1], activation_bytes=200_000_000)]
    assert roofline(heavy, PEAKS, 8.0, PROFILE).bound_ms == pytest.approx(200.01 / 50)


def test_a_precision_without_a_peak_uses_that_of_fp32() -> None:
    half = [BlockCost("stem", {"fp16": 80_000_000}, 0, 0)]
    assert roofline(half, PEAKS, 8.0, PROFILE).bound_ms == pytest.approx(1.0)
    assert [PEAKS.rate_in(precision) for precision in ("fp32", "int8", "fp16")] == [80e9, 160e9, 80e9]


def test_a_block_that_no_layer_names_keeps_its_bound() -> None:
    found = roofline(COSTS, PEAKS, 8.0, Profile(PROFILE.layers[:3], 20))
    assert found.blocks[-1].block == "stages.0.blocks.0"
    assert (found.blocks[-1].measured_ms, found.blocks[-1].gap) == (0.0, 0.0)
    assert found.blocks[-1].operations_per_s == 0.0


_COUNT = st.integers(1, 10**10)
_BLOCKS = st.sampled_from(["stem", "stages.0.blocks.0", "stages.3.blocks.1", "other"])


_WORK = st.dictionaries(st.sampled_from(["fp32", "int8"]), _COUNT, min_size=1)
_COSTS = st.lists(st.builds(BlockCost, _BLOCKS, _WORK, _COUNT, _COUNT), min_size=1, unique_by=lambda cost: cost.block)
_LAYER = st.builds(LayerTime, st.just("layer"), st.just("Conv"), _BLOCKS, st.floats(1e-3, 1e3), st.just("int8"))


@given(_COSTS, st.lists(_LAYER, min_size=1), st.floats(1e-3, 1e4), st.floats(1.1, 10))
def test_whatever_is_measured(costs: list[BlockCost], layers: list[LayerTime], ms: float, faster: float) -> None:
    found = roofline(costs, PEAKS, ms, Profile(layers, 1))
    # The blocks add up to the whole time, and no bound is below its parts.
    assert sum(block.measured_ms for block in found.blocks) == pytest.approx(ms)
    assert all(block.bound_ms >= max(block.compute_ms, block.transfer_ms) for block in found.blocks)
    assert found.gap * found.bound_ms == pytest.approx(ms)
    # A faster machine has a lower bound, and so a larger gap.
    rates = {name: rate * faster for name, rate in PEAKS.multiply_adds_per_s.items()}
    machine = Peaks(rates, PEAKS.copy_bytes_per_s, PEAKS.cache_copy_bytes_per_s * faster)
    assert roofline(costs, machine, ms, Profile(layers, 1)).gap == pytest.approx(found.gap * faster)


def test_the_measured_time_is_what_was_given() -> None:
    assert make_roofline().measured_ms == MEASURED_MS
