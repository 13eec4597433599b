"""What is right and what is wrong with a copy of BreaKHis, once every file of it has been seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ssr_edge.breakhis.names import parse_name
from ssr_edge.breakhis.verify.originals import Original, Originals
from ssr_edge.breakhis.verify.seen import Seen


@dataclass(frozen=True)
class Finding:
    """A file and what is to be said of it. original: the name of the original that it is, or is called after."""

    path: str
    says: str
    original: str | None = None


@dataclass
class Verification:
    """What was found. Each list is in the order in which the files were seen.

    recognized: names of originals that are here byte for byte, under their own name. missing: names of those that are
    here neither by name nor by hash. renamed: here under another name. reencoded: another format, so that no hash can
    tell. extra: images that BreaKHis does not have. unread: links, devices, names that lead out of an archive, files
    that may not be opened. other: files that are no images, which a copy may hold. twins: pairs of names with the same
    pixels under two labels, which the official data has; they make no copy wrong. broken_off: why the archive could not
    be read to its end.
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
        """Every original is here, and nothing is wrong."""
        wrong = (self.missing, self.damaged, self.renamed, self.repeated, self.reencoded, self.extra, self.unread)
        return not any(wrong) and self.broken_off is None


def cells(names: Iterable[str]) -> Counter[tuple[str, int]]:
    """How many of these names fall to each class and magnification."""
    said = [parse_name(name) for name in names]
    return Counter((name.label, name.magnification) for name in said if name is not None)


def patients(names: Iterable[str]) -> set[tuple[str, str]]:
    """Class and patient of these names."""
    said = [parse_name(name) for name in names]
    return {(name.label, name.patient) for name in said if name is not None}


class Judge:
    """Takes files one by one; `verdict` says what they are together. What is missing is known only at the end."""

    def __init__(self, originals: Originals) -> None:
        self._originals, self._found = originals, Verification()
        self._here: dict[str, str] = {}  # recognized original -> its path
        self._misnamed: list[tuple[Seen, Original]] = []
        self._stand_ins: set[str] = set()  # originals whose name is here, but not their bytes
        self._by_pixels: dict[str, set[str]] = defaultdict(set)

    def add(self, seen: Seen) -> None:
        """Judges one file."""
        if seen.pixels is not None:
            self._by_pixels[seen.pixels].add((seen.by_hash or seen).name)
        if seen.trouble:
            self._add_unread(seen)
        elif seen.by_hash is not None:
            self._add_known(seen, seen.by_hash)
        elif seen.by_name is not None:
            self._add_named(seen, seen.by_name)
        elif seen.image_format is not None:
            self._found.extra.append(Finding(seen.path, f"{seen.image_format} image that BreaKHis does not have"))
        else:
            self._found.other.append(seen.path)

    def verdict(self, broken_off: str | None = None) -> Verification:
        """The whole of it."""
        found = self._found
        for seen, original in self._misnamed:
            too = ", which is here too" if original.name in self._here else ""
            found.renamed.append(Finding(seen.path, f"should be called {original.name}{too}", original.name))
        accounted = {*self._here, *self._stand_ins, *(original.name for _, original in self._misnamed)}
        found.missing = [original.name for original in self._originals.files if original.name not in accounted]
        found.recognized = sorted(self._here)
        found.twins = sorted(pair for names in self._by_pixels.values() for pair in _contradictions(sorted(names)))
        found.broken_off = broken_off
        return found

    def _add_known(self, seen: Seen, original: Original) -> None:
        if seen.by_name != original or PurePosixPath(seen.name).suffix.lower() != ".png":
            self._misnamed.append((seen, original))
        elif original.name in self._here:
            says = f"a second copy of {self._here[original.name]}"
            self._found.repeated.append(Finding(seen.path, says, original.name))
        else:
            self._here[original.name] = seen.path

    def _add_unread(self, seen: Seen) -> None:
        original = None if seen.by_name is None else seen.by_name.name
        if original is not None:
            self._stand_ins.add(original)
        self._found.unread.append(Finding(seen.path, seen.trouble, original))

    def _add_named(self, seen: Seen, original: Original) -> None:
        self._stand_ins.add(original.name)
        if seen.opens and seen.image_format != "PNG":
            says = f"re-encoded as {seen.image_format or 'another format'}, can't be checked by hash"
            self._found.reencoded.append(Finding(seen.path, says, original.name))
        else:
            self._found.damaged.append(Finding(seen.path, _damage(seen, original), original.name))


def _damage(seen: Seen, original: Original) -> str:
    if seen.size < original.size and not seen.complete:
        return f"truncated: {seen.size} of {original.size} bytes"
    size = "as long as the original" if seen.size == original.size else f"{seen.size} bytes instead of {original.size}"
    opens = "still opens: changed or saved anew" if seen.opens else "does not open"
    return f"other bytes than the original ({size}); {opens}"


def _contradictions(names: list[str]) -> list[tuple[str, str]]:
    labels = [said.label if (said := parse_name(name)) else "" for name in names]
    return [(names[a], names[b]) for a in range(len(names)) for b in range(a + 1, len(names)) if labels[a] != labels[b]]
