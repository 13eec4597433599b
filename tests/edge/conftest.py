"""Videos, and a camera on the network, made of the demo's images."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import cv2
import pytest

FRAMES, FPS = 12, 20.0
SERVER = Path(__file__).parents[2] / "benchmarks" / "mjpeg_server.py"


@pytest.fixture(scope="session")
def make_video(demo_images: list[Path]) -> Callable[..., Path]:
    """`make_video(path, frames, fourcc)`: 350x230 at 20 frames a second, of the demo's images in their order."""

    def make(path: Path, frames: int = FRAMES, fourcc: str = "mp4v") -> Path:
        writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), FPS, (350, 230))
        assert writer.isOpened()
        for path_of_image in islice(cycle(demo_images), frames):
            image = cv2.imread(str(path_of_image))
            assert image is not None
            writer.write(cv2.resize(image, (350, 230), interpolation=cv2.INTER_AREA))
        writer.release()
        return path

    return make


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory, make_video: Callable[..., Path]) -> Path:
    """FRAMES frames at FPS; treat it as read-only."""
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4")


class Camera:
    """An MJPEG camera on loopback, a process of its own, that can be switched off and on."""

    def __init__(self, images: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/"
        self._images = images
        self.on()

    def on(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, SERVER, self._images, "--port", str(self._port), "--fps", "25"],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"serving\n"

    def off(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def camera(demo_images: list[Path]) -> Iterator[Camera]:
    """A camera that is on, 25 frames a second."""
    camera = Camera(demo_images[0].parent)
    yield camera
    camera.off()
