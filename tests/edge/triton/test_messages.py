from __future__ import annotations

import pytest

from ssr_edge.triton import messages
from ssr_edge.triton.messages import runtime_messages
from ssr_edge.triton.models import ServedModel


@pytest.mark.parametrize(("bits", "found"), [(7, "any server"), (8, "servers without")])
def test_the_int8_message_lists_the_servers_on_which_it_is_correct(
    monkeypatch: pytest.MonkeyPatch, bits: int, found: str
) -> None:
    monkeypatch.setattr(messages, "weight_bits", lambda: bits)
    lines = runtime_messages(ServedModel("demo_int8", "openvino", "int8", "model.int8.onnx"))
    assert f"{bits}-bit weights" in lines[-1] and found in lines[-1]


@pytest.mark.parametrize(("precision", "warned"), [("fp32", True), ("int8", True), ("bf16", False)])
def test_openvino_warns_about_unrequested_bf16(precision: str, warned: bool) -> None:
    text = " ".join(runtime_messages(ServedModel("demo", "openvino", precision, "model.onnx")))
    assert ("servers with BF16" in text) == warned


def test_onnx_runtime_has_neither() -> None:
    text = " ".join(runtime_messages(ServedModel("demo", "onnxruntime", "int8", "model.onnx")))
    assert "BF16" not in text and "-bit" not in text
