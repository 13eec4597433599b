from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import DataError
from ssr_train.data.breakhis import Record, contradictory_twins, read

TWINS = ["SOB_M_DC-14-13412-100-001", "SOB_M_LC-14-13412-100-001"]


def write_index(folder: Path, columns: str, *rows: str) -> Path:
    (folder / "index.csv").write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return folder


def record(path: Path, label: str) -> Record:
    return Record(path.stem, path, label, "14-1", 100)


def test_the_official_tree_is_read_in_the_order_of_names(breakhis_tree: Path) -> None:
    records = read(breakhis_tree)
    assert [r.name for r in records] == sorted(path.stem for path in breakhis_tree.rglob("*.png"))
    assert Counter(r.label for r in records) == dict.fromkeys(CLASSES, 10) | {"DC": 11, "LC": 11}
    assert len({r.patient for r in records}) == 17
    first = records[0]
    assert (first.name, first.label, first.target, first.patient, first.magnification) == (
        "SOB_B_A-14-22549AB-100-001",
        "A",
        0,
        "14-22549AB",
        100,
    )
    assert first.path.parts[-4:-1] == ("adenosis", "SOB_B_A_14-22549AB", "100X")


def test_a_magnification_is_chosen(tmp_path: Path) -> None:
    for name in ("SOB_M_DC-14-2523-40-001.png", "SOB_M_DC-14-2523-100-001.png", "SOB_M_DC-14-2523-400-001.PNG"):
        (tmp_path / name).touch()
    assert [r.magnification for r in read(tmp_path)] == [100, 40, 400]
    assert [r.name for r in read(tmp_path, 400)] == ["SOB_M_DC-14-2523-400-001"]
    with pytest.raises(DataError) as raised:
        read(tmp_path, 200)
    assert "200X" in raised.value.found


def test_files_that_are_not_breakhis_images_are_passed_over(tmp_path: Path) -> None:
    for name in ("SOB_M_DC-14-2523-40-001.png", "SOB_M_DC-14-2523-40-002.txt", "SOB_B_DC-14-1-40-001.png", "slide.png"):
        (tmp_path / name).touch()
    assert [r.name for r in read(tmp_path)] == ["SOB_M_DC-14-2523-40-001"]


def test_labels_come_from_an_index(tmp_path: Path) -> None:
    write_index(tmp_path, "path,class,patient,magnification", "b/two.png,LC,14-9,200")
    assert read(tmp_path) == [Record("two", tmp_path / "b" / "two.png", "LC", "14-9", 200)]


def test_the_preferred_path_of_a_row_is_read(tmp_path: Path) -> None:
    columns = "original,class,patient,magnification,path,note"
    write_index(tmp_path, columns, "a.png,A,14-1,40,b.jpg,x", "c.png,F,14-2,40,,")
    assert [(r.path.name, r.label) for r in read(tmp_path)] == [("b.jpg", "A"), ("c.png", "F")]


def test_an_index_takes_the_place_of_the_tree_beside_it(tmp_path: Path) -> None:
    (tmp_path / "SOB_M_DC-14-2523-40-001.png").touch()
    write_index(tmp_path, "path,class,patient,magnification", "other.png,PC,14-1,40")
    assert [r.name for r in read(tmp_path)] == ["other"]


@pytest.mark.parametrize(
    ("columns", "row", "found"),
    [
        ("path,class,magnification", "a.png,A,40", "path, class, magnification"),
        ("path,class,patient,magnification", "a.png,A,14-1", "line 2"),
        ("path,class,patient,magnification", "SOB_M_DC-14-1-40-001.png,LC,14-1,40", "line 2 has the class LC"),
        ("path,class,patient,magnification", "SOB_M_DC-14-1-40-001.png,LC,14-1,40", "SOB_M_DC-14-1-40-001.png has DC"),
    ],
)
def test_an_incomplete_or_contradictory_index_is_refused(tmp_path: Path, columns: str, row: str, found: str) -> None:
    with pytest.raises(DataError) as raised:
        read(write_index(tmp_path, columns, row))
    assert found in raised.value.found


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.lists(st.sampled_from(["", "a.png", "A", "DC", "40", "²", "X", "\0", '"']), max_size=5)).map(
            lambda rows: "\n".join(["path,class,patient,magnification", *map(",".join, rows)]).encode()
        ),
    )
)
def test_any_index_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.csv").write_bytes(content)
    try:
        records = read(tmp_path)
    except DataError:
        return
    assert records and all(r.label in CLASSES for r in records)


def test_one_name_in_two_places_is_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "SOB_M_DC-14-2523-40-001.png").touch()
    with pytest.raises(DataError) as raised:
        read(tmp_path)
    assert "SOB_M_DC-14-2523-40-001" in raised.value.found


def test_no_folder_a_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file.png").touch()
    (tmp_path / "empty").mkdir()
    for name in ("missing", "file.png", "empty"):
        with pytest.raises(DataError) as raised:
            read(tmp_path / name)
        assert name in raised.value.found and "index.csv" in raised.value.expected


def test_twins_under_two_labels_are_found_and_both_dropped(breakhis_tree: Path) -> None:
    records = read(breakhis_tree)
    kept, twins = contradictory_twins(records)
    assert [[r.name for r in group] for group in twins] == [TWINS]
    assert kept == [r for r in records if r.name not in TWINS]


def test_twins_are_found_by_their_pixels_not_their_bytes(tmp_path: Path, breakhis_tree: Path) -> None:
    image = cv2.imread(str(next(breakhis_tree.rglob("*.png"))))
    assert image is not None
    cv2.imwrite(str(tmp_path / "small.png"), image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(tmp_path / "large.bmp"), image)
    records = [record(tmp_path / "small.png", "DC"), record(tmp_path / "large.bmp", "LC")]
    assert contradictory_twins(records) == ([], [records])


def test_copies_under_one_label_and_unreadable_images_are_kept(tmp_path: Path, breakhis_tree: Path) -> None:
    data = next(breakhis_tree.rglob("*.png")).read_bytes()
    for name, content in (("a.png", data), ("b.png", data), ("broken1.png", b""), ("broken2.png", b"")):
        (tmp_path / name).write_bytes(content)
    records = [record(tmp_path / "a.png", "A"), record(tmp_path / "b.png", "A")]
    records += [record(tmp_path / "broken1.png", "A"), record(tmp_path / "broken2.png", "F")]
    assert contradictory_twins(records) == (records, [])


def test_an_index_may_list_the_official_tree(tmp_path: Path, breakhis_tree: Path) -> None:
    records = read(breakhis_tree)
    with (tmp_path / "index.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "class", "patient", "magnification"])
        rows.writerows([r.path, r.label, r.patient, f"{r.magnification}X"] for r in records)
    assert read(tmp_path) == records
