from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint
from ssr_edge.images.preprocess import load
from ssr_edge.runners.choose import open_runner
from ssr_train.runner import TorchRunner


def test_it_computes_what_the_folded_model_computes(tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    images = np.stack([load(path) for path in demo_images[:8]])
    checkpoint = Path(tiny_bundle.manifest.provenance.checkpoint)
    with TorchRunner(tiny_bundle.manifest.arch, checkpoint) as torch_runner:
        expected = torch_runner.infer(images)
        assert torch_runner.name == "torch-fp32"
        # Unfolded: the parallel kernels and their BatchNorms are still there.
        assert any(name.endswith("row_bn.running_var") for name in torch_runner.network.state_dict())
    with open_runner(tiny_bundle, "openvino", "fp32") as runner:
        found = runner.infer(images)
    assert expected.logits.shape == (8, 8)
    assert expected.logits.std() > 0.01
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4 * np.abs(expected.logits).max())
    np.testing.assert_allclose(expected.probabilities.sum(axis=1), 1, atol=1e-5)


def test_without_a_checkpoint_its_weights_are_random(tiny_bundle: Bundle) -> None:
    with TorchRunner(tiny_bundle.manifest.arch, None) as runner:
        assert runner.origin == "random weights"
        assert runner.infer(np.zeros((1, 224, 224, 3), np.uint8)).logits.shape == (1, 8)


def test_without_torch_the_error_has_the_command_to_install_it(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(RuntimeUnavailable) as raised:
        TorchRunner(tiny_bundle.manifest.arch, None)
    assert raised.value.next_step == install_hint("train")
