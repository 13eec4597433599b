"""Checks a copy of BreaKHis, a folder or an archive, against the list of official files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ssr_edge.breakhis.verify.archive import BrokenOff, files_of_archive
from ssr_edge.breakhis.verify.folder import files_of_folder
from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_edge.breakhis.verify.seen import Seen
from ssr_edge.breakhis.verify.verification import Checker, Verification
from ssr_edge.common.errors import DataError


def verify(path: Path, official: OfficialFiles | None = None) -> Verification:
    """Reads every file of a copy once; writes nothing. official: replaces the list of this package.

    Raises:
        DataError: the path does not exist, or is neither a folder nor a tar archive.
    """
    known = OfficialFiles.shipped() if official is None else official
    checker = Checker(known)
    try:
        for seen in _files(path, known):
            checker.add(seen)
    except BrokenOff as error:
        return checker.result(broken_off=str(error))
    return checker.result()


def _files(path: Path, official: OfficialFiles) -> Iterator[Seen]:
    if path.is_dir():
        return files_of_folder(path, official)
    if path.is_file():
        return files_of_archive(path, official)
    raise DataError(
        f"{path} does not exist",
        expected="a folder, or a .tar or .tar.gz archive",
        next_step="ssr-edge data verify BreaKHis_v1.tar.gz",
    )
