"""Checks a copy of BreaKHis, a folder or an archive, against the list of all originals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssr_edge.breakhis.verify.archive import BrokenOff, files_of_archive
from ssr_edge.breakhis.verify.folder import files_of_folder
from ssr_edge.breakhis.verify.originals import Originals
from ssr_edge.breakhis.verify.seen import Seen
from ssr_edge.breakhis.verify.verification import Judge, Verification
from ssr_edge.common.errors import DataError


def verify(path: Path, originals: Originals | None = None) -> Verification:
    """Reads every file of a copy once; writes nothing. originals: instead of the official list.

    Raises:
        DataError: nothing is there, or it is neither a folder nor a tar archive.
    """
    known = Originals.shipped() if originals is None else originals
    judge = Judge(known)
    try:
        for seen in _files(path, known):
            judge.add(seen)
    except BrokenOff as error:
        return judge.verdict(broken_off=str(error))
    return judge.verdict()


def _files(path: Path, originals: Originals) -> Iterator[Seen]:
    if path.is_dir():
        return files_of_folder(path, originals)
    if path.is_file():
        return files_of_archive(path, originals)
    raise DataError(
        f"{path} does not exist",
        expected="a folder, or a .tar or .tar.gz archive",
        next_step="ssr-edge data verify BreaKHis_v1.tar.gz",
    )
