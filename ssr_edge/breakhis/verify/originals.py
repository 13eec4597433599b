"""The list of BreaKHis's 7,909 originals: name, size and the first eight bytes of the SHA-256 of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from ssr_edge.breakhis.names import ImageName, parse_name
from ssr_edge.common.files import replacing

SHIPPED = Path(__file__).with_name("originals.npz")
# Enough against accidents: a damaged file has one of 7,909 digests by chance once in 2.3e15, and two of the originals
# would share one with odds of 1.7e-12 (they do not). It is no seal: whoever wants to can make a file that passes.
DIGEST_BYTES = 8


@dataclass(frozen=True)
class Original:
    """One file of the official archive. name: with suffix. size: bytes. digest: first DIGEST_BYTES of its SHA-256."""

    name: str
    size: int
    digest: bytes

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePath(self.name).stem

    @property
    def says(self) -> ImageName:
        """Class, patient and magnification."""
        said = parse_name(self.name)
        assert said is not None
        return said


@dataclass(frozen=True)
class Originals:
    """files: sorted by name. twins: pairs of stems known to have the same pixels under two labels, all of 100X."""

    files: tuple[Original, ...]
    twins: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_stem(self) -> dict[str, Original]:
        """Looks an original up by its name without suffix."""
        return {original.stem: original for original in self.files}

    @cached_property
    def by_digest(self) -> dict[bytes, Original]:
        """Looks an original up by the first DIGEST_BYTES of its SHA-256."""
        return {original.digest: original for original in self.files}

    @cached_property
    def patients(self) -> frozenset[tuple[str, str]]:
        """Class and patient: 82 of them, as the authors count. 14-13412 stands under two classes: 81 identifiers."""
        return frozenset((original.says.label, original.says.patient) for original in self.files)

    @cached_property
    def two_label_patients(self) -> frozenset[str]:
        """Patients that stand under two classes: their images may be contradictory twins."""
        seen: dict[str, set[str]] = {}
        for label, patient in self.patients:
            seen.setdefault(patient, set()).add(label)
        return frozenset(patient for patient, labels in seen.items() if len(labels) > 1)

    @staticmethod
    def shipped() -> Originals:
        """The official list, as this package carries it."""
        return Originals.read(SHIPPED)

    @staticmethod
    def read(path: Path) -> Originals:
        """Reads what `write` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            names = [name.decode("ascii") for name in arrays["names"].tolist()]
            digests = arrays["digests"].astype(">u8").tobytes()
            sizes = arrays["sizes"].tolist()
            pairs = arrays["twins"].tolist()
        files = tuple(
            Original(name, size, digests[at : at + DIGEST_BYTES])
            for name, size, at in zip(names, sizes, range(0, len(digests), DIGEST_BYTES), strict=True)
        )
        return Originals(files, tuple((files[a].stem, files[b].stem) for a, b in pairs))

    def write(self, path: Path) -> None:
        """Writes names, digests (uint64), sizes (uint32) and twins (pairs of positions) as a compressed .npz."""
        place = {original.stem: position for position, original in enumerate(self.files)}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                names=np.array([original.name.encode("ascii") for original in self.files]),
                digests=np.frombuffer(b"".join(o.digest for o in self.files), ">u8").astype(np.uint64),
                sizes=np.array([original.size for original in self.files], np.uint32),
                twins=np.array([(place[a], place[b]) for a, b in self.twins], np.uint16).reshape(-1, 2),
            )


def originals_of(rows: Iterable[tuple[str, str, int]], twins: Sequence[tuple[str, str]] = ()) -> Originals:
    """Makes the list of (file name, hex SHA-256, size in bytes) rows and pairs of file names."""
    files = sorted(
        (Original(name, size, bytes.fromhex(sha256)[:DIGEST_BYTES]) for name, sha256, size in rows),
        key=lambda original: original.name,
    )
    return Originals(tuple(files), tuple((PurePath(a).stem, PurePath(b).stem) for a, b in twins))
