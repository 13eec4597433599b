from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import PRECISIONS
from ssr_edge.cli.build_engine import PrecisionName, RuntimeName
from ssr_edge.common.install_hint import install_hint
from ssr_export.engines.build import BUILDERS

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


def test_a_bundle_is_rebuilt_elsewhere_without_its_checkpoint_or_images(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    answer = ssr_edge("build-engine", tiny_bundle.path, "--bundle", new, "--runtime", "openvino", "--precision", "fp32")
    assert answer.code == 0, answer.err
    assert str(new) in answer.out
    assert "--held-out" in answer.out, "it must name the option that enables the gate"
    built = Bundle.open(new)
    assert [(engine.precision, engine.gate is None) for engine in built.manifest.engines] == [
        ("int8", False),
        ("fp32", True),
    ]
    assert built.manifest.provenance == tiny_bundle.manifest.provenance
    for entry in built.manifest.files:
        built.file(entry.path)


def test_a_device_builds_the_engines_of_a_bundle_without_pytorch(
    tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]
) -> None:
    program = (
        "import sys; sys.modules |= dict.fromkeys("
        "['torch', 'torchvision', 'safetensors', 'sklearn', 'scipy', 'matplotlib', 'onnxscript', 'filelock']);"
        "from ssr_edge.cli.main import run; run()"
    )
    bundle, images = ("--bundle", tmp_path / "new"), ("--held-out", demo_images[0].parent)
    build = ("build-engine", tiny_bundle.path, *bundle, *images, "--runtime", "openvino", "--precision", "fp32")
    done = subprocess.run([sys.executable, "-c", program, *build], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    gate = Bundle.open(tmp_path / "new").manifest.engines[-1].gate
    assert gate is not None and gate.agreement == 1


def test_a_checkpoint_without_pytorch_asks_for_the_export_stage(
    ssr_edge: Run, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ssr_export.models", None)  # as if one of its imports were missing
    answer = ssr_edge("build-engine", tiny_checkpoint, "--bundle", tmp_path / "b", "--runtime", "openvino")
    assert answer.code == 1
    assert install_hint("export") in answer.err
    assert not (tmp_path / "b").exists()


def test_held_out_images_gate_the_engine(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path]
) -> None:
    answer = ssr_edge(
        *("build-engine", tiny_bundle.path, "--bundle", tmp_path / "new", "--precision", "fp32"),
        *("--held-out", demo_images[0].parent),
    )
    assert answer.code == 0, answer.err
    gate = Bundle.open(tmp_path / "new").manifest.engines[-1].gate
    assert gate is not None
    assert (gate.images, gate.labeled, gate.agreement, gate.passed) == (22, True, 1.0, True)
    assert gate.max_probability_difference < 1e-6


def test_a_folder_of_photos_is_not_replaced_by_a_bundle(ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"dear")
    answer = ssr_edge("build-engine", tiny_bundle.path, "--bundle", tmp_path, "--precision", "fp32")
    assert answer.code == 1
    assert str(tmp_path) in answer.err.splitlines()[0]
    assert (tmp_path / "holiday.jpg").read_bytes() == b"dear"


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("nowhere",), 2, "nowhere"),
        (("BUNDLE", "--cam"), 2, "--cam"),
        (("BUNDLE", "--equalise"), 2, "--equalize"),
        (("BUNDLE", "--calibration-cache", "ranges.json"), 2, "--calibration-cache"),
        (("BUNDLE", "--batch", "8,1,32"), 2, "--batch '8,1,32'"),
        (("BUNDLE", "--batch", "0,1,2"), 2, "--batch '0,1,2'"),
        (("BUNDLE", "--batch", "8"), 2, "--batch '8'"),
        (("BUNDLE", "--runtime", "openvino", "--precision", "fp16"), 1, "OpenVINO"),
    ],
)
def test_errors_leave_the_bundle_as_it_was(
    ssr_edge: Run, tiny_bundle: Bundle, arguments: tuple[str, ...], code: int, found: str
) -> None:
    before = (tiny_bundle.path / "manifest.json").read_bytes()
    answer = ssr_edge("build-engine", *(tiny_bundle.path if a == "BUNDLE" else a for a in arguments))
    assert answer.code == code
    assert found in answer.err.splitlines()[0]
    assert [line.split(":")[0] for line in answer.err.splitlines()[1:]] == ["  expected", "  next"]
    assert (tiny_bundle.path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("option", "typo", "known"), [("--runtime", "cuda", BUILDERS), ("--precision", "int4", PRECISIONS)]
)
def test_an_unknown_runtime_or_precision_exits_2_and_lists_the_known_ones(
    ssr_edge: Run, tiny_bundle: Bundle, option: str, typo: str, known: tuple[str, ...]
) -> None:
    before = (tiny_bundle.path / "manifest.json").read_bytes()
    answer = ssr_edge("build-engine", tiny_bundle.path, option, typo)
    assert answer.code == 2
    assert all(value in answer.err for value in (option, typo, *known))
    assert (tiny_bundle.path / "manifest.json").read_bytes() == before


def test_the_runtimes_and_precisions_of_the_export_stage_are_offered() -> None:
    assert tuple(runtime.value for runtime in RuntimeName) == BUILDERS
    assert tuple(precision.value for precision in PrecisionName) == PRECISIONS


@pytest.mark.parametrize("option", ["--float-blocks", "--islands"])
def test_float_blocks_can_be_named_with_the_older_option_too(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, option: str
) -> None:
    place = ("--bundle", tmp_path / "new")
    answer = ssr_edge("build-engine", tiny_bundle.path, *place, "--precision", "int8", option, "stem")
    assert answer.code == 0, answer.err
    float_blocks = Bundle.open(tmp_path / "new").manifest.float_blocks
    assert float_blocks is not None and float_blocks.blocks == ["stem"]
