from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from ssr_edge.common.errors import InputError
from ssr_edge.images.preprocess import decode
from ssr_edge.sources.inputs import Input
from ssr_edge.sources.video import frames_of_video
from tests.edge.conftest import FPS, FRAMES

Make = Callable[..., Path]


def frames(path: Path, every: int = 1, paced: bool = False) -> list[Input]:
    return list(frames_of_video(path, Event(), every, paced))


def reason(item: Input) -> str:
    with pytest.raises(InputError) as error:
        item.read()
    return error.value.found


def test_every_frame_in_order_with_its_time(video: Path, demo_images: list[Path]) -> None:
    found = frames(video)
    assert [item.frame for item in found] == list(range(FRAMES))
    assert [item.seconds for item in found] == pytest.approx([number / FPS for number in range(FRAMES)])
    assert {item.source for item in found} == {str(video)}
    captured = [item.captured for item in found]
    assert None not in captured and captured == sorted(captured)  # type: ignore[type-var]
    for item, path in zip(found, demo_images, strict=False):
        original = cv2.resize(decode(path), (350, 230), interpolation=cv2.INTER_AREA)
        # MPEG-4 is lossy; another image than its own is 25 to 60 gray levels away.
        assert np.abs(item.read().astype(int) - original).mean() < 8


def test_every_third_frame(video: Path) -> None:
    assert [item.frame for item in frames(video, every=3)] == list(range(0, FRAMES, 3))


def test_paced_frames_come_at_their_time(video: Path) -> None:
    started = time.perf_counter()
    found = frames(video, paced=True)
    late = [(item.captured or 0) - started - (item.seconds or 0) for item in found]
    assert min(late) > -0.001
    assert time.perf_counter() - started >= (FRAMES - 1) / FPS


def test_stopping_ends_the_frames_and_is_no_failure(video: Path) -> None:
    stop = Event()
    found = frames_of_video(video, stop)
    assert next(found).frame == 0
    stop.set()
    assert list(found) == []


def test_what_is_no_video_is_one_failure(tmp_path: Path, video: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:5000])
    for name, why in (("empty.mp4", "empty"), ("cut.mp4", "truncated"), ("missing.mp4", "no such file")):
        (item,) = frames(tmp_path / name)
        assert why in reason(item)


def test_a_video_that_ends_early_fails_at_its_end(tmp_path: Path, make_video: Make) -> None:
    whole = make_video(tmp_path / "whole.avi", 100, "MJPG")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    *found, last = frames(cut)
    assert 30 < len(found) < 70
    assert f"frame {len(found)}:" in reason(last)
    assert "100 frames" in reason(last)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere names are Unicode")
def test_a_name_that_is_not_utf8_or_looks_like_a_protocol(
    tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (os.fsdecode(b"caf\xe9.mp4"), "http:x.mp4", "%d.mp4"):
        Path(name).write_bytes(video.read_bytes())
        assert len(frames(Path(name))) == FRAMES
