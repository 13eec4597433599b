from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_edge.breakhis.names import parse_name
from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_train.data.assign_patients import Labels, assign_patients

SHARES = (0.70, 0.12, 0.18)
seeds = st.integers(0, 2**31)


@pytest.fixture(scope="module")
def breakhis_100x() -> tuple[Labels, Labels]:
    """Label and patient of each of BreaKHis's 2,081 images of 100X."""
    names = [name for original in OfficialFiles.shipped().files if (name := parse_name(original.name)) is not None]
    of_100x = [name for name in names if name.magnification == 100]
    assert len(of_100x) == 2081
    return np.array([name.label for name in of_100x]), np.array([name.patient for name in of_100x])


@settings(max_examples=20)
@given(seeds)
def test_every_class_of_breakhis_stands_on_all_sides(breakhis_100x: tuple[Labels, Labels], seed: int) -> None:
    labels, patients = breakhis_100x
    side = assign_patients(labels, patients, SHARES, seed)
    assert [len(set(labels[side == part])) for part in range(3)] == [8, 8, 8]
    assert [np.mean(side == part) for part in range(3)] == pytest.approx(SHARES, abs=0.1)


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from("pqrstuvwxyz")), min_size=1, max_size=60),
    st.integers(1, 6),
    seeds,
)
def test_a_patient_has_one_side_whatever_its_labels(images: list[tuple[str, str]], sides: int, seed: int) -> None:
    labels, patients = (np.array(column) for column in zip(*images, strict=True))
    side = assign_patients(labels, patients, [1 / sides] * sides, seed)
    assert all(len(set(side[patients == patient].tolist())) == 1 for patient in set(patients.tolist()))
    assert set(side.tolist()) <= set(range(sides))


@settings(max_examples=20)
@given(st.dictionaries(st.sampled_from("ABCDE"), st.integers(1, 7), min_size=1), st.integers(1, 5), seeds)
def test_a_class_stands_on_as_many_sides_as_it_has_patients(own: dict[str, int], sides: int, seed: int) -> None:
    pairs = [(label, f"{label}{number}") for label, count in own.items() for number in range(count)]
    labels, patients = (np.array(column) for column in zip(*pairs, strict=True))
    side = assign_patients(labels, patients, [1 / sides] * sides, seed)
    reached = {label: len(set(side[labels == label].tolist())) for label in own}
    assert reached == {label: min(count, sides) for label, count in own.items()}


def test_a_class_of_one_patient_goes_where_most_of_it_belongs_and_one_of_two_can_be_tested() -> None:
    pairs = [("A", f"a{n}") for n in range(10)] + [("B", "b0"), ("C", "c0"), ("C", "c1")]
    labels, patients = (np.array(column) for column in zip(*pairs, strict=True))
    for seed in range(5):
        side = assign_patients(labels, patients, SHARES, seed)
        assert side[labels == "B"].tolist() == [0]
        assert sorted(side[labels == "C"].tolist()) == [0, 2]


def test_no_side_is_empty_even_if_no_class_has_three_patients() -> None:
    pairs = [(label, f"{label}{n}") for label in "ABCD" for n in range(2)]
    labels, patients = (np.array(column) for column in zip(*pairs, strict=True))
    assert Counter(assign_patients(labels, patients, SHARES, 0).tolist()).keys() == {0, 1, 2}


def test_the_seed_alone_decides(breakhis_100x: tuple[Labels, Labels]) -> None:
    first = assign_patients(*breakhis_100x, SHARES, 1)
    assert np.array_equal(assign_patients(*breakhis_100x, SHARES, 1), first)
    assert np.mean(assign_patients(*breakhis_100x, SHARES, 2) != first) > 0.1
