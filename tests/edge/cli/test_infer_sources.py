"""`infer` on TIFF pages, a video and a camera, as a user calls it."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import pytest

from ssr_edge.bundle.bundle import Bundle
from ssr_edge.images.preprocess import decode
from tests.edge.conftest import FPS, FRAMES, Camera

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: str | Path = "predictions.csv") -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_pages_of_a_tiff(ssr_edge: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]) -> None:
    cv2.imwritemulti("stack.tif", [decode(path) for path in demo_images[:3]])
    assert ssr_edge("infer", "stack.tif", "--bundle", tiny_bundle.path, "--save", "seen").code == 0
    assert [(row["source"], row["frame"], row["seconds"]) for row in rows()] == [
        ("stack.tif", str(page), "") for page in range(3)
    ]
    # --save draws on the full-size image; the classified image has no text on it.
    assert len(list(Path("seen").rglob("*.jpg"))) == 3
    labels = [(row["label"], row["confidence"]) for row in rows()]
    ssr_edge("infer", "stack.tif", "--bundle", tiny_bundle.path)
    assert [(row["label"], row["confidence"]) for row in rows()] == labels


def test_a_video_and_its_annotated_copy(ssr_edge: Run, tiny_bundle: Bundle, video: Path) -> None:
    answer = ssr_edge("infer", video, "--bundle", tiny_bundle.path, "--every", "2", "--save", "seen.mp4")
    assert answer.code == 0
    assert [int(row["frame"]) for row in rows()] == list(range(0, FRAMES, 2))
    assert [float(row["seconds"]) for row in rows()] == pytest.approx([n / FPS for n in range(0, FRAMES, 2)], abs=1e-3)
    copy = cv2.VideoCapture("seen.mp4")
    assert (copy.get(cv2.CAP_PROP_FRAME_COUNT), copy.get(cv2.CAP_PROP_FPS)) == (FRAMES / 2, FPS / 2)


@pytest.mark.slow
def test_a_killed_run_over_a_video_and_pages_is_resumed(
    ssr_edge_process: Run, tiny_bundle: Bundle, place: Path, video: Path, demo_images: list[Path]
) -> None:
    (place / "in").mkdir()
    cv2.imwritemulti("in/stack.tif", [decode(path) for path in demo_images[:3]])
    listed = "\n".join(map(str, ("in/stack.tif", video)))
    asked = ("infer", "-", "--bundle", tiny_bundle.path)
    assert ssr_edge_process(*asked, cwd=place, stdin=listed).code == 0
    whole = Path("predictions.csv").read_text().splitlines(keepends=True)
    assert len(whole) == 1 + 3 + FRAMES
    for kept in (2, 7):  # in the middle of the pages, and of the video
        Path("predictions.csv").write_text("".join(whole[:kept]) + whole[kept][:9])
        assert ssr_edge_process(*asked, "--resume", cwd=place, stdin=listed).code == 0
        assert [(row["source"], row["frame"], row["p_DC"]) for row in rows()] == [
            (row["source"], row["frame"], row["p_DC"]) for row in csv.DictReader(whole)
        ]


@pytest.mark.parametrize("live", ["--live", "--no-live"])
def test_a_camera_can_not_be_resumed(ssr_edge: Run, tiny_bundle: Bundle, camera: Camera, live: str) -> None:
    answer = ssr_edge("infer", camera.url, "--bundle", tiny_bundle.path, live, "--resume")
    assert answer.code == 2
    assert "--resume" in answer.err
    assert camera.url in answer.err
    assert not Path("predictions.csv").exists()


def test_a_damaged_video_is_listed(ssr_edge: Run, tiny_bundle: Bundle, video: Path) -> None:
    Path("cut.mp4").write_bytes(video.read_bytes()[:3000])
    assert ssr_edge("infer", "cut.mp4", "--bundle", tiny_bundle.path).code == 3
    assert [row["source"] for row in rows("predictions.failed.csv")] == ["cut.mp4"]


def test_a_live_video_takes_as_long_as_it_plays(ssr_edge: Run, tiny_bundle: Bundle, video: Path) -> None:
    started = time.monotonic()
    answer = ssr_edge("infer", video, "--bundle", tiny_bundle.path, "--live")
    assert answer.code == 0 and time.monotonic() - started >= (FRAMES - 1) / FPS
    assert live_summary(answer.err) == (FRAMES, FRAMES - len(rows())) and " p50 " in answer.err
    numbers = [int(row["frame"]) for row in rows()]
    assert numbers == sorted(set(numbers)) and numbers[-1] == FRAMES - 1


def live_summary(err: str) -> tuple[int, int]:
    """Numbers of frames and of dropped frames in the last report of a live run, which is on the whole run."""
    *_, (frames, dropped) = re.findall(r"live.*\b(\d+) frames\b.*\b(\d+) dropped\b", err)
    return int(frames), int(dropped)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from ssr_edge.cli.main import run; run()", "infer", *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_rows(count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not Path("predictions.csv").exists() or len(rows()) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_camera_that_goes_away_and_comes_back(tiny_bundle: Bundle, camera: Camera) -> None:
    process = start(camera.url, "--bundle", tiny_bundle.path, "--save", "seen.mp4")
    wait_for_rows(5, process)
    camera.off()
    time.sleep(0.5)
    before = len(rows())
    camera.on()
    wait_for_rows(before + 5, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    found = rows()
    numbers = [int(row["frame"]) for row in found]
    seconds = [float(row["seconds"]) for row in found]
    assert numbers == sorted(set(numbers)) and seconds == sorted(seconds)
    assert abs(seconds[-1] - time.time()) < 120
    assert max(b - a for a, b in pairwise(seconds)) > 0.4
    assert "no frame for" in err and "reconnected" in err
    # Every frame was classified, counted as dropped, or in progress when the run ended.
    frames, dropped = live_summary(err)
    assert 0 <= frames - dropped - len(found) <= 1
    # The annotated copy was completed although the run was interrupted.
    assert cv2.VideoCapture("seen.mp4").get(cv2.CAP_PROP_FRAME_COUNT) >= len(found) / 2


def test_seconds_end_an_unattended_run(ssr_edge: Run, tiny_bundle: Bundle, camera: Camera) -> None:
    answer = ssr_edge("infer", camera.url, "--bundle", tiny_bundle.path, "--seconds", "1")
    assert answer.code == 0 and len(rows()) >= 1
    assert live_summary(answer.err)[0] >= len(rows())


def test_every_frame_of_a_camera_is_classified_on_request(ssr_edge: Run, tiny_bundle: Bundle, camera: Camera) -> None:
    answer = ssr_edge("infer", camera.url, "--bundle", tiny_bundle.path, "--seconds", "1", "--no-live")
    assert answer.code == 0 and "dropped" not in answer.err
    assert [int(row["frame"]) for row in rows()] == list(range(len(rows())))


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_service_that_is_stopped_completes_its_files(tiny_bundle: Bundle, camera: Camera) -> None:
    process = start(camera.url, "--bundle", tiny_bundle.path, "--save", "seen.mp4")
    wait_for_rows(3, process)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert cv2.VideoCapture("seen.mp4").get(cv2.CAP_PROP_FRAME_COUNT) >= 3


def test_a_password_is_neither_printed_nor_written(ssr_edge: Run, tiny_bundle: Bundle, camera: Camera) -> None:
    url = camera.url.replace("://", "://me:secret@")
    answer = ssr_edge("infer", url, "--bundle", tiny_bundle.path, "--seconds", "1")
    assert answer.code == 0
    assert {row["source"] for row in rows()} == {camera.url.replace("://", "://me:***@")}
    camera.off()
    refused = ssr_edge("infer", url, "--bundle", tiny_bundle.path)
    assert refused.code == 1 and "me:***@" in refused.err
    assert "secret" not in answer.err + answer.out + refused.err


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("ftp://host/x",), 2, "ftp://"),
        (("images", "--live"), 2, "--live"),
        (("images", "--save", "x.mp4"), 2, "x.mp4"),
        (("97",), 1, "97"),
        (("a ! b",), 1, "GStreamer"),
    ],
)
def test_errors_have_found_expected_and_next(
    ssr_edge: Run, tiny_bundle: Bundle, demo_images: list[Path], arguments: tuple[str, ...], code: int, found: str
) -> None:
    Path("images").symlink_to(demo_images[0].parent)
    answer = ssr_edge("infer", "--bundle", tiny_bundle.path, *arguments)
    assert answer.code == code
    *_, first, second, third = answer.err.splitlines()
    assert found in first and first.startswith("ssr-edge: ")
    assert second.startswith("  expected: ") and third.startswith("  next: ")
