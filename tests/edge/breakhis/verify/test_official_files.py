from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.names import parse_name
from ssr_edge.breakhis.verify.official_files import DIGEST_BYTES, SHIPPED, OfficialFiles, official_files_of


@pytest.fixture(scope="module")
def shipped() -> OfficialFiles:
    return OfficialFiles.shipped()


def test_the_shipped_list_has_what_the_authors_published(shipped: OfficialFiles) -> None:
    names = [parse_name(original.name) for original in shipped.files]
    assert len({original.name for original in shipped.files}) == len(names) == 7909
    assert Counter(name.magnification for name in names if name) == {40: 1995, 100: 2081, 200: 2013, 400: 1820}
    assert Counter(name.malignant for name in names if name) == {False: 2480, True: 5429}
    assert len(shipped.patients) == 82
    patients = Counter(label for label, _ in shipped.patients)
    assert patients == {"A": 4, "F": 10, "PT": 3, "TA": 7, "DC": 38, "LC": 5, "MC": 9, "PC": 6}


def test_its_digests_are_unique_and_it_is_small(shipped: OfficialFiles) -> None:
    assert len(shipped.by_digest) == 7909
    assert {len(original.digest) for original in shipped.files} == {DIGEST_BYTES}
    assert all(300_000 < original.size < 1_000_000 for original in shipped.files)
    assert SHIPPED.stat().st_size < 150_000


def test_its_twins_are_one_patient_under_two_classes(shipped: OfficialFiles) -> None:
    assert shipped.two_label_patients == {"14-13412"}
    assert len(shipped.twins) == 15
    for ductal, lobular in shipped.twins:
        assert ductal.replace("_DC-", "_LC-") == lobular
        assert ductal in shipped.by_stem and lobular in shipped.by_stem


def test_a_digest_matches_the_official_file(shipped: OfficialFiles) -> None:
    # From the official archive: SHA-256 17ee1b192eafa481..., 463,800 bytes.
    first = shipped.by_stem["SOB_B_A-14-22549AB-100-001"]
    assert (first.digest.hex(), first.size) == ("17ee1b192eafa481", 463_800)


@given(
    st.dictionaries(
        st.integers(1, 999).map(lambda number: f"SOB_B_A-14-1-40-{number:03d}.png"),
        st.tuples(st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 2**32 - 1)),
        min_size=2,
        max_size=5,
    )
)
def test_a_list_survives_its_file(tmp_path: Path, rows: dict[str, tuple[str, int]]) -> None:
    names = sorted(rows)
    made = official_files_of([(name, *row) for name, row in rows.items()], [(names[0], names[1])])
    made.write(tmp_path / "list.npz")
    assert OfficialFiles.read(tmp_path / "list.npz") == made
    before = (tmp_path / "list.npz").read_bytes()
    made.write(tmp_path / "list.npz")
    assert (tmp_path / "list.npz").read_bytes() == before
