from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASS_NAMES, CLASSES, MAGNIFICATIONS, MALIGNANT, ImageName, parse_name

labels = st.sampled_from(CLASSES)
patients = st.builds(
    lambda year, slide, letters: f"{year:02d}-{slide}{letters}",
    st.integers(0, 99),
    st.integers(0, 99_999),
    st.text("ABCDEFG", max_size=2),
)
names = st.builds(ImageName, labels, patients, st.sampled_from(MAGNIFICATIONS), st.integers(0, 999))


def written(name: ImageName, malignant: bool | None = None) -> str:
    letter = "M" if (name.malignant if malignant is None else malignant) else "B"
    return f"SOB_{letter}_{name.label}-{name.patient}-{name.magnification}-{name.number:03d}"


def test_the_papers_example() -> None:
    name = parse_name("SOB_M_DC-14-2523-100-001.png")
    assert name == ImageName(label="DC", patient="14-2523", magnification=100, number=1)
    assert name is not None and name.malignant


@given(
    names, st.sampled_from(["", "a/b/", "/SOB_B_A-14-1-40-001.png/"]), st.sampled_from(["", ".png", ".JPG", ".tiff"])
)
def test_a_written_name_is_read_back_whatever_its_folder_and_suffix(name: ImageName, folder: str, suffix: str) -> None:
    assert parse_name(folder + written(name) + suffix) == name
    assert parse_name(Path(folder + written(name) + suffix)) == name


@given(names)
def test_a_letter_that_contradicts_the_class_is_no_name(name: ImageName) -> None:
    assert parse_name(written(name, malignant=not name.malignant)) is None


@given(names, st.integers(0, 40), st.characters(codec="ascii"))
def test_one_wrong_character_gives_no_name_or_another_true_one(name: ImageName, place: int, character: str) -> None:
    text = written(name)
    changed = text[:place] + character + text[place + 1 :]
    found = parse_name(changed)
    assert found is None or written(found) == Path(changed).stem


@given(st.text())
def test_any_text_is_a_name_or_none(text: str) -> None:
    found = parse_name(text)
    assert found is None or written(found) in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SOB_M_DC-14-2523-100-001-copy.png",
        "copy of SOB_M_DC-14-2523-100-001.png",
        "SOB_M_DC-14-2523-150-001.png",
        "SOB_M_DC-14-2523-100-01.png",
        "SOB_M_FA-14-2523-100-001.png",
        "SOB_m_DC-14-2523-100-001.png",
        "SOB_M_DC-14--100-001.png",
        "SOB_M_DC-14-2523-100-001\n.png",
        "SOB_M_DC-14-2523-100-\u0660\u0660\u0661.png",
    ],
)
def test_what_is_almost_a_name_is_none(text: str) -> None:
    assert parse_name(text) is None


def test_every_demo_image_has_a_name(demo_images: list[Path], calibration_images: list[Path]) -> None:
    found = [parse_name(path) for path in demo_images + calibration_images]
    assert {name.label for name in found if name is not None} == set(CLASSES)
    assert {name.magnification for name in found if name is not None} == {100}
    assert None not in found


def test_four_classes_are_malignant_and_all_are_named() -> None:
    assert CLASSES == ("A", "F", "PT", "TA", "DC", "LC", "MC", "PC")
    assert set(CLASSES[4:]) == MALIGNANT
    assert list(CLASS_NAMES) == list(CLASSES)
