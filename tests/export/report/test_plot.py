"""Plots: the content of the figures, not their appearance; files have the format of their suffix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from ssr_edge.bundle.histograms import Histogram
from ssr_edge.bundle.manifest import (
    BlockQuantization,
    QuantizationError,
    QuantizationReport,
    QuantizedTensor,
    SignalError,
)
from ssr_edge.common.errors import UsageError
from ssr_export.report.plot import plot_blocks, plot_tensor, save


def error(weights: float, activations: float, both: float) -> dict[str, SignalError]:
    parts = {"weights": weights, "activations": activations, "both": both}
    return {name: SignalError(sqnr_db=value, cosine=1.0) for name, value in parts.items()}


@pytest.fixture
def report() -> QuantizationReport:
    return QuantizationReport(
        images=4,
        logits=QuantizationError(**error(40, 30, 29)),
        blocks=[
            BlockQuantization(block="stem", **error(60, 40, 40)),
            BlockQuantization(block="stages.0.blocks.0", **error(200, 20, 20)),
        ],
        tensors=[],
    )


def activation(**changes: float) -> QuantizedTensor:
    fields = {"range": 2.0, "largest": 3.5, "values": 1000, "clipped": 10} | changes
    return QuantizedTensor(name="stem.input", tensor="mul_6", block="stem", kind="activation", **fields)


def test_bars_are_noise_over_signal_on_a_log_scale(report: QuantizationReport) -> None:
    axes = plot_blocks(report).axes[0]
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["stem", "stages.0.blocks.0"]
    widths = {bars.get_label(): [bar.get_width() for bar in bars] for bars in axes.containers}
    # 20 dB are a factor of ten in amplitude; zero error is drawn at the end of the scale.
    assert widths == {
        "weights": pytest.approx([1e-3, 1e-5]),
        "activations": pytest.approx([1e-2, 1e-1]),
        "both": pytest.approx([1e-2, 1e-1]),
    }
    left, right = axes.get_xlim()
    assert left < 1e-5
    assert right > 1e-1
    assert {text.get_text() for text in axes.texts} == {"60.0 dB", "40.0 dB", "200.0 dB", "20.0 dB"}


def test_the_histogram_shows_the_range_and_what_it_clips() -> None:
    histogram = Histogram(limit=4.0, counts=[500, 400, 90, 10])
    axes = plot_tensor(activation(), histogram).axes[0]
    assert axes.get_yscale() == "log"
    assert [np.asarray(line.get_xdata())[0] for line in axes.lines] == [2.0]
    steps = axes.patches[0].get_data()  # type: ignore[attr-defined]
    assert list(steps.values) == [500, 400, 90, 10]
    assert np.array_equal(steps.edges, [0, 1, 2, 3, 4])
    (shade,) = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (2.0, 3.5)
    legend = axes.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert any("range: 2 " in label for label in labels)
    assert any("10 of 1,000" in label and "1.0000%" in label for label in labels)
    assert axes.get_xlim()[1] > 3.5


def test_nothing_is_shaded_where_nothing_is_clipped() -> None:
    axes = plot_tensor(activation(range=3.5, clipped=0), Histogram(limit=4.0, counts=[1000])).axes[0]
    assert not [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_a_weight_shows_its_narrowest_and_its_widest_channel() -> None:
    weight = activation(clipped=0, largest=2.0).model_copy(update={"kind": "weight", "narrowest": 0.25})
    axes = plot_tensor(weight, Histogram(limit=2.0, counts=[900, 100])).axes[0]
    assert [np.asarray(line.get_xdata())[0] for line in axes.lines] == [2.0, 0.25]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.PNG", b"\x89PNG"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF")]
)
def test_a_file_has_the_format_of_its_suffix(
    report: QuantizationReport, tmp_path: Path, name: str, start: bytes
) -> None:
    save(plot_blocks(report), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith(start)
    assert len(data) > 5_000


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.txt"])
def test_other_suffixes_are_refused(report: QuantizationReport, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as refusal:
        save(plot_blocks(report), tmp_path / name)
    assert ".svg" in refusal.value.expected
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_refused(report: QuantizationReport, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError) as refusal:
        save(plot_blocks(report), tmp_path / "file" / "a.png")
    assert str(tmp_path / "file" / "a.png") in refusal.value.found
