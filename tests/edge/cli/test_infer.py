from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import EngineEntry
from ssr_edge.images.preprocess import load
from ssr_edge.results.rows import COLUMNS
from ssr_edge.runners.choose import choose_precision, open_runner
from tests.doubles.host_kernels import HostKernels
from tests.doubles.install import fake_plan, install, tiny_network, write_bundle
from tests.doubles.machine import Machine

Run = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_images: list[Path]) -> Path:
    """The working folder of a run, with five good and three broken images in `images`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for path in demo_images[::5]:
        shutil.copy(path, tmp_path / "images")
    (tmp_path / "images" / "empty.png").touch()
    (tmp_path / "images" / "half.jpg").write_bytes(demo_images[0].read_bytes()[:20_000])
    (tmp_path / "images" / "a, text.png").write_text("no image")
    return tmp_path


def rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_broken_files_are_listed_and_the_others_classified(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]
) -> None:
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path)
    assert answer.code == 3
    assert [Path(row["source"]).name for row in rows("predictions.csv")] == [path.name for path in demo_images[::5]]
    assert rows("predictions.failed.csv") == [
        {"source": "images/a, text.png", "reason": "the content is damaged or not an image"},
        {"source": "images/empty.png", "reason": "the file is empty"},
        {"source": "images/half.jpg", "reason": "the image is truncated: its end marker is missing"},
    ]
    assert "3 failed, listed in predictions.failed.csv:\n  images/a, text.png: the content is damaged" in answer.err
    assert "5 images in " in answer.err
    assert "Traceback" not in answer.err


def test_a_clean_run_exits_with_0_and_its_figures_are_the_engines(
    ssr_edge: Run, tiny_bundle: Bundle, demo_images: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "out" / "p.csv"
    answer = ssr_edge("infer", demo_images[0].parent, "--bundle", tiny_bundle.path, "--precision", "fp32", "-o", output)
    assert answer.code == 0
    with open_runner(tiny_bundle, "onnxruntime", "fp32") as runner:
        expected = runner.infer(np.stack([load(path) for path in demo_images])).probabilities
    found = rows(output)
    assert [row["source"] for row in found] == [str(path) for path in demo_images]
    for row, probabilities in zip(found, expected, strict=True):
        assert [float(row[f"p_{label}"]) for label in CLASSES] == pytest.approx(probabilities.tolist(), abs=2e-6)
        assert row["label"] == CLASSES[int(probabilities.argmax())]
        assert float(row["malignant_probability"]) == pytest.approx(float(probabilities[4:].sum()), abs=2e-6)
    assert not output.with_suffix(".failed.csv").exists()
    table = [line.replace("│", " ").split() for line in answer.out.splitlines()]
    counted = {words[0]: int(words[-2]) for words in table if words and words[0] in CLASSES}
    assert counted == Counter(row["label"] for row in found)


def test_several_outputs_at_once(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    ssr_edge("infer", "images/*.jpg", "--bundle", tiny_bundle.path, "-o", "a.jsonl", "-o", "b.csv")
    lines = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [row["source"] for row in rows("b.csv")]
    assert [row["source"] for row in rows("a.failed.csv")] == ["images/half.jpg"]
    assert not Path("predictions.csv").exists()


def test_a_dash_keeps_stdout_to_the_csv(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "-o", "-")
    assert answer.code == 3
    found = list(csv.reader(answer.out.splitlines()))
    assert tuple(found[0]) == COLUMNS
    assert [len(row) for row in found] == [len(COLUMNS)] * 6


def test_the_newest_bundle_and_paths_on_stdin(
    ssr_edge_process: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]
) -> None:
    shutil.copytree(tiny_bundle.path, place / "bundles" / "tiny")
    paths = [str(demo_images[3]), "missing.png", str(demo_images[0])]
    answer = ssr_edge_process("infer", "-", cwd=place, stdin="\n".join(paths))
    assert answer.code == 3
    # Which of its engines was faster when it was made is the machine's business.
    assert answer.err.startswith(f"bundles/tiny: openvino-{choose_precision(tiny_bundle, None)} on ")
    assert [row["source"] for row in rows("predictions.csv")] == [paths[0], paths[2]]
    assert [row["source"] for row in rows("predictions.failed.csv")] == ["missing.png"]


def test_many_failures_are_counted_but_only_ten_are_shown(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(25):
        (tmp_path / f"{number}.png").touch()
    answer = ssr_edge("infer", ".", "--bundle", tiny_bundle.path)
    assert answer.code == 3
    assert "25 failed" in answer.err
    assert answer.err.count("the file is empty") == 10
    assert [row["source"] for row in rows("predictions.failed.csv")] == [f"{number}.png" for number in range(25)]


def test_another_magnification_is_flagged_and_said(
    ssr_edge: Run, tiny_bundle: Bundle, tmp_path: Path, demo_images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(demo_images[0], "SOB_M_DC-14-2523-400-001.jpg")
    answer = ssr_edge("infer", ".", "--bundle", tiny_bundle.path)
    assert "1 flagged other-magnification" in answer.err
    assert "other-magnification" in rows("predictions.csv")[0]["flags"].split()


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("nowhere",), 2, "nowhere does not exist"),
        (("*.gif",), 2, "nothing matches *.gif"),
        (("images", "-o", "p.xml"), 2, "p.xml has no known result format"),
        (("images", "--bundle", "images"), 1, "images is not a bundle"),
    ],
)
def test_errors_say_found_expected_and_next(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path, arguments: tuple[str, ...], code: int, found: str
) -> None:
    answer = ssr_edge("infer", "--bundle", tiny_bundle.path, *arguments)
    assert answer.code == code
    lines = answer.err.splitlines()
    assert found in lines[0] and lines[0].startswith("ssr-edge: ")
    assert lines[1].startswith("  expected: ") and lines[2].startswith("  next: ")
    assert len(lines) == 3


@pytest.mark.parametrize(("option", "typo"), [("--runtime", "cuda"), ("--precision", "int4"), ("--resize", "tpu")])
def test_a_misspelled_choice_is_a_usage_error(ssr_edge: Run, place: Path, option: str, typo: str) -> None:
    answer = ssr_edge("infer", "images", option, typo)
    assert answer.code == 2
    assert typo in answer.err and option in answer.err


def test_without_a_bundle_the_next_command_builds_one(ssr_edge: Run, place: Path) -> None:
    answer = ssr_edge("infer", "images")
    assert answer.code == 1
    assert "no bundle in" in answer.err and "next: ssr-edge build-engine" in answer.err


def test_threads_and_requests_can_be_set_and_change_nothing_else(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path
) -> None:
    found = []
    for threads, requests in ((1, 1), (3, 4)):
        answer = ssr_edge(
            *("infer", "images", "--bundle", tiny_bundle.path, "--batch", 2, "-o", f"{requests}.csv"),
            *("--threads", threads, "--requests", requests),
        )
        assert answer.code == 3
        found.append([(row["source"], row["label"], float(row["confidence"])) for row in rows(f"{requests}.csv")])
    assert [row[:2] for row in found[0]] == [row[:2] for row in found[1]]
    assert [row[2] for row in found[0]] == pytest.approx([row[2] for row in found[1]], abs=1e-4) and len(found[0]) == 5
    refused = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--requests", 0)
    assert refused.code == 2


def test_resizing_on_a_gpu_needs_tensorrt(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    answer = ssr_edge(
        "infer", "images", "--bundle", tiny_bundle.path, "--runtime", "openvino", "--resize", "gpu", "-o", "p.csv"
    )
    assert answer.code == 2
    found, expected, next_step = answer.err.splitlines()
    assert "openvino" in found and "--resize gpu with tensorrt or tensorrt-rtx" in expected
    assert "--resize cpu" in next_step and "ssr-edge doctor" in next_step
    assert not Path("p.csv").exists()


@pytest.mark.slow
def test_resizing_on_a_gpu_gives_the_same_labels(
    ssr_edge: Run, place: Path, host: HostKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine()
    machine.kernels = host
    install(monkeypatch, "10.13.3", machine)
    onnx.save(tiny_network(), place / "tiny.onnx")
    entry = EngineEntry(
        file="engines/tiny.plan",
        runtime="tensorrt",
        version="10.13.3",
        device="sm_89",
        precision="fp32",
        model="model.fp32.onnx",
        batch=(1, 2, 4),
        build_seconds=0,
    )
    bundle = write_bundle(place / "bundle", tiny_network(), [(entry, fake_plan(place / "tiny.onnx"))])
    asked = ("infer", "images", "--bundle", bundle.path, "--runtime", "tensorrt", "--precision", "fp32")
    for resize in ("cpu", "gpu"):
        answer = ssr_edge(*asked, "--resize", resize, "--batch", "2", "-o", f"{resize}.csv")
        assert answer.code == 3, answer.err
        assert "tensorrt-fp32 on Double RTX (sm_89)" in answer.err
    assert [event for event, _ in machine.events].count("resize_area") >= 3
    machine.demand_clean()
    labels = [[(row["source"], row["label"]) for row in rows(name)] for name in ("cpu.csv", "gpu.csv")]
    assert labels[0] == labels[1] and len(labels[0]) == 5
    assert rows("cpu.failed.csv") == rows("gpu.failed.csv")
