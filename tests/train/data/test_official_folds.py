from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import DataError
from ssr_train.data.breakhis import Record, read
from ssr_train.data.official_folds import official_split, read_fold

LINE = "SOB_B_A-14-22549AB-100-001.png|100|1|train\n"
TESTED = ("14-22549CD", "14-21998CD", "14-29315EF", "14-16184", "14-14926", "14-12204", "14-16456", "14-15704")


@pytest.fixture
def records(breakhis_tree: Path) -> list[Record]:
    return read(breakhis_tree)


def write_fold(folder: Path, records: list[Record], fold: int = 2) -> Path:
    """A fold whose test part is the second patient of every class."""
    lines = [
        f"{record.name}.png|{record.magnification}|{fold}|{'test' if record.patient in TESTED else 'train'}\n"
        for record in records
    ]
    (folder / f"dsfold{fold}.txt").write_text("".join(lines))
    return folder


def test_a_line_is_read_as_mkfold_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "dsfold1.txt"
    path.write_bytes(b"\xef\xbb\xbf" + LINE.encode() + b"\r\n SOB_M_DC-14-2523-400-010.png | 400 | 1 | test \r\n\n")
    assert read_fold(path) == (1, {"SOB_B_A-14-22549AB-100-001": "train", "SOB_M_DC-14-2523-400-010": "test"})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        (LINE + "SOB_B_A-14-22549AB-100-002.png|100|1\n", "line 2 has 3 columns"),
        (LINE + "\n" + LINE, "line 3 lists SOB_B_A-14-22549AB-100-001"),
        ("slide.png|100|1|train\n", "line 1: 'slide.png'"),
        ("SOB_B_A-14-22549AB-100-001.png|40|1|train\n", "line 1 has magnification '40'"),
        ("SOB_B_A-14-22549AB-100-001.png|100|6|train\n", "line 1 has fold '6'"),
        ("SOB_B_A-14-22549AB-100-001.png|100|1|val\n", "line 1 has group 'val'"),
        (LINE + "SOB_B_A-14-22549AB-100-002.png|100|2|train\n", "line 2 has fold 2"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, content: str, found: str) -> None:
    (tmp_path / "dsfold1.txt").write_text(content)
    with pytest.raises(DataError) as raised:
        read_fold(tmp_path / "dsfold1.txt")
    assert "dsfold1.txt" in raised.value.found and found in raised.value.found


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "dsfold1.txt").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_fold(tmp_path / "dsfold1.txt")
    assert "dsfold1.txt can't be read" in raised.value.found


@given(
    st.one_of(
        st.binary(max_size=100),
        st.lists(
            st.sampled_from([LINE, "|", "100", "1", "test", "\n", "\r", "\0", "\u2028", "SOB_M_DC-14-2523-40-001.png"]),
            max_size=20,
        ).map(lambda words: "".join(words).encode()),
    )
)
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dsfold1.txt"
    path.write_bytes(content)
    try:
        fold, parts = read_fold(path)
    except DataError:
        return
    assert fold in range(1, 6) and set(parts.values()) <= {"train", "test"}


def test_the_test_part_is_the_authors_and_val_is_taken_from_train_by_patient(
    tmp_path: Path, records: list[Record]
) -> None:
    split = official_split(records, write_fold(tmp_path, records), 2, seed=0)
    assert (split.kind, split.unit) == ("official-fold-2", "patient")
    assert {record.patient for record in split.select(records, "test")} == set(TESTED)
    parts_of = defaultdict(set)
    for record in records:
        parts_of[record.patient].add(split.parts[record.name])
    assert {len(parts) for parts in parts_of.values()} == {1}
    assert len(split.select(records, "val")) > 0
    other = official_split(records, tmp_path, 2, seed=1)
    assert split.select(records, "test") == other.select(records, "test")


def test_images_that_the_fold_does_not_name_are_left_out(tmp_path: Path, records: list[Record]) -> None:
    stranger = Record("SOB_B_A-14-9-100-001", Path("x.png"), "A", "14-9", 100)
    split = official_split([*records, stranger], write_fold(tmp_path, records), 2, seed=0)
    assert stranger.name not in split.parts and len(split.parts) == len(records)


def test_a_fold_that_does_not_fit_is_refused(tmp_path: Path, records: list[Record]) -> None:
    write_fold(tmp_path, records, 2)

    def refusal(available: list[Record], fold: int) -> str:
        with pytest.raises(DataError) as raised:
            official_split(available, tmp_path, fold, 0)
        return raised.value.found

    assert "dsfold3.txt can't be read" in refusal(records, 3)
    (tmp_path / "dsfold3.txt").write_bytes((tmp_path / "dsfold2.txt").read_bytes())
    found = refusal(records, 3)
    assert "dsfold3.txt" in found and "fold 2" in found
    trained = [record for record in records if record.patient not in TESTED]
    found = refusal(trained, 2)
    assert "42" in found and found.endswith(" test")
    found = refusal([], 2)
    assert " 0 " in found and found.endswith(" train")
