"""The 7,909 files of the official BreaKHis archive: name, size and the first eight bytes of the SHA-256 of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np

from ssr_edge.breakhis.names import ImageName, parse_name
from ssr_edge.common.files import replacing

SHIPPED = Path(__file__).with_name("official_files.npz")
# Detects accidental damage: the chance that a damaged file has one of the 7,909 digests is 1 in 2.3e15, and that two
# official files share one 1.7e-12 (they do not). It is no protection against forgery.
DIGEST_BYTES = 8


@dataclass(frozen=True)
class OfficialFile:
    """One file of the official archive. name: with suffix. size: bytes. digest: first DIGEST_BYTES of its SHA-256."""

    name: str
    size: int
    digest: bytes

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return PurePath(self.name).stem

    @property
    def parsed(self) -> ImageName:
        """Class, patient and magnification."""
        parsed = parse_name(self.name)
        assert parsed is not None
        return parsed


@dataclass(frozen=True)
class OfficialFiles:
    """files: sorted by name. twins: pairs of stems known to have the same pixels under two labels, all of 100X."""

    files: tuple[OfficialFile, ...]
    twins: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_stem(self) -> dict[str, OfficialFile]:
        """Files by name without suffix."""
        return {file.stem: file for file in self.files}

    @cached_property
    def by_digest(self) -> dict[bytes, OfficialFile]:
        """Files by the first DIGEST_BYTES of their SHA-256."""
        return {file.digest: file for file in self.files}

    @cached_property
    def patients(self) -> frozenset[tuple[str, str]]:
        """Class and patient. 82 pairs, as the authors count; 14-13412 appears in two classes, so 81 identifiers."""
        return frozenset((file.parsed.label, file.parsed.patient) for file in self.files)

    @cached_property
    def two_label_patients(self) -> frozenset[str]:
        """Patients that appear in two classes: their images may be contradictory twins."""
        seen: dict[str, set[str]] = {}
        for label, patient in self.patients:
            seen.setdefault(patient, set()).add(label)
        return frozenset(patient for patient, labels in seen.items() if len(labels) > 1)

    @staticmethod
    def shipped() -> OfficialFiles:
        """The official list, which is part of this package."""
        return OfficialFiles.read(SHIPPED)

    @staticmethod
    def read(path: Path) -> OfficialFiles:
        """Reads what `write` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            names = [name.decode("ascii") for name in arrays["names"].tolist()]
            digests = arrays["digests"].astype(">u8").tobytes()
            sizes = arrays["sizes"].tolist()
            pairs = arrays["twins"].tolist()
        files = tuple(
            OfficialFile(name, size, digests[at : at + DIGEST_BYTES])
            for name, size, at in zip(names, sizes, range(0, len(digests), DIGEST_BYTES), strict=True)
        )
        return OfficialFiles(files, tuple((files[a].stem, files[b].stem) for a, b in pairs))

    def write(self, path: Path) -> None:
        """Writes names, digests (uint64), sizes (uint32) and twins (pairs of positions) as a compressed .npz."""
        place = {file.stem: position for position, file in enumerate(self.files)}
        with replacing(path) as temporary, temporary.open("wb") as output:
            np.savez_compressed(
                output,
                names=np.array([file.name.encode("ascii") for file in self.files]),
                digests=np.frombuffer(b"".join(o.digest for o in self.files), ">u8").astype(np.uint64),
                sizes=np.array([file.size for file in self.files], np.uint32),
                twins=np.array([(place[a], place[b]) for a, b in self.twins], np.uint16).reshape(-1, 2),
            )


def official_files_of(rows: Iterable[tuple[str, str, int]], twins: Sequence[tuple[str, str]] = ()) -> OfficialFiles:
    """Builds the list from (file name, hex SHA-256, size in bytes) rows and pairs of file names."""
    files = sorted(
        (OfficialFile(name, size, bytes.fromhex(sha256)[:DIGEST_BYTES]) for name, sha256, size in rows),
        key=lambda file: file.name,
    )
    return OfficialFiles(tuple(files), tuple((PurePath(a).stem, PurePath(b).stem) for a, b in twins))
