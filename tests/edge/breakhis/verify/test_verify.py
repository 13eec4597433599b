"""Damages a copy in every way that is detected, and checks that each is reported as what it is."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_edge.breakhis.verify.verify import verify
from ssr_edge.common.errors import DataError

NAME = "SOB_B_A-14-22549AB-100-001.png"
OTHER = "SOB_B_A-14-22549AB-100-002.png"
TWINS = [("SOB_M_DC-14-13412-100-001.png", "SOB_M_LC-14-13412-100-001.png")]


def find(copy: Path, name: str = NAME) -> Path:
    (path,) = copy.rglob(name)
    return path


def shown(path: Path, copy: Path) -> str:
    return path.relative_to(copy).as_posix()


def png(path: Path, *options: int) -> bytes:
    image = cv2.imread(str(path))
    assert image is not None
    return cv2.imencode(".png", image, options)[1].tobytes()


def test_a_whole_copy_is_whole_and_its_twins_are_named(whole_copy: Path, small_list: OfficialFiles) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole_copy.rglob("*")}
    found = verify(whole_copy, small_list)
    assert found.whole
    assert (len(found.recognized), found.missing, found.other) == (82, [], [])
    assert found.twins == TWINS
    assert {path: path.stat().st_mtime_ns for path in whole_copy.rglob("*")} == before


def test_an_archive_has_the_same_result_as_its_folder(
    archive: Path, whole_copy: Path, small_list: OfficialFiles
) -> None:
    assert verify(archive, small_list) == verify(whole_copy, small_list)


def flipped(path: Path) -> bytes:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (flipped, r"same size.*decoded"),
        (lambda path: path.read_bytes()[:1000], r"truncated: 1000 of \d+ bytes"),
        (lambda path: b"", r"truncated: 0 of \d+ bytes"),
        (lambda path: png(path, cv2.IMWRITE_PNG_COMPRESSION, 9), r"can be decoded"),
        (lambda path: png(path) + b"IEND", r"\d+ bytes instead of \d+"),
        (lambda path: b"<html>404 Not Found</html>", r"truncated: 26 of"),
        (lambda path: b"x" * 50_000, r"50000 bytes instead of \d+.*can't be decoded"),
    ],
    ids=["one byte", "cut short", "empty", "saved anew", "longer", "an error page", "longer and no image"],
)
def test_a_damaged_file_is_named_with_what_is_wrong(
    copy: Path, small_list: OfficialFiles, damage: Callable[[Path], bytes], problem: str
) -> None:
    path = find(copy)
    path.write_bytes(damage(path))
    found = verify(copy, small_list)
    assert not found.whole
    (damaged,) = found.damaged
    assert (damaged.path, damaged.original) == (shown(path, copy), NAME)
    assert re.search(problem, damaged.problem), damaged.problem
    assert (len(found.recognized), found.missing, found.extra, found.renamed) == (81, [], [], [])


def test_a_renamed_file_is_reported_with_its_official_name(copy: Path, small_list: OfficialFiles) -> None:
    path = find(copy).rename(find(copy).with_name("tumor (1).png"))
    found = verify(copy, small_list)
    (renamed,) = found.renamed
    assert (renamed.path, renamed.original) == (shown(path, copy), NAME)
    assert renamed.problem.endswith(NAME)  # and not "also present"
    assert not found.whole and (found.missing, found.extra) == ([], [])


def test_two_files_under_each_others_names_are_renamed_and_not_damaged(copy: Path, small_list: OfficialFiles) -> None:
    one, other = find(copy), find(copy, OTHER)
    one.rename(copy / "x")
    other.rename(one)
    (copy / "x").rename(other)
    found = verify(copy, small_list)
    assert [(f.path, f.original) for f in found.renamed] == [(shown(one, copy), OTHER), (shown(other, copy), NAME)]
    assert (found.damaged, found.missing) == ([], [])


def test_a_missing_file_is_missing(copy: Path, small_list: OfficialFiles) -> None:
    find(copy).unlink()
    find(copy, OTHER).unlink()
    found = verify(copy, small_list)
    assert not found.whole and found.missing == [NAME, OTHER]


def test_copies_of_an_original_are_named(copy: Path, small_list: OfficialFiles) -> None:
    path = find(copy)
    (copy / "again").mkdir()
    shutil.copyfile(path, copy / "again" / NAME)
    shutil.copyfile(path, copy / "other.png")
    found = verify(copy, small_list)
    assert not found.whole and len(found.recognized) == 82
    ((repeated),) = found.repeated
    assert {repeated.path, repeated.problem.removeprefix("a second copy of ")} == {f"again/{NAME}", shown(path, copy)}
    (renamed,) = found.renamed
    assert (renamed.path, renamed.original) == ("other.png", NAME) and "also present" in renamed.problem


@pytest.mark.parametrize(("suffix", "name"), [(".jpg", "JPEG"), (".tif", "TIFF"), (".bmp", "BMP"), (".webp", "WebP")])
def test_a_re_encoded_copy_is_not_called_damaged(copy: Path, small_list: OfficialFiles, suffix: str, name: str) -> None:
    path = find(copy)
    image = cv2.imread(str(path))
    assert image is not None and cv2.imwrite(str(path.with_suffix(suffix)), image)
    path.unlink()
    found = verify(copy, small_list)
    (reencoded,) = found.reencoded
    assert (reencoded.path, reencoded.original) == (shown(path.with_suffix(suffix), copy), NAME)
    assert name in reencoded.problem
    assert not found.whole and (found.damaged, found.missing) == ([], [])


def test_re_encoded_twins_are_twins_all_the_same(copy: Path, small_list: OfficialFiles) -> None:
    for name in TWINS[0]:
        path = find(copy, name)
        image = cv2.imread(str(path))
        assert image is not None and cv2.imwrite(str(path.with_suffix(".bmp")), image)
        path.unlink()
    assert verify(copy, small_list).twins == [(TWINS[0][0][:-3] + "bmp", TWINS[0][1][:-3] + "bmp")]


def test_other_images_are_wrong_and_other_files_are_not(copy: Path, small_list: OfficialFiles) -> None:
    (copy / "README.txt").write_text("BreaKHis")
    (copy / "._SOB_B_A-14-22549AB-100-001.png").write_bytes(b"\0\5\26\7")  # macOS leaves these
    found = verify(copy, small_list)
    assert found.whole and found.other == ["._SOB_B_A-14-22549AB-100-001.png", "README.txt"]
    (copy / "SOB_B_A-14-22549AB-100-999.png").write_bytes(png(find(copy), cv2.IMWRITE_PNG_COMPRESSION, 9))
    found = verify(copy, small_list)
    assert not found.whole
    (extra,) = found.extra
    assert extra.path == "SOB_B_A-14-22549AB-100-999.png" and extra.problem.startswith("PNG image")


@pytest.mark.skipif(os.name != "posix", reason="pipes and links are POSIX's")
def test_pipes_and_broken_links_are_named_and_not_waited_for(copy: Path, small_list: OfficialFiles) -> None:
    path = find(copy)
    path.unlink()
    os.mkfifo(path)
    (copy / "gone.png").symlink_to("nowhere")
    found = verify(copy, small_list)
    assert not found.whole
    assert {(one.path, one.original) for one in found.unread} == {(shown(path, copy), NAME), ("gone.png", None)}
    assert all("file" in one.problem for one in found.unread)


def test_control_characters_in_names_are_escaped(copy: Path, small_list: OfficialFiles) -> None:
    find(copy).rename(copy / "a\x1b[2Jb\udcff.png")
    (renamed,) = verify(copy, small_list).renamed
    assert renamed.path == "a\\x1b[2Jb\\xff.png"


def test_an_empty_folder_misses_everything(tmp_path: Path, small_list: OfficialFiles) -> None:
    assert len(verify(tmp_path, small_list).missing) == 82


@pytest.mark.parametrize("content", [None, b"", b"PNG", b"\x1f\x8b", b"\x1f\x8bxxxxxxxxxxxxxxxxxxxx", b"x" * 2000])
def test_what_is_no_copy_is_refused(tmp_path: Path, small_list: OfficialFiles, content: bytes | None) -> None:
    path = tmp_path / "copy.tar.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        verify(path, small_list)
    assert "copy.tar.gz" in raised.value.found and "archive" in raised.value.expected
