"""`infer --ray` on a cluster of two nodes on this machine: the same rows as a local run, even if a node is lost."""

from __future__ import annotations

import csv
import importlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.install_hint import install_hint
from ssr_edge.distributed.cluster import import_ray

pytestmark = pytest.mark.heavy

Run = Callable[..., Any]
PART = 100


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one core each; this process runs on the first."""
    pytest.importorskip("ray", reason="the extra 'ray'")
    import_ray()
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")

    size: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=size | {"include_dashboard": False})
    cluster.add_node(**size)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, demo_images: list[Path], calibration_images: list[Path]) -> Path:
    """2,000 files: JPEG crops of the demo's images; one in 400 is not an image."""
    folder = tmp_path_factory.mktemp("archive")
    originals = [cv2.imread(str(path)) for path in (*demo_images, *calibration_images)]
    for number in range(2000):
        if number % 400 == 7:
            (folder / f"tile{number}.jpg").write_text("no image")
            continue
        view, original = divmod(number, len(originals))
        image = originals[original]
        assert image is not None
        x, y = 9 * (view % 10), 9 * (view // 10)
        assert cv2.imwrite(str(folder / f"tile{number}.jpg"), image[y : y + 240, x : x + 320])
    return folder


@pytest.fixture(scope="module")
def local(ssr_edge_process: Run, images: Path, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the results of a local run on `images`."""
    folder = tmp_path_factory.mktemp("local")
    assert ssr_edge_process("infer", images, "--bundle", tiny_bundle.path, cwd=folder).code == 3
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [row | {"latency_ms": ""} for row in csv.DictReader(file)]


def check_same(found: Path, local: Path, count: int = 2000) -> None:
    assert rows(found) == rows(local / "predictions.csv")
    failures = found.with_suffix(".failed.csv").read_text()
    assert failures == (local / "predictions.failed.csv").read_text()
    assert len(rows(found)) + len(failures.splitlines()) - 1 == count


def test_two_nodes_give_the_rows_of_a_local_run_and_go_on_by_part(
    ssr_edge: Run, cluster: Any, images: Path, local: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    output = tmp_path / "p.csv"
    command = ["infer", images, "--bundle", tiny_bundle.path, "--ray", cluster.address, "--part-size", PART]
    answer = ssr_edge(*command, "-o", output)
    assert answer.code == 3
    assert "2 actors of 1 cores; the cluster has room for 2\n" in answer.err
    assert "2000 images in " in answer.err and "5 failed, listed in " in answer.err
    assert "Traceback" not in answer.err and "raylet" not in answer.out + answer.err
    check_same(output, local)

    parts = sorted(output.with_suffix(".parts").glob("part-*.parquet"))
    assert len(parts) == 20
    written = {part: part.stat().st_mtime_ns for part in parts}
    for part in (lost := parts[3:5]):
        part.unlink()
    output.unlink()
    answer = ssr_edge(*command, "-o", output, "--resume")
    assert f"{18 * PART} images were already finished\n" in answer.err and f"{2 * PART} images in " in answer.err
    assert [part for part in parts if part.stat().st_mtime_ns != written[part]] == lost
    check_same(output, local)

    answer = ssr_edge(*command, "-o", output, "--resume", "--precision", "fp32")
    assert answer.code == 2
    assert "precision auto, this run has precision fp32" in answer.err


def test_no_row_is_lost_with_a_killed_node(
    ssr_edge: Run, cluster: Any, images: Path, local: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    output, finished_before = tmp_path / "p.csv", []

    def kill() -> None:
        parts = output.with_suffix(".parts")
        while len(found := list(parts.glob("part-*.parquet"))) < 6:
            time.sleep(0.05)
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        finished_before.extend(found)

    killer = Thread(target=kill, daemon=True)
    killer.start()
    answer = ssr_edge(
        *("infer", images, "--bundle", tiny_bundle.path, "-o", output),
        *("--ray", cluster.address, "--part-size", PART, "--actors", 2),
    )
    killer.join(1)
    assert not killer.is_alive() and 6 <= len(finished_before) < 20
    assert answer.code == 3
    assert "nodes lost during the run: 1;" in answer.err
    assert "Traceback" not in answer.err
    check_same(output, local)


def test_rays_usage_reports_are_always_off(monkeypatch: pytest.MonkeyPatch) -> None:
    usage_lib = pytest.importorskip("ray._common.usage.usage_lib")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    assert usage_lib.usage_stats_enabled()
    import_ray()
    assert not usage_lib.usage_stats_enabled()


def test_without_ray_the_error_has_the_pip_command(
    ssr_edge: Run, tiny_bundle: Bundle, demo_images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    answer = ssr_edge("infer", demo_images[0], "--bundle", tiny_bundle.path, "--ray", "local")
    assert answer.code == 1
    assert "ray is not installed\n" in answer.err and f"next: {install_hint('ray')}\n" in answer.err


def test_a_missing_cluster_is_reported_at_once(ssr_edge: Run, tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    answer = ssr_edge("infer", demo_images[0], "--bundle", tiny_bundle.path, "--ray", "127.0.0.1:9")
    assert answer.code == 1
    assert "127.0.0.1:9: [Errno 111] Connection refused\n" in answer.err
    assert "--ray local" in answer.err


def test_options_that_ray_does_not_support(ssr_edge: Run, tiny_bundle: Bundle, demo_images: list[Path]) -> None:
    answer = ssr_edge("infer", demo_images[0], "--bundle", tiny_bundle.path, "--ray", "local", "--show", "--seconds", 3)
    assert answer.code == 2
    for option in ("--ray", "--seconds", "--show"):
        assert option in answer.err.splitlines()[0]
    assert ssr_edge("infer", "rtsp://camera/1", "--bundle", tiny_bundle.path, "--ray", "local").code == 2
