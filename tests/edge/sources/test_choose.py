from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Event

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_edge.images.preprocess import decode
from ssr_edge.sources.choose import Source, open_source, without_password
from tests.edge.conftest import FPS, FRAMES


def opened(source: str | Path, every: int = 1, live: bool | None = None) -> Source:
    return open_source(str(source), Event(), every, live)


def frames(source: Source) -> list[tuple[str, int]]:
    return [(Path(item.source).name, item.frame) for item in source.inputs]


@pytest.mark.parametrize(
    "source", ["0", "17", "/dev/null", "rtsp://h/x", "RTSPS://h", "http://h:1/", "https://h", "a ! b"]
)
def test_cameras_and_streams_are_live_by_default(source: str) -> None:
    assert (opened(source).live, opened(source).moving) == (True, True)
    assert not opened(source, live=False).live


def test_a_video_is_live_on_request(video: Path) -> None:
    assert (opened(video).live, opened(video, live=True).live) == (False, True)
    assert opened(video, every=4).fps == FPS / 4
    assert frames(opened(video, every=4)) == [("clip.mp4", number) for number in range(0, FRAMES, 4)]


def test_images_are_never_live(demo_images: list[Path]) -> None:
    for source in (demo_images[0], demo_images[0].parent, "-"):
        with pytest.raises(UsageError) as error:
            opened(source, live=True)
        assert str(source) in error.value.found
        assert "--live" in error.value.expected
    assert not opened(demo_images[0], live=False).moving


def test_a_file_named_as_a_camera_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0").touch()
    assert frames(opened("0")) == [("0", 0)]


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(UsageError) as error:
        opened("ftp://host/x")
    assert "ftp://" in error.value.found
    assert "rtsp://" in error.value.expected


def test_files_of_every_kind_stand_in_one_list(tmp_path: Path, video: Path, demo_images: list[Path]) -> None:
    (tmp_path / "a.jpg").write_bytes(demo_images[0].read_bytes())
    cv2.imwritemulti(str(tmp_path / "b.tif"), [decode(path) for path in demo_images[:3]])
    (tmp_path / "c.mp4").write_bytes(video.read_bytes())
    (tmp_path / "d.mkv").write_bytes(b"damaged")
    found = [("a.jpg", 0), *(("b.tif", page) for page in range(3)), *(("c.mp4", n) for n in range(FRAMES))]
    assert frames(opened(tmp_path / "*")) == [*found, ("d.mkv", 0)]
    assert frames(opened(tmp_path / "*", every=2)) == [*(item for item in found if item[1] % 2 == 0), ("d.mkv", 0)]
    assert frames(opened(tmp_path)) == found[:4]  # a folder is searched for images


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://me:secret@host/x", "rtsp://me:***@host/x"),
        ("rtsp://me:a:b@host:554/x?y=z@w", "rtsp://me:***@host:554/x?y=z@w"),
        ("http://host:80/a@b", "http://host:80/a@b"),
        ("rtsp://me@host/x", "rtsp://me@host/x"),
        ("folder/a:b@c.png", "folder/a:b@c.png"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
    assert "secret" not in opened(url).shown if "://" in url else True


@given(st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=12))
def test_any_text_is_a_source_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    with suppress(UsageError):
        assert opened(text).inputs is not None
