"""The stages of end-to-end, each alone."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.bench.measure.stages import STAGES, time_stages
from ssr_edge.bench.report.bar_charts import stages_chart
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.runners.choose import open_runner


def test_every_stage_has_its_time(tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    paths = [str(tmp_path / "broken.png"), *map(str, demo_images[:5])]
    with open_runner(tiny_bundle, "openvino", "int8") as runner:
        found = time_stages(runner, paths, batch=2)
        assert time_stages(runner, paths[:1], batch=2) == {}
    assert tuple(found) == STAGES
    assert all(0 < ms < 10_000 for ms in found.values())
    # Choosing one of eight classes is much faster than decoding an image.
    assert found["decide"] < found["decode"]


def test_the_bar_is_labeled_and_has_a_part_for_each_stage() -> None:
    drawing = str(stages_chart("openvino-int8", {"decode": 4.0, "resize": 1.0, "engine": 14.0, "decide": 1.0}, 15.0))
    assert "openvino-int8" in drawing
    assert "decode 4.00, resize 1.00, engine 14.00, decide 1.00; pipeline 15.00" in drawing
    assert drawing.count("<rect") == 4
