"""Reads BreaKHis from disk: the official folders, or a folder with an index.csv."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.breakhis.index import INDEX, IndexRow, read_index, unusable_index
from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.breakhis.pixels import fingerprint
from ssr_edge.common.errors import DataError, InputError
from ssr_edge.images.preprocess import IMAGE_SUFFIXES, decode


@dataclass(frozen=True)
class Record:
    """One labeled image. name: file name without suffix, unique in the data set. label: one of CLASSES."""

    name: str
    path: Path
    label: str
    patient: str
    magnification: int

    @property
    def target(self) -> int:
        """The label's position in CLASSES."""
        return CLASSES.index(self.label)


def read(root: Path, magnification: int | None = None) -> list[Record]:
    """Lists the images below `root`, sorted by name, from its index.csv if it has one, else by their BreaKHis names.

    magnification: 40, 100, 200 or 400; None reads all four.

    Raises:
        DataError: no folder, no image, repeated image names, or an index.csv that can't be used.
    """
    if not root.is_dir():
        raise _unusable(f"{root} is not a folder")
    index = root / INDEX
    records = _from_index(index) if index.is_file() else _from_names(root)
    if magnification is not None:
        records = [record for record in records if record.magnification == magnification]
    if not records:
        at = "" if magnification is None else f" of magnification {magnification}X"
        raise _unusable(f"no BreaKHis image{at} below {root}")
    repeated = [name for name, count in Counter(record.name for record in records).items() if count > 1]
    if repeated:
        raise _unusable(f"{len(repeated)} image names appear more than once below {root}, e.g. {repeated[0]}")
    return sorted(records, key=lambda record: record.name)


def contradictory_twins(
    records: Sequence[Record], digest: Callable[[Path], str | None] | None = None
) -> tuple[list[Record], list[list[Record]]]:
    """Separates images with exactly the same pixels under two labels.

    In the official data set these are images of patient 14-13412, labeled both DC and LC. Neither label can be
    preferred, so both copies are dropped. digest: pixel digest of a path; None decodes the image (`pixel_digest`).

    Returns: the records to keep, in order, and the groups of twins. Unreadable images are kept: they are reported when
    they are loaded.
    """
    by_pixels: dict[str, list[Record]] = defaultdict(list)
    with ThreadPoolExecutor() as pool:
        for record, found in zip(records, pool.map(digest or pixel_digest, [r.path for r in records]), strict=True):
            by_pixels[found or f"unreadable {record.name}"].append(record)
    twins = [group for group in by_pixels.values() if len({record.label for record in group}) > 1]
    dropped = {record.name for group in twins for record in group}
    return [record for record in records if record.name not in dropped], twins


def pixel_digest(path: Path) -> str | None:
    """Fingerprint of an image's size and pixels, independent of file format and name; None if it can't be read."""
    try:
        image = decode(path)
    except InputError:
        return None
    return fingerprint(image)


def _from_names(root: Path) -> list[Record]:
    records = []
    for path in sorted(root.rglob("*")):
        name = parse_name(path) if path.suffix.lower() in IMAGE_SUFFIXES else None
        if name is not None:
            records.append(Record(path.stem, path, name.label, name.patient, name.magnification))
    return records


def _from_index(index: Path) -> list[Record]:
    return [_from_row(index, row) for row in read_index(index, complete=True)]


def _from_row(index: Path, row: IndexRow) -> Record:
    path = row.paths[0]
    name = parse_name(path)
    if name is not None and name.label != row.label:
        raise unusable_index(
            index, f"{index} line {row.line} has the class {row.label}, the file name {path.name} has {name.label}"
        )
    assert row.patient is not None and row.magnification is not None
    return Record(path.stem, path, row.label, row.patient, row.magnification)


def _unusable(found: str) -> DataError:
    return DataError(
        found,
        expected="the official BreaKHis folders (SOB_M_DC-14-2523-100-001.png ...), or a folder with an index.csv "
        "with the columns path,class,patient,magnification",
        next_step="ssr-edge train --data PATH/TO/BreaKHis_v1",
    )
