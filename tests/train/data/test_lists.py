from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import DataError, SsrEdgeError, UsageError
from ssr_train.data.breakhis import Record
from ssr_train.data.lists import Listed, parts_of, read_list
from ssr_train.data.splits import Split

NAME = "SOB_M_DC-14-2523-100-001"
RECORD = Record("mine", Path("/data/mine.tif"), "A", "14-1", 100)
AT_HAND = {"mine": RECORD}


def test_a_folder_lists_its_images_whatever_they_are_called(tmp_path: Path) -> None:
    for name in (f"a/{NAME}.png", "b/own.JPG", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert read_list(str(tmp_path), {}).images == [
        Listed(NAME, "DC", "14-2523", tmp_path / "a" / f"{NAME}.png"),
        Listed("own", None, None, tmp_path / "b" / "own.JPG"),
    ]


def test_patients_of_a_folder_come_from_its_index(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,class,patient,magnification\nown.png,PC,14-9,40\n")
    assert read_list(str(tmp_path), {}).images == [Listed("own", "PC", "14-9", tmp_path / "own.png")]


def test_a_text_file_has_names_and_paths_of_either_system(tmp_path: Path) -> None:
    (tmp_path / "here.png").touch()
    text = f"# mine\n\n{NAME}\nD:\\BreaKHis\\{NAME}.png\n/elsewhere/{NAME}.PNG\nhere.png\nmine\nv1.2 unknown\n"
    (tmp_path / "list.txt").write_text(text)
    assert read_list(str(tmp_path / "list.txt"), AT_HAND).images == [
        *[Listed(NAME, "DC", "14-2523")] * 3,
        Listed("here", path=tmp_path / "here.png"),
        Listed("mine", "A", "14-1", RECORD.path),
        Listed("v1.2 unknown"),
    ]


def test_a_split_file_is_one_list_or_one_of_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    Split("image", 0, {NAME: "test", "mine": "train", "x": "train"}).write(path)
    assert [image.name for image in read_list(str(path), {}).images] == [NAME, "mine", "x"]
    only = read_list(f"{path}:train", AT_HAND)
    assert (only.shown, only.images) == (f"{path}:train", [Listed("mine", "A", "14-1", RECORD.path), Listed("x")])
    assert [(one.shown, len(one.images)) for one in parts_of(path, {})] == [("train", 2), ("test", 1)]
    with pytest.raises(DataError) as raised:
        read_list(f"{path}:val", {})
    assert f"{path}:val" in raised.value.found


@pytest.mark.parametrize("asked", ["nowhere", "nowhere.csv", "nowhere.csv:test"])
def test_what_is_not_there_is_wrong_usage(asked: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_list(asked, {})
    assert asked in raised.value.found


@given(st.binary(max_size=60))
def test_any_text_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    try:
        images = read_list(str(tmp_path / "list.txt"), {}).images
    except SsrEdgeError:
        return
    assert images
