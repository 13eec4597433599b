"""The default precision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import Candidate, Choice, Manifest
from ssr_edge.common.errors import UsageError
from ssr_edge.runners.choose import choose_precision, open_runner
from ssr_edge.runners.openvino import core as openvino_core


def having(bundle: Bundle, **chosen: Choice) -> Bundle:
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"chosen": chosen}))


def choice(precision: Any, *candidates: Candidate) -> Choice:
    return Choice(precision=precision, device="a CPU", why="timed", candidates=list(candidates))


def test_the_manifests_choice_is_taken_unless_another_is_asked_for(tiny_bundle: Bundle) -> None:
    bundle = having(tiny_bundle, openvino=choice("fp32"))
    assert choose_precision(bundle, None) == "fp32"
    assert choose_precision(bundle, "int8") == "int8"
    assert choose_precision(having(tiny_bundle, openvino=choice("int8")), None, "openvino") == "int8"


def test_a_bundle_of_before_the_choice_gives_int8(tiny_bundle: Bundle) -> None:
    fields = tiny_bundle.manifest.model_dump()
    for new in ("chosen", "float_blocks", "refused"):
        del fields[new]
    for engine in fields["engines"]:
        del engine["float_blocks"]
        for new in ("patients", "agreement_interval", "drops", "reasons", "unsure", "allowed_by"):
            del engine["gate"][new]
    assert choose_precision(replace(tiny_bundle, manifest=Manifest.model_validate(fields)), None) == "int8"


def test_int8_that_one_runtimes_gate_dropped_is_no_other_runtimes_default(tiny_bundle: Bundle) -> None:
    dropped = choice("fp32", Candidate(precision="fp32"), Candidate(precision="int8", dropped="it lost too much"))
    assert choose_precision(having(tiny_bundle, openvino=dropped), None, "onnxruntime") == "fp32"


def test_bf16_chosen_elsewhere_gives_way_to_the_next_fastest_on_a_cpu_without_it(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = (
        Candidate(precision="fp32", ms=9.0),
        Candidate(precision="bf16", ms=4.0),
        Candidate(precision="int8", ms=5.0),
    )
    bundle = having(tiny_bundle, openvino=choice("bf16", *timed))
    for has, expected in ((True, "bf16"), (False, "int8")):
        monkeypatch.setattr(openvino_core, "has_bf16", lambda _, has=has: has)
        assert choose_precision(bundle, None) == expected


def test_bf16_is_openvinos_alone(tiny_bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"onnxruntime .*bf16"):
        open_runner(tiny_bundle, "onnxruntime", "bf16")
