from __future__ import annotations

import io

from ssr_edge.bench.profile.roofline import Roofline
from ssr_edge.bench.report.layers_table import print_layers
from tests.edge.bench.profile.profiles import PROFILE, make_roofline


def _printed(roofline: Roofline | None) -> list[str]:
    file = io.StringIO()
    print_layers("openvino-int8", PROFILE, roofline, file)
    # Cells without their frame.
    return [" ".join(line.replace("│", " ").split()) for line in file.getvalue().splitlines()]


def test_blocks_with_bounds_and_the_sentence() -> None:
    lines = _printed(make_roofline())
    assert "preprocessing 5.0% 0.0 0.400 0.100 4.00×" in lines
    assert "stem 40.0% 80.0 3.200 1.000 3.20×" in lines
    assert "conversions 5.0% 0.0 0.400 - -" in lines
    assert "network 100.0% 420.0 8.000 3.350 2.39×" in lines
    assert lines[-1].startswith("openvino-int8: 8.00 ms per image, 2.39× ") and "3.35 ms" in lines[-1]


def test_layers_most_expensive_first() -> None:
    lines = _printed(None)
    first = lines.index("stages.0.blocks.0.conv1 Convolution int8 4.000 40.0%")
    # Brackets in a name are not markup.
    assert lines[first + 1] == "stem [a] Convolution fp32 3.500 35.0%"
    assert "Reorder_1 Reorder - 0.500 5.0%" in lines
    assert "openvino-int8, the 6 slowest of 6 layers" in lines


def test_without_a_roofline_shares_and_times_are_those_of_the_profile() -> None:
    lines = _printed(None)
    assert "stem 40.0% 4.000" in lines
    assert not any("bound" in line for line in lines)
    assert "10.00 ms" in " ".join(lines) and "median of 20 calls" in " ".join(lines)
