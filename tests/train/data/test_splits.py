from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import DataError
from ssr_train.data.breakhis import Record, contradictory_twins, read
from ssr_train.data.split_messages import missing_classes
from ssr_train.data.splits import Part, Split, SplitKind, fold_count, make_split

PARTS: tuple[Part, ...] = ("train", "val", "test")
seeds = st.integers(0, 2**31)


def make_records(patients: int = 8, images: int = 10) -> list[Record]:
    return [
        Record(f"{label}-{patient}-{image:03d}", Path("x.png"), label, f"{label}-{patient}", 100)
        for label in CLASSES
        for patient in range(patients)
        for image in range(images)
    ]


RECORDS = make_records()
HEADER = "name,part,kind,seed\n"


@settings(max_examples=10)
@given(seeds)
@pytest.mark.parametrize("kind", ["image", "patient"])
def test_every_image_is_in_one_part(kind: SplitKind, seed: int) -> None:
    split = make_split(RECORDS, kind, seed)
    assert list(split.parts) == sorted(record.name for record in RECORDS)
    assert set(split.parts.values()) == set(PARTS)


@settings(max_examples=10)
@given(seeds)
def test_no_patient_stands_on_two_sides(seed: int) -> None:
    split = make_split(RECORDS, "patient", seed)
    parts_of = defaultdict(set)
    for record in RECORDS:
        parts_of[record.patient].add(split.parts[record.name])
    assert {len(parts) for parts in parts_of.values()} == {1}


@settings(max_examples=10)
@given(seeds)
def test_an_image_split_has_70_12_and_18_percent_of_every_class(seed: int) -> None:
    split = make_split(RECORDS, "image", seed)
    for label in CLASSES:
        count = Counter(split.parts[record.name] for record in RECORDS if record.label == label)
        assert [count[part] for part in PARTS] == pytest.approx([80 * 0.70, 80 * 0.12, 80 * 0.18], abs=1)


def test_a_patient_split_has_about_70_12_and_18_percent_of_every_class() -> None:
    records = make_records(patients=25, images=2)
    split = make_split(records, "patient", 0)
    for label in CLASSES:
        count = Counter(split.parts[record.name] for record in records if record.label == label)
        assert [count[part] / 50 for part in PARTS] == pytest.approx([0.70, 0.12, 0.18], abs=0.04)


@pytest.mark.parametrize("kind", ["image", "patient"])
def test_the_seed_alone_decides(kind: SplitKind) -> None:
    first = make_split(RECORDS, kind, 1)
    assert make_split(RECORDS, kind, 1) == first
    other = make_split(RECORDS, kind, 2)
    moved = sum(other.parts[name] != part for name, part in first.parts.items())
    assert moved > len(RECORDS) / 10
    assert other.sha256 != first.sha256


def test_the_fingerprint_follows_the_division_alone() -> None:
    split = make_split(RECORDS, "image", 1)
    assert Split("patient", 7, dict(split.parts)).sha256 == split.sha256
    name = next(iter(split.parts))
    moved: Split = Split("image", 1, split.parts | {name: "val" if split.parts[name] == "train" else "train"})
    assert moved.sha256 != split.sha256


def test_select_keeps_the_order_and_leaves_out_strangers() -> None:
    split = make_split(RECORDS, "image", 0)
    shuffled = [*reversed(RECORDS), Record("stranger", Path("x.png"), "A", "p", 100)]
    for part in PARTS:
        expected = [record for record in shuffled if split.parts.get(record.name) == part]
        assert split.select(shuffled, part) == expected


def test_the_tree_divides_by_image_and_by_patient(breakhis_tree: Path) -> None:
    records, _ = contradictory_twins(read(breakhis_tree))
    by_image = make_split(records, "image", 0)
    assert Counter(by_image.parts.values()) == {"train": 55, "val": 10, "test": 15}
    assert missing_classes(records, by_image) == []
    by_patient = make_split(records, "patient", 0)
    assert set(by_patient.parts.values()) == set(PARTS)


@pytest.mark.parametrize(
    ("kind", "unit", "folds"),
    [
        ("image", "image", None),
        ("patient", "patient", None),
        ("image-fold-1-of-10", "image", 10),
        ("patient-fold-2-of-5", "patient", 5),
        ("official-fold-5", "patient", None),
    ],
)
def test_unit_and_number_of_folds_come_from_the_kind(tmp_path: Path, kind: str, unit: str, folds: int | None) -> None:
    split = Split(kind, 3, {"a": "train"})
    split.write(tmp_path / "split.csv")
    assert (tmp_path / "split.csv").read_text() == f"{HEADER}a,train,{kind},3\n"
    assert Split.read(tmp_path / "split.csv") == split
    assert (split.unit, fold_count(kind)) == (unit, folds)


@pytest.mark.parametrize("kind", ["", "slide", "official-fold-6", "official-fold-", "patient-fold-1", "imagery"])
def test_other_kinds_are_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "split.csv").write_text(f"{HEADER}a,train,{kind},3\n")
    with pytest.raises(DataError) as raised:
        Split.read(tmp_path / "split.csv")
    assert "split.csv" in raised.value.found and "kind" in raised.value.found


@pytest.mark.parametrize(
    ("records", "kind"),
    [(RECORDS[:1], "image"), (make_records(1, 2), "image"), (RECORDS[:5], "patient"), ([], "patient")],
)
def test_too_few_images_are_refused(records: list[Record], kind: SplitKind) -> None:
    with pytest.raises(DataError) as raised:
        make_split(records, kind, 0)
    assert f"{len(records)} images" in raised.value.found and f"by {kind}" in raised.value.found


@given(
    kind=st.sampled_from(["image", "patient"]),
    seed=st.integers(0, 10**9),
    parts=st.dictionaries(st.text(st.characters(codec="utf-8")), st.sampled_from(PARTS), min_size=1),
)
def test_a_split_survives_its_file(tmp_path: Path, kind: SplitKind, seed: int, parts: dict[str, str]) -> None:
    split = Split(kind, seed, parts)  # type: ignore[arg-type]
    split.write(tmp_path / "split.csv")
    assert Split.read(tmp_path / "split.csv") == split


@pytest.mark.parametrize(
    "content",
    [
        b"",
        HEADER.encode(),
        b"name,part\na,train\n",
        f"{HEADER}a,train\n".encode(),
        f"{HEADER}a\n".encode(),
        f"{HEADER}a,train,image,one\n".encode(),
        f"{HEADER}a,lost,image,1\n".encode(),
        f"{HEADER}a,train,slide,1\n".encode(),
        f"{HEADER}a,train,image,1\nb,train,image,2\n".encode(),
        f"{HEADER}a,train,image,1\nb,train,patient,1\n".encode(),
        HEADER.encode() + b"\xff\xfe,train,image,1\n",
        f'{HEADER}"{"x" * 200_000}'.encode(),
    ],
    ids=[
        *("empty", "header alone", "columns missing", "short row", "shorter row", "seed in words", "unknown part"),
        *("unknown kind", "two seeds", "two kinds", "not UTF-8", "endless cell"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"split\.csv"):
        Split.read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        Split.read(tmp_path / "split.csv")
    assert "split.csv can't be read" in raised.value.found


@given(
    st.one_of(
        st.binary(max_size=100),
        st.lists(st.sampled_from(["a", "train", ",", "\n", '"', "image", "1", "\r", "\0"]), max_size=20).map(
            lambda words: (HEADER + "".join(words)).encode()
        ),
    )
)
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    try:
        split = Split.read(path)
    except DataError:
        return
    assert set(split.parts.values()) <= set(PARTS)
