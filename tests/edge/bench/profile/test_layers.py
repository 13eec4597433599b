from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ssr_edge.bench.profile.layers import LayerTime, Profile, by_block, median_layers, precision_of
from tests.edge.bench.profile.profiles import PROFILE


def test_sums_by_block() -> None:
    shuffled = PROFILE.layers[::-1]
    assert list(by_block(shuffled).items()) == [
        ("preprocessing", 0.5),
        ("stem", 4.0),
        ("stages.0.blocks.0", 5.0),
        ("conversions", 0.5),
    ]
    assert PROFILE.total_ms == sum(by_block(shuffled).values()) == 10.0


def test_calls_are_joined_layer_by_layer_though_names_repeat() -> None:
    layers = [LayerTime("same", "Add", "stem", 0.0, "fp32"), LayerTime("same", "Add", "stem", 0.0, "fp32")]
    calls = [[replace(layers[0], ms=ms), replace(layers[1], ms=10 * ms)] for ms in (1.0, 2.0, 90.0)]
    assert [layer.ms for layer in median_layers(calls).layers] == [2.0, 20.0]
    assert median_layers(calls).calls == 3


def test_calls_of_different_layers_are_not_joined() -> None:
    with pytest.raises(ValueError, match="shorter"):
        median_layers([PROFILE.layers, PROFILE.layers[:-1]])


def test_a_profile_travels_as_json() -> None:
    assert Profile.from_json(json.loads(json.dumps(PROFILE.as_json()))) == PROFILE


@pytest.mark.parametrize(
    ("word", "precision"),
    [
        ("brgconv_avx512_1x1_I8", "int8"),
        ("jit_avx2_u8", "int8"),
        ("brgconv_avx512_amx_bf16", "bf16"),
        ("jit_avx512_f32", "fp32"),
        ("torch.float32", "fp32"),
        ("torch.bfloat16", "bf16"),
        ("float16", "fp16"),
        ("undef", ""),
        ("int64", ""),
        ("", ""),
    ],
)
def test_words_of_runtimes_for_precisions(word: str, precision: str) -> None:
    assert precision_of(word) == precision
