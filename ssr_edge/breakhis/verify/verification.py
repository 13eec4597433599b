"""The result of checking a copy of BreaKHis, once every file of it has been seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ssr_edge.breakhis.names import parse_name
from ssr_edge.breakhis.verify.official_files import OfficialFile, OfficialFiles
from ssr_edge.breakhis.verify.seen import Seen


@dataclass(frozen=True)
class Finding:
    """A file and its problem. original: name of the official file with the same bytes or the same name."""

    path: str
    problem: str
    original: str | None = None


@dataclass
class Verification:
    """The result of a check. Each list is in the order in which the files were seen.

    recognized: names of official files that are present byte for byte under their own name. missing: names of official
    files that are present neither by name nor by hash. renamed: present under another name. reencoded: in another
    format, so that hashes can't be compared. extra: images that are not in BreaKHis. unread: links, devices, names that
    lead out of an archive, files that can't be opened. other: files that are not images, which a copy may contain.
    twins: pairs of names with the same pixels under two labels, which the official data contains; they are not an
    error. broken_off: why the archive could not be read to its end.
    """

    recognized: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    damaged: list[Finding] = field(default_factory=list)
    renamed: list[Finding] = field(default_factory=list)
    repeated: list[Finding] = field(default_factory=list)
    reencoded: list[Finding] = field(default_factory=list)
    extra: list[Finding] = field(default_factory=list)
    unread: list[Finding] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    twins: list[tuple[str, str]] = field(default_factory=list)
    broken_off: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every official file is present and nothing is wrong."""
        wrong = (self.missing, self.damaged, self.renamed, self.repeated, self.reencoded, self.extra, self.unread)
        return not any(wrong) and self.broken_off is None


def cells(names: Iterable[str]) -> Counter[tuple[str, int]]:
    """Number of these names by class and magnification."""
    parsed = [parse_name(name) for name in names]
    return Counter((name.label, name.magnification) for name in parsed if name is not None)


def patients(names: Iterable[str]) -> set[tuple[str, str]]:
    """Class and patient of these names."""
    parsed = [parse_name(name) for name in names]
    return {(name.label, name.patient) for name in parsed if name is not None}


class Checker:
    """Takes files one by one; `result` summarizes them. Missing files are known only at the end."""

    def __init__(self, official: OfficialFiles) -> None:
        self._official, self._found = official, Verification()
        self._here: dict[str, str] = {}  # recognized official file -> its path
        self._misnamed: list[tuple[Seen, OfficialFile]] = []
        self._stand_ins: set[str] = set()  # official files whose name is present, but not their bytes
        self._by_pixels: dict[str, set[str]] = defaultdict(set)

    def add(self, seen: Seen) -> None:
        """Adds one file to the result."""
        if seen.pixels is not None:
            self._by_pixels[seen.pixels].add((seen.by_hash or seen).name)
        if seen.trouble:
            self._add_unread(seen)
        elif seen.by_hash is not None:
            self._add_known(seen, seen.by_hash)
        elif seen.by_name is not None:
            self._add_named(seen, seen.by_name)
        elif seen.image_format is not None:
            self._found.extra.append(Finding(seen.path, f"{seen.image_format} image that is not in BreaKHis"))
        else:
            self._found.other.append(seen.path)

    def result(self, broken_off: str | None = None) -> Verification:
        """The result for all files added."""
        found = self._found
        for seen, file in self._misnamed:
            too = ", which is also present" if file.name in self._here else ""
            found.renamed.append(Finding(seen.path, f"should be named {file.name}{too}", file.name))
        accounted = {*self._here, *self._stand_ins, *(file.name for _, file in self._misnamed)}
        found.missing = [file.name for file in self._official.files if file.name not in accounted]
        found.recognized = sorted(self._here)
        found.twins = sorted(pair for names in self._by_pixels.values() for pair in _contradictions(sorted(names)))
        found.broken_off = broken_off
        return found

    def _add_known(self, seen: Seen, file: OfficialFile) -> None:
        if seen.by_name != file or PurePosixPath(seen.name).suffix.lower() != ".png":
            self._misnamed.append((seen, file))
        elif file.name in self._here:
            problem = f"a second copy of {self._here[file.name]}"
            self._found.repeated.append(Finding(seen.path, problem, file.name))
        else:
            self._here[file.name] = seen.path

    def _add_unread(self, seen: Seen) -> None:
        file = None if seen.by_name is None else seen.by_name.name
        if file is not None:
            self._stand_ins.add(file)
        self._found.unread.append(Finding(seen.path, seen.trouble, file))

    def _add_named(self, seen: Seen, file: OfficialFile) -> None:
        self._stand_ins.add(file.name)
        if seen.opens and seen.image_format != "PNG":
            problem = f"re-encoded as {seen.image_format or 'another format'}, can't be checked by hash"
            self._found.reencoded.append(Finding(seen.path, problem, file.name))
        else:
            self._found.damaged.append(Finding(seen.path, _damage(seen, file), file.name))


def _damage(seen: Seen, file: OfficialFile) -> str:
    if seen.size < file.size and not seen.complete:
        return f"truncated: {seen.size} of {file.size} bytes"
    size = "same size" if seen.size == file.size else f"{seen.size} bytes instead of {file.size}"
    opens = "can be decoded: changed or saved again" if seen.opens else "can't be decoded"
    return f"differs from the official file ({size}); {opens}"


def _contradictions(names: list[str]) -> list[tuple[str, str]]:
    labels = [parsed.label if (parsed := parse_name(name)) else "" for name in names]
    return [(names[a], names[b]) for a in range(len(names)) for b in range(a + 1, len(names)) if labels[a] != labels[b]]
