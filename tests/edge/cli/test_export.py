from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.bundle.bundle import Bundle

pytestmark = pytest.mark.slow

Run = Callable[..., Any]


def test_a_checkpoint_becomes_a_bundle_without_engines_named_after_its_run(
    ssr_edge: Run,
    tiny_checkpoint: Path,
    calibration_images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = ssr_edge("export", tiny_checkpoint, "--calibration-images", calibration_images[0].parent)
    assert answer.code == 0, answer.err
    place = f"bundles/{tiny_checkpoint.parent.name}"
    assert answer.out.splitlines()[-2:] == [f"wrote {place}", f"next: ssr-edge build-engine {place}"]
    bundle = Bundle.newest()
    assert bundle.path == Path(place)
    assert bundle.manifest.engines == []
    assert {f"model.{precision}.onnx" for precision in ("fp32", "fp16", "int8")} <= {
        file.path for file in bundle.manifest.files
    }
    assert bundle.manifest.provenance.checkpoint == str(tiny_checkpoint)


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("nowhere",), 2, "nowhere"),
        (("notes.txt",), 1, "notes.txt"),
        (("CHECKPOINT", "--calibration-images", "."), 1, "images in ."),
    ],
)
def test_errors_write_nothing(
    ssr_edge: Run,
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("no checkpoint")
    answer = ssr_edge("export", *(tiny_checkpoint if a == "CHECKPOINT" else a for a in arguments))
    assert answer.code == code
    assert found in answer.err.splitlines()[0]
    assert not (tmp_path / "bundles").exists()
