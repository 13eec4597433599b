"""Finds leakage between two lists of images: shared files, patients, pixels, and pixels under contradictory labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.common.progress import progress
from ssr_train.data.breakhis import pixel_digest
from ssr_train.data.lists import ImageList, Listed

Pair = tuple[str, str]


@dataclass(frozen=True)
class Leakage:
    """What lists a and b share. names: file names in both. patients: each with its number of images in a and in b.

    pixels: pairs with different names, equal pixels and no contradictory labels. twins: pairs with equal pixels and
    contradictory labels. not_at_hand: number of images of both lists whose pixels could not be compared.
    """

    a: str
    b: str
    names: list[str]
    patients: dict[str, tuple[int, int]]
    pixels: list[Pair]
    twins: list[Pair]
    not_at_hand: int

    @property
    def found(self) -> bool:
        """Whether there is any leakage."""
        return bool(self.names or self.patients or self.pixels or self.twins)


def leakage(a: ImageList, b: ImageList, digests: Mapping[Path, str], known_twins: Iterable[Pair]) -> Leakage:
    """Compares two lists. digests: of the available images (`digests_of`). known_twins: names, for the others."""
    names = sorted({image.name for image in a.images} & {image.name for image in b.images})
    in_a, in_b = (Counter(image.patient for image in one.images if image.patient) for one in (a, b))
    equal = _equal_pixels(a, b, digests)
    twins = {(x.name, y.name) for x, y in equal if _contradict(x, y)} | _known(a, b, known_twins)
    return Leakage(
        a=a.shown,
        b=b.shown,
        names=names,
        patients={patient: (in_a[patient], in_b[patient]) for patient in sorted(in_a.keys() & in_b.keys())},
        pixels=sorted({(x.name, y.name) for x, y in equal} - twins),
        twins=sorted(twins),
        not_at_hand=sum(image.path not in digests for image in (*a.images, *b.images)),
    )


def digests_of(lists: Iterable[ImageList]) -> dict[Path, str]:
    """Pixel fingerprint of every image that is available and can be decoded."""
    paths = sorted({image.path for one in lists for image in one.images if image.path is not None})
    digests: dict[Path, str] = {}
    pool = ThreadPoolExecutor()
    try:
        with progress("comparing pixels, image", len(paths)) as advance:
            for path, digest in zip(paths, pool.map(pixel_digest, paths), strict=True):
                advance(1, "")
                if digest is not None:
                    digests[path] = digest
    finally:
        pool.shutdown(cancel_futures=True)
    return digests


def messages(found: Leakage) -> list[str]:
    """One line for each kind of leakage, with its count and an example; last, the number of images not compared."""
    lines = []
    if found.names:
        lines.append(f"{len(found.names)} images are in both, e.g. {found.names[0]}")
    if found.patients:
        patient, (in_a, in_b) = max(found.patients.items(), key=lambda item: min(item[1]))
        lines.append(
            f"{len(found.patients)} patients are in both, e.g. {patient}: "
            f"{in_a} images in {found.a}, {in_b} in {found.b}"
        )
    if found.pixels:
        lines.append(f"{len(found.pixels)} pairs with different names have the same pixels, e.g. {_pair(found.pixels)}")
    if found.twins:
        lines.append(
            f"{len(found.twins)} pairs are contradictory twins, the same pixels under two labels, e.g. "
            f"{_pair(found.twins)}"
        )
    if found.not_at_hand:
        lines.append(f"the pixels of {found.not_at_hand} images were not compared: their files are not available")
    return lines


def _equal_pixels(a: ImageList, b: ImageList, digests: Mapping[Path, str]) -> list[tuple[Listed, Listed]]:
    """Pairs with equal pixels and different names; images with the same name are found by name.

    An image of a is paired with at most one image per label in b, so that a thousand blank tiles in both lists do not
    make a million pairs.
    """
    by_pixels: dict[str, dict[str | None, list[Listed]]] = defaultdict(lambda: defaultdict(list))
    for digest, image in _with_digests(b, digests):
        of_label = by_pixels[digest][image.label]
        if len(of_label) < 2:  # the second one, for an image of a that has the name of the first
            of_label.append(image)
    return [
        (image, other)
        for digest, image in _with_digests(a, digests)
        for others in by_pixels.get(digest, {}).values()
        for other in [other for other in others if other.name != image.name][:1]
    ]


def _with_digests(one: ImageList, digests: Mapping[Path, str]) -> list[tuple[str, Listed]]:
    return [(digests[image.path], image) for image in one.images if image.path is not None and image.path in digests]


def _contradict(a: Listed, b: Listed) -> bool:
    return a.label is not None and b.label is not None and a.label != b.label


def _known(a: ImageList, b: ImageList, twins: Iterable[Pair]) -> set[Pair]:
    in_a, in_b = ({image.name for image in one.images} for one in (a, b))
    ordered = [pair for x, y in twins for pair in ((x, y), (y, x))]
    return {(x, y) for x, y in ordered if x in in_a and y in in_b}


def _pair(pairs: list[Pair]) -> str:
    return " = ".join(pairs[0])
