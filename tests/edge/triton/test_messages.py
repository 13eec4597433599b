from __future__ import annotations

import pytest

from ssr_edge.triton import messages
from ssr_edge.triton.messages import runtime_messages
from ssr_edge.triton.models import ServedModel


@pytest.mark.parametrize(("bits", "found"), [(7, "right on any"), (8, "and wrong without")])
def test_openvinos_int8_says_on_which_servers_it_is_right(
    monkeypatch: pytest.MonkeyPatch, bits: int, found: str
) -> None:
    monkeypatch.setattr(messages, "weight_bits", lambda: bits)
    said = runtime_messages(ServedModel("demo_int8", "openvino", "int8", "model.int8.onnx"))
    assert f"weights of {bits} bits" in said[-1] and found in said[-1]


@pytest.mark.parametrize(("precision", "warned"), [("fp32", True), ("int8", True), ("bf16", False)])
def test_openvino_warns_of_bf16_where_it_was_not_asked_for(precision: str, warned: bool) -> None:
    said = " ".join(runtime_messages(ServedModel("demo", "openvino", precision, "model.onnx")))
    assert ("on a server with BF16" in said) == warned


def test_onnx_runtime_has_neither() -> None:
    said = " ".join(runtime_messages(ServedModel("demo", "onnxruntime", "int8", "model.onnx")))
    assert "BF16" not in said and "bits" not in said
