"""The calibration cache of implicit INT8, in the format of TensorRT's own calibrators."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bundle.tensorrt_cache import tensorrt_cache
from ssr_edge.common.errors import UsageError


def test_the_text_is_header_and_scales() -> None:
    # 3c008912 encodes the range 0.996 in a cache that TensorRT 7.2 wrote for MNIST's input.
    scale = struct.unpack(">f", bytes.fromhex("3c008912"))[0]
    text = tensorrt_cache({"data": scale * 127, "stem/relu": 127.0}, "7.2.2")
    assert text == "TRT-7202-EntropyCalibration2\ndata: 3c008912\nstem/relu: 3f800000\n"


@pytest.mark.parametrize(
    ("version", "number"), [("8.5.3", 8503), ("8.6.1.6", 8601), ("10.3.0", 100300), ("10.13.2.6", 101302)]
)
def test_versions_are_numbered_as_tensorrt_does(version: str, number: int) -> None:
    assert tensorrt_cache({}, version) == f"TRT-{number}-EntropyCalibration2\n"


@given(st.dictionaries(st.text("abc/_.0123456789", min_size=1), st.floats(1e-6, 1e6)))
def test_ranges_come_back_from_the_text(ranges: dict[str, float]) -> None:
    _, *lines = tensorrt_cache(ranges, "10.3.0").splitlines()
    found = {
        name: struct.unpack(">f", bytes.fromhex(digits))[0] * 127 for name, digits in (x.split(": ") for x in lines)
    }
    assert found == pytest.approx(ranges, rel=1e-6)


@pytest.mark.parametrize(
    ("version", "found"), [("11.0.0", "TensorRT 11.0.0"), ("10", "'10'"), ("ten", "'ten'"), ("", "''")]
)
def test_other_versions_are_refused(version: str, found: str) -> None:
    with pytest.raises(UsageError) as refused:
        tensorrt_cache({}, version)
    assert found in refused.value.found
    assert "--tensorrt-cache 10.3.0" in refused.value.next_step
