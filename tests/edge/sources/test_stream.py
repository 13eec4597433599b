"""A camera on loopback that goes away and comes back."""

from __future__ import annotations

import socket
import threading
import time
from itertools import pairwise
from threading import Event

import pytest

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.sources.stream import GIVE_UP_AFTER_S, frames_of_stream
from tests.edge.conftest import Camera


@pytest.mark.slow
def test_frames_go_on_after_the_camera_was_away(camera: Camera, capfd: pytest.CaptureFixture[str]) -> None:
    stop = Event()
    frames = frames_of_stream(camera.url, "the camera", stop)
    before = [next(frames) for _ in range(5)]
    camera.off()
    threading.Timer(1.0, camera.on).start()
    after = [item for item, _ in zip(frames, range(30), strict=False)]
    stop.set()
    assert list(frames) == []
    found = before + after
    assert [item.frame for item in found] == list(range(35))
    seconds = [item.seconds or 0 for item in found]
    assert seconds == sorted(seconds) and abs(seconds[-1] - time.time()) < 60
    assert max(b - a for a, b in pairwise(seconds)) > 0.9
    assert {item.read().shape for item in found} <= {(460, 700, 3), (456, 700, 3)}
    err = capfd.readouterr().err
    assert "the camera: no frame for" in err and "0.5 s" in err
    assert err.count("the camera: reconnected") == 1
    assert "127.0.0.1" not in err


def test_only_every_tenth(camera: Camera) -> None:
    frames = frames_of_stream(camera.url, "the camera", Event(), every=10)
    assert [next(frames).frame for _ in range(3)] == [0, 10, 20]
    frames.close()  # type: ignore[attr-defined]


def test_it_gives_up_after_a_stated_time(camera: Camera) -> None:
    frames = frames_of_stream(camera.url, "the camera", Event(), give_up_after=0.5)
    next(frames)
    camera.off()
    with pytest.raises(RuntimeUnavailable) as error:
        list(frames)
    assert "the camera" in error.value.found
    assert "1 s" in error.value.found
    assert "0 s" in error.value.expected  # 0.5, without decimals


def test_stopping_ends_the_wait_for_a_connection(camera: Camera) -> None:
    stop = Event()
    frames = frames_of_stream(camera.url, "the camera", stop)
    next(frames)
    camera.off()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    list(frames)
    # Not by giving up, which it would do with an error, and much later.
    assert stop.is_set() and time.monotonic() - started < GIVE_UP_AFTER_S / 2


def test_a_source_that_is_missing_at_first_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = time.monotonic()
    for source in (f"http://127.0.0.1:{port}/", f"rtsp://127.0.0.1:{port}/", "97"):
        with pytest.raises(RuntimeUnavailable) as error:
            next(frames_of_stream(source, "a name", Event()))
        assert "a name" in error.value.found
        assert source not in str(error.value)
    assert time.monotonic() - started < 30


def test_a_server_that_never_answers_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssr_edge.sources.capture.OPEN_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(RuntimeUnavailable):
            next(frames_of_stream(f"http://127.0.0.1:{silent.getsockname()[1]}/", "a name", Event()))
        assert 0.3 < time.monotonic() - started < 30


def test_without_gstreamer_the_package_that_has_it_is_named() -> None:
    with pytest.raises(RuntimeUnavailable) as error:
        next(frames_of_stream("videotestsrc ! appsink", "a pipeline", Event()))
    assert "GStreamer" in error.value.found
    assert "python3-opencv" in error.value.next_step
