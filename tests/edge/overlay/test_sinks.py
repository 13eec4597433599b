from __future__ import annotations

import os
import sys
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from ssr_edge.common.errors import RuntimeUnavailable, UsageError
from ssr_edge.images.preprocess import decode
from ssr_edge.inference.prediction import Prediction
from ssr_edge.overlay.sinks import open_sinks
from ssr_edge.sources.choose import Source, open_source
from tests.edge.conftest import FPS, FRAMES


def prediction(source: str = "clip.mp4", frame: int = 0, seconds: float | None = 0.0) -> Prediction:
    return Prediction(
        source=source,
        frame=frame,
        label="A",
        confidence=0.9,
        malignant_probability=0.1,
        flags=(),
        probabilities=np.full(8, 1 / 8, np.float32),
        latency_ms=1.0,
        seconds=seconds,
    )


def opened(name: str | Path) -> Source:
    return open_source(str(name), Event())


def save(place: Path, source: Source, name: str, images: list[np.ndarray], predictions: list[Prediction]) -> None:
    with open_sinks(source, name, str(place), False, Event()) as (sink,):
        for image, found in zip(images, predictions, strict=True):
            sink.add(image, found)


def levels(video: Path) -> list[int]:
    """The mean gray level of each frame of a video."""
    capture, found = cv2.VideoCapture(str(video)), []
    while capture.grab():
        found.append(round(float(capture.retrieve()[1].mean())))
    return found


def gray(*values: int, size: tuple[int, int] = (64, 96)) -> list[np.ndarray]:
    return [np.full((*size, 3), value, np.uint8) for value in values]


def test_a_video_keeps_its_speed_and_its_frames(tmp_path: Path, video: Path) -> None:
    predictions = [prediction(frame=n, seconds=n / FPS) for n in range(FRAMES)]
    shades = range(20, 20 + 15 * FRAMES, 15)
    save(tmp_path / "out.mp4", opened(video), str(video), gray(*shades), predictions)
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FPS) == FPS
    assert levels(tmp_path / "out.mp4") == pytest.approx(list(shades), abs=6)


def test_dropped_frames_are_filled_and_an_absence_is_left_out(tmp_path: Path) -> None:
    # 25 per second: the second frame is three frames late, the third comes after a gap of ten seconds.
    times = [1000.0, 1000.0 + 3 / 25, 1010.0, 1010.0 + 1 / 25]
    predictions = [prediction("cam", n, seconds) for n, seconds in enumerate(times)]
    save(tmp_path / "out.mp4", opened("0"), "0", gray(50, 100, 150, 200), predictions)
    assert levels(tmp_path / "out.mp4") == pytest.approx([50, 100, 100, 100, 150, 200], abs=6)


def test_a_frame_of_another_size_gets_the_first_ones(tmp_path: Path) -> None:
    images = gray(50) + gray(100, size=(32, 48))
    save(tmp_path / "out.mp4", opened("0"), "0", images, [prediction("cam", n, n / 25) for n in range(2)])
    assert levels(tmp_path / "out.mp4") == pytest.approx([50, 100], abs=6)


def test_nothing_classified_writes_no_video(tmp_path: Path) -> None:
    save(tmp_path / "new" / "out.mp4", opened("0"), "0", [], [])
    assert list(tmp_path.rglob("*.mp4")) == []


def test_a_folder_mirrors_its_source(tmp_path: Path, demo_images: list[Path]) -> None:
    images = tmp_path / "images"
    (images / "b").mkdir(parents=True)
    sources = [images / "a.png", images / "b" / "a.png", images / "b" / "s.tif", images / "b" / "s.tif"]
    sources[0].touch()
    predictions = [prediction(str(path), frame, None) for path, frame in zip(sources, (0, 0, 0, 1), strict=True)]
    save(tmp_path / "out", opened(images), str(images), gray(10, 20, 30, 40), predictions)
    found = {path.relative_to(tmp_path / "out").as_posix(): path for path in (tmp_path / "out").rglob("*.jpg")}
    assert set(found) == {"a.png.jpg", "b/a.png.jpg", "b/s.tif.jpg", "b/s.tif/000001.jpg"}
    assert decode(found["b/a.png.jpg"]).mean() == pytest.approx(20, abs=1)


@pytest.mark.parametrize("source", ["../../x.png", "/etc/x.png", "a/../../../x.png", "..", "rtsp://u:***@host/x"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, source: str, demo_images: list[Path]) -> None:
    place = tmp_path / "deep" / "out"
    for frame in (0, 7):
        save(place, opened(demo_images[0]), "0", gray(1), [prediction(source, frame, None)])
        save(place, opened(demo_images[0]), source, gray(1), [prediction(source, frame, 1.0)])
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written and all(path.is_relative_to(place) for path in written)


def test_what_can_not_be_saved_is_refused_before_the_run(tmp_path: Path, video: Path, demo_images: list[Path]) -> None:
    (tmp_path / "file").touch()
    for place, source, named in (
        ("out.mp4", demo_images[0], "out.mp4"),
        ("out.avi", video, "out.avi"),
        ("file/out.mp4", video, str(tmp_path / "file")),
        (os.fsdecode(b"caf\xe9.mp4"), video, ".mp4"),
        ("file", demo_images[0], str(tmp_path / "file")),
    ):
        with (
            pytest.raises(UsageError) as error,
            open_sinks(opened(source), str(source), str(tmp_path / place), False, Event()),
        ):
            pass
        assert named in error.value.found
        assert "--save" in error.value.next_step


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux desktops set DISPLAY")
@pytest.mark.parametrize(
    ("framework", "display", "found"),
    [
        ("", ":0", cv2.__version__),
        ("QT", None, "DISPLAY"),
        # PyPI's opencv-python has Qt's X11 plugin only: on Wayland alone it ends the process.
        ("QT", "wayland-0", "DISPLAY"),
        ("GTK3", None, "DISPLAY"),
    ],
)
def test_show_is_refused_where_no_window_can_be_opened(
    framework: str, display: str | None, found: str, monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    set_display(display, monkeypatch)
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: framework)
    with pytest.raises(RuntimeUnavailable) as error, open_sinks(opened(video), str(video), None, True, Event()):
        pass
    assert found in error.value.found and "--save" in error.value.next_step


def set_display(display: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a desktop session sets it: `:0` for X11, `wayland-0` for Wayland, None without a screen."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display:
        monkeypatch.setenv("WAYLAND_DISPLAY" if display.startswith("wayland") else "DISPLAY", display)


@pytest.mark.parametrize(("framework", "display"), [("QT", ":0"), ("GTK3", ":0"), ("GTK3", "wayland-0")])
def test_q_in_the_window_ends_the_run(
    framework: str, display: str, monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    """Windows need a screen: OpenCV's functions for them are replaced."""
    shown: list[np.ndarray] = []
    keys = iter([-1, ord("q")])
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: framework)
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image))
    monkeypatch.setattr(cv2, "waitKey", lambda _: next(keys))
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: 1.0)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    set_display(display, monkeypatch)
    stop = Event()
    with open_sinks(opened(video), str(video), None, True, stop) as (window,):
        window.add(gray(1)[0], prediction())
        assert not stop.is_set()
        window.add(gray(2)[0], prediction())
        assert stop.is_set() and len(shown) == 2
