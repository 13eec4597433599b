from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_train.data.leakage import Leakage, Pair, digests_of, leakage, messages
from ssr_train.data.lists import ImageList, Listed


def image(name: str, label: str | None = None, patient: str | None = None, path: str | None = None) -> Listed:
    return Listed(name, label, patient, None if path is None else Path(path))


def between(
    a: list[Listed], b: list[Listed], digests: dict[str, str] | None = None, twins: tuple[Pair, ...] = ()
) -> Leakage:
    paths = {Path(path): digest for path, digest in (digests or {}).items()}
    return leakage(ImageList("a", a), ImageList("b", b), paths, twins)


def test_nothing_in_common_is_no_leak() -> None:
    found = between(
        [image("x", "A", "1", "x")], [image("y", "A", "2", "y")], {"x": "red", "y": "blue"}, (("x", "z"), ("z", "y"))
    )
    assert not found.found and messages(found) == []


def test_names_and_patients_are_counted() -> None:
    found = between([image("x", "A", "1"), image("y", "A", "1")], [image("x", "A", "1"), image("z")])
    assert (found.names, found.patients, found.not_at_hand) == (["x"], {"1": (2, 1)}, 4)
    images, patients, not_compared = messages(found)
    assert images.startswith("1 images") and images.endswith(" x")
    assert patients.startswith("1 patients") and patients.endswith(" 1: 2 images in a, 1 in b")
    assert " 4 images " in not_compared


def test_a_renamed_copy_and_a_contradiction_are_found_by_pixels() -> None:
    a = [image("x", "A", "1", "x"), image("t", "DC", "2", "t"), image("same", "A", "3", "same")]
    b = [image("copy", "A", "4", "copy"), image("u", "LC", "5", "u"), image("same", "A", "3", "same")]
    digests = {"x": "red", "copy": "red", "t": "blue", "u": "blue", "same": "green"}
    found = between(a, b, digests)
    assert (found.pixels, found.twins, found.names) == ([("x", "copy")], [("t", "u")], ["same"])


def test_an_unlabeled_copy_is_no_contradiction() -> None:
    found = between([image("x", "A", "1", "x")], [image("y", path="y")], {"x": "red", "y": "red"})
    assert (found.pixels, found.twins) == ([("x", "y")], [])


def test_known_twins_are_found_by_name_in_either_order() -> None:
    twins = (("dc", "lc"), ("dc2", "lc2"))
    found = between([image("lc"), image("dc2")], [image("dc"), image("lc2")], twins=twins)
    assert found.twins == [("dc2", "lc2"), ("lc", "dc")]
    (twin_message,) = [line for line in messages(found) if "twins" in line]
    assert twin_message.startswith("2 pairs") and twin_message.endswith(" dc2 = lc2")


def test_a_thousand_blank_tiles_do_not_make_a_million_pairs() -> None:
    a, b = ([image(f"{name}{n}", path=f"{name}{n}") for n in range(1000)] for name in "ab")
    found = between(a, b, {f"{name}{n}": "white" for name in "ab" for n in range(1000)})
    assert len(found.pixels) == 1000


names = st.lists(st.builds(image, st.sampled_from("abcdef"), st.sampled_from(["A", "F", None]), st.sampled_from("12")))


@given(names, names)
def test_the_order_of_the_lists_does_not_matter(a: list[Listed], b: list[Listed]) -> None:
    one, other = between(a, b, twins=(("a", "b"),)), between(b, a, twins=(("a", "b"),))
    assert one.names == other.names and one.found == other.found
    assert one.patients == {patient: (y, x) for patient, (x, y) in other.patients.items()}
    assert {frozenset(pair) for pair in one.twins} == {frozenset(pair) for pair in other.twins}


def test_images_are_compared_by_pixels_and_unreadable_ones_are_not_compared(
    tmp_path: Path, demo_images: list[Path]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(demo_images[0].read_bytes())
    a = ImageList("a", [Listed("one", path=demo_images[0]), Listed("broken", path=broken), Listed("name")])
    b = ImageList("b", [Listed("copy", path=copy), Listed("two", path=demo_images[1])])
    digests = digests_of([a, b])
    assert digests.keys() == {demo_images[0], demo_images[1], copy}
    found = leakage(a, b, digests, ())
    assert (found.pixels, found.not_at_hand) == ([("one", "copy")], 2)


@pytest.mark.parametrize("empty", ["a", "b"])
def test_an_empty_list_leaks_nothing(empty: str) -> None:
    full = [image("x", "A", "1")]
    assert not between([] if empty == "a" else full, [] if empty == "b" else full).found
