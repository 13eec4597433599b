"""`infer --server` with MLServer: the same rows as a local run, even if the server is killed during the run."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.bundle.bundle import Bundle
from tests.doubles.kserve import Script, serving
from tests.edge.image_files import many_images
from tests.edge.mlserver import MlServer

Run = Callable[..., Any]
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="kills a server with a signal"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Bundle) -> Iterator[MlServer]:
    server = MlServer(tmp_path_factory.mktemp("mlserver") / "models", tiny_bundle.path, "int8")
    yield server
    server.kill()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def assert_same(ours: Path, theirs: Path, count: int) -> None:
    """The same rows except for the latency; probabilities within 1e-6."""
    remote, local = rows(ours), rows(theirs)
    assert len(remote) == len(local) == count
    numbers = ["confidence", "malignant_probability", *(f"p_{label}" for label in CLASSES)]
    for row, expected in zip(remote, local, strict=True):
        assert list(row) == list(expected)
        for name in row:
            if name in numbers:
                assert float(row[name]) == pytest.approx(float(expected[name]), abs=1e-6, rel=0)
            elif name != "latency_ms":
                assert row[name] == expected[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, demo_images: list[Path], calibration_images: list[Path]) -> Path:
    """`images` with 90 microscope images (43 distinct) and an empty file among them."""
    folder = tmp_path_factory.mktemp("remote")
    many_images(folder / "images", [*demo_images, *calibration_images], 91)
    (folder / "images" / "41.jpg").unlink()
    (folder / "images" / "41.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def local(folder: Path, tiny_bundle: Bundle, ssr_edge_process: Run) -> Path:
    options = ("--precision", "int8", "--bundle", tiny_bundle.path)
    done = ssr_edge_process("infer", "images", *options, "-o", "local.csv", cwd=folder)
    assert done.code == 3, done.err
    return folder / "local.csv"


def test_90_images_get_the_same_labels_and_probabilities_as_here(
    server: MlServer, folder: Path, local: Path, tiny_bundle: Bundle, ssr_edge_process: Run
) -> None:
    options = ("--server", server.url, "--bundle", tiny_bundle.path, "-o", "remote.csv")
    done = ssr_edge_process("infer", "images", *options, cwd=folder)
    assert done.code == 3, done.err
    assert f"server-breast on {server.url.removesuffix('/breast')}" in done.err
    assert "mlserver 1.7.1, model version 1" in done.err
    assert_same(folder / "remote.csv", local, 90)
    assert (folder / "remote.failed.csv").read_text() == (folder / "local.failed.csv").read_text()


def started(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    program = [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", "infer", "images"]
    return subprocess.Popen(
        [*program, *map(str, arguments)],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background makes its children ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_rows(output: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not output.exists() or output.read_bytes().count(b"\n") <= count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_results_survive_a_killed_server(
    server: MlServer, folder: Path, local: Path, tiny_bundle: Bundle, ssr_edge_process: Run
) -> None:
    options = ("--server", server.url, "--bundle", tiny_bundle.path, "-o", "killed.csv", "--batch", "2")
    process = started(folder, *options, "--retry-for", "0.5", "--deadline", "5")
    wait_for_rows(folder / "killed.csv", 10, process)
    server.kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    done = rows(folder / "killed.csv")
    assert 10 <= len(done) < 90
    stopped, found, expected, next_step = err.splitlines()[-4:]
    assert f"{len(done) + (len(done) > 41)} inputs" in stopped and "--resume" in stopped
    assert found.startswith(f"ssr-edge: {server.url.removesuffix('/breast')} ")
    assert " 5 s" in expected and " 0.5 s" in expected
    assert next_step.startswith("  next: ") and "--resume" in next_step

    refused = ssr_edge_process("infer", "images", *options, "--resume", cwd=folder)
    assert refused.code == 1
    assert server.url.removesuffix("/breast") in refused.err
    assert rows(folder / "killed.csv") == done

    server.start()
    resumed = ssr_edge_process("infer", "images", *options, "--resume", cwd=folder)
    assert resumed.code == 3, resumed.err
    assert f" {len(done) + (len(done) > 41)} inputs" in resumed.err
    assert rows(folder / "killed.csv")[: len(done)] == done
    assert_same(folder / "killed.csv", local, 90)


def test_a_server_that_is_back_in_time_is_waited_for(
    server: MlServer, folder: Path, local: Path, tiny_bundle: Bundle
) -> None:
    options = ("--server", server.url, "--bundle", tiny_bundle.path, "-o", "waited.csv", "--batch", "2")
    process = started(folder, *options, "--retry-for", "60")
    wait_for_rows(folder / "waited.csv", 10, process)
    server.kill()
    server.start()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert_same(folder / "waited.csv", local, 90)


def test_a_second_interrupt_waits_for_no_server(demo_images: list[Path], tmp_path: Path) -> None:
    many_images(tmp_path / "images", demo_images, 100)
    script = Script()
    with serving(script) as address:
        options = ("--server", f"{address.server}/breast", "--deadline", "60", "--batch", "4")
        process = started(tmp_path, *options)
        wait_for_rows(tmp_path / "predictions.csv", 4, process)
        script.always = 60.0
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("stopped after ")


def test_a_bundle_is_not_needed(demo_images: list[Path], tmp_path: Path, ssr_edge: Run) -> None:
    output = tmp_path / "p.csv"
    with serving(Script()) as address:
        options = ("--server", f"{address.server}/breast", "-o", output)
        done = ssr_edge("infer", demo_images[0].parent, *options)
        assert done.code == 0, done.err
        resumed = ssr_edge("infer", demo_images[0].parent, *options, "--resume")
    assert done.err.startswith("no bundle")
    assert f"server-breast on {address.server}" in done.err
    assert len(rows(output)) == len(demo_images)
    assert " 22 inputs" in resumed.err
    record = json.loads((tmp_path / "p.run.json").read_text())
    assert (record["bundle"], record["engine"]) == (None, "server-breast")
    assert (record["version"], record["device"]) == ("double 1.0, model version 3", address.server)


def test_another_version_of_the_model_does_not_go_on(demo_images: list[Path], tmp_path: Path, ssr_edge: Run) -> None:
    script = Script()
    with serving(script) as address:
        options = ("--server", f"{address.server}/breast", "-o", tmp_path / "p.csv")
        assert ssr_edge("infer", demo_images[0], *options).code == 0
        script.version = "4"
        done = ssr_edge("infer", demo_images[0], *options, "--resume")
    assert done.code == 2
    assert "double 1.0, model version 3" in done.err and "double 1.0, model version 4" in done.err


@pytest.mark.parametrize("option", [("--precision", "int8"), ("--runtime", "openvino"), ("--resize", "gpu")])
def test_what_chooses_an_engine_here_does_not_go_with_a_server(
    demo_images: list[Path], ssr_edge: Run, option: tuple[str, str]
) -> None:
    done = ssr_edge("infer", demo_images[0], "--server", "grpc://127.0.0.1:1/breast", *option)
    assert done.code == 2
    assert option[0] in done.err and "--server" in done.err
