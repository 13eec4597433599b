from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssr_train.data import image_cache
from ssr_train.data.breakhis import Record, contradictory_twins, read
from ssr_train.data.dataset import load_images
from ssr_train.data.image_cache import ImageCache, open_image_cache

SIZES = (64, 32)
BUILD = """
import sys
from pathlib import Path
from ssr_train.data.breakhis import read
from ssr_train.data.image_cache import open_image_cache
open_image_cache(Path(sys.argv[2]), read(Path(sys.argv[1])), (64, 32), print)
"""


@pytest.fixture
def tree(breakhis_tree: Path, tmp_path: Path) -> Path:
    """A copy that the test may change; the files keep their modification times."""
    return Path(shutil.copytree(breakhis_tree, tmp_path / "tree"))


class Opened:
    """Opens the cache and keeps the lines logged."""

    def __init__(self, root: Path, records: Sequence[Record], sizes: Sequence[int] = SIZES) -> None:
        self.logged: list[str] = []
        self.cache = open_image_cache(root, records, sizes, self.logged.append)

    @property
    def found(self) -> ImageCache:
        assert self.cache is not None
        return self.cache

    @property
    def decoded(self) -> bool:
        return any(line.startswith("decoding") for line in self.logged)


def arrays(root: Path) -> list[Path]:
    return sorted(root.glob("*/*.npy"))


def test_a_cache_gives_what_decoding_gives_and_is_mapped(tree: Path, tmp_path: Path) -> None:
    records = read(tree)
    first = Opened(tmp_path / "cache", records)
    (line,) = first.logged
    assert "82 images" in line and str(tmp_path / "cache") in line
    second = Opened(tmp_path / "cache", records)
    assert second.logged == []
    for size in SIZES:
        assert isinstance(second.found.pixels[size], np.memmap)
        expected, found = load_images(records[5:60:3], size), second.found.load(records[5:60:3], size)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert torch.equal(found.rgb(torch.tensor([3, 0, 3])), expected.rgb(torch.tensor([3, 0, 3])))
        assert torch.equal(found.targets, expected.targets)
        assert found.records == expected.records and found.unreadable == []


def test_twins_are_found_without_decoding_again(tree: Path, tmp_path: Path) -> None:
    records = read(tree)
    cache = Opened(tmp_path / "cache", records).found
    expected = contradictory_twins(records)
    assert len(expected[1]) == 1
    for path in tree.rglob("*.png"):
        path.unlink()
    assert contradictory_twins(records, cache.digests.get) == expected


def test_an_unreadable_image_is_left_out_and_named_until_it_is_mended(tree: Path, tmp_path: Path) -> None:
    broken, gone = read(tree)[3], read(tree)[9]
    records, whole = read(tree), broken.path.read_bytes()
    times = broken.path.stat().st_mtime_ns
    broken.path.write_bytes(b"\0" * len(whole))
    os.utime(broken.path, ns=(times, times))
    gone.path.unlink()
    for _ in range(2):
        found, expected = Opened(tmp_path / "cache", records).found.load(records, 32), load_images(records, 32)
        np.testing.assert_array_equal(found.pixels, expected.pixels)
        assert found.records == expected.records and len(found) == 80
        assert found.unreadable == expected.unreadable and str(broken.path) in found.unreadable[0]
    # Same size and time as before: only reading the file shows the difference.
    broken.path.write_bytes(whole)
    os.utime(broken.path, ns=(times, times))
    mended = Opened(tmp_path / "cache", records)
    assert mended.decoded and len(mended.found.load(records, 32)) == 81


@pytest.mark.parametrize("damage", ["a bit", "half an array", "no array", "no card", "not JSON", "another card"])
def test_a_damaged_cache_is_made_again(tree: Path, tmp_path: Path, damage: str) -> None:
    records, root = read(tree)[:12], tmp_path / "cache"
    expected = Opened(root, records).found.load(records, 64).pixels
    array = arrays(root)[-1]
    card = array.parent / "cache.json"
    content = bytearray(array.read_bytes())
    if damage == "a bit":
        content[-1000] ^= 1
        array.write_bytes(content)
    elif damage == "half an array":
        array.write_bytes(content[: len(content) // 2])
    elif damage == "no array":
        array.unlink()
    elif damage == "no card":
        card.unlink()
    else:
        card.write_text("{" if damage == "not JSON" else json.dumps([1]))
    again = Opened(root, records)
    assert any("damaged" in line for line in again.logged) and again.decoded
    np.testing.assert_array_equal(again.found.load(records, 64).pixels, expected)
    assert not Opened(root, records).decoded


def test_a_changed_image_or_size_has_a_cache_of_its_own(tree: Path, tmp_path: Path) -> None:
    records, root = read(tree)[:6], tmp_path / "cache"
    Opened(root, records)
    assert Opened(root, records, (64,)).decoded
    shutil.copy2(records[5].path, records[0].path)
    changed = Opened(root, records)
    assert changed.decoded
    np.testing.assert_array_equal(changed.found.load(records, 64).pixels, load_images(records, 64).pixels)
    assert len(list(root.glob("*/cache.json"))) == 3


def test_a_full_disk_is_logged_and_the_run_continues_without_a_cache(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., Any] = Path.open
    opened: list[Path] = []

    class Full:
        def __init__(self, file: Any) -> None:
            self._file, self.close = file, file.close

        def write(self, content: bytes) -> int:
            if len(content) > 3000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return int(self._file.write(content))

    def open_(path: Path, *mode: str) -> Any:
        opened.append(path)
        return Full(real(path, *mode)) if path.suffix == ".npy" else real(path, *mode)

    monkeypatch.setattr(Path, "open", open_)
    found = Opened(tmp_path / "cache", read(tree)[:4])
    assert found.cache is None and opened
    assert str(tmp_path / "cache") in found.logged[-1] and "No space left on device" in found.logged[-1]
    assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]


def test_a_cache_path_that_is_not_a_folder_is_logged(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    found = Opened(tmp_path / "cache", read(tree)[:4])
    assert found.cache is None and str(tmp_path / "cache") in found.logged[-1]


def test_a_kill_while_decoding_leaves_nothing_that_is_taken(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, root = read(tree)[:6], tmp_path / "cache"

    class Killed(BaseException): ...

    def die(*arguments: object) -> None:
        raise Killed

    monkeypatch.setattr(image_cache, "sha256_of", die)
    monkeypatch.setattr(shutil, "rmtree", lambda *arguments, **named: None)
    with pytest.raises(Killed):
        Opened(root, records)
    monkeypatch.undo()
    assert len([path for path in root.iterdir() if path.is_dir()]) == 1
    assert Opened(root, records).decoded
    assert [path.name for path in root.iterdir() if path.is_dir()] == [arrays(root)[0].parent.name]


@pytest.mark.slow
def test_processes_that_begin_at_once_decode_once(tree: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(tree), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=100)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(text.count("decoding") for text in outputs) == [0, 1]
    assert len(arrays(tmp_path / "cache")) == 2
