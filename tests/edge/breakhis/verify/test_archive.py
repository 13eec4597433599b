"""Malicious and damaged archives: each is reported, and the files before the damage are kept."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_edge.breakhis.verify.official_files import OfficialFiles
from ssr_edge.breakhis.verify.verification import Verification
from ssr_edge.breakhis.verify.verify import verify
from ssr_edge.common.errors import DataError

NAME = "SOB_B_A-14-22549AB-100-001.png"


@pytest.fixture(scope="module")
def original(whole_copy: Path) -> bytes:
    (path,) = whole_copy.rglob(NAME)
    return path.read_bytes()


def entry(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, len(data), link
    return member, data


def packed(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    return path


def header(name: str, kind: bytes, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def with_tail(path: Path, original: bytes, tail: bytes) -> Path:
    """A valid entry followed by `tail`."""
    first = header(f"BreaKHis_v1/{NAME}", tarfile.REGTYPE, len(original)) + original + bytes(-len(original) % 512)
    path.write_bytes(gzip.compress(first + tail))
    return path


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (entry("../../etc/passwd", data=b"x"), "out of the archive"),
        (entry("/etc/passwd", data=b"x"), "out of the archive"),
        (entry("a/../../b.png", data=b"x"), "out of the archive"),
        (entry("C:\\x.png", data=b"x"), "out of the archive"),
        (entry("link.png", tarfile.SYMTYPE, link="/etc/\x1bpasswd"), "link to /etc/\\x1bpasswd"),
        (entry("link.png", tarfile.LNKTYPE, link=NAME), f"link to {NAME}"),
        (entry("disk", tarfile.BLKTYPE), "special entry"),
        (entry("tty", tarfile.CHRTYPE), "special entry"),
        (entry("pipe", tarfile.FIFOTYPE), "special entry"),
    ],
)
def test_entries_that_could_do_harm_are_named_and_not_read(
    tmp_path: Path,
    small_list: OfficialFiles,
    original: bytes,
    member: tuple[tarfile.TarInfo, bytes],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = verify(packed(tmp_path / "x.tar.gz", member, entry(NAME, data=original)), small_list)
    (unread,) = found.unread
    assert unread.problem.endswith(problem)
    assert found.recognized == [NAME]  # the rest is still read
    assert not found.whole and found.broken_off is None
    assert list(tmp_path.iterdir()) == [tmp_path / "x.tar.gz"]


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"", "end-of-archive marker"),
        (b"x" * 512, "header of the next file"),
        (b"x" * 100, "header of the next file"),
        (header("big.png", tarfile.REGTYPE, 1 << 40) + b"x" * 2000, "unexpected end of data|in the middle of a file"),
        (header("pax", tarfile.XHDTYPE, 1 << 33), "8589934592 bytes"),
        (header("long", tarfile.GNUTYPE_LONGNAME, 1 << 33), "8589934592 bytes"),
        (header("back", tarfile.REGTYPE, -4096), "backwards"),
        ((header("pax", tarfile.XHDTYPE, 11) + b"11 path=abc".ljust(512, b"\0")) * 3000, "nested"),
    ],
    ids=["no end", "damaged", "short", "size", "pax size", "long name size", "negative size", "chain"],
)
def test_a_hostile_header_breaks_it_off_and_keeps_what_came_before(
    tmp_path: Path, small_list: OfficialFiles, original: bytes, tail: bytes, reason: str
) -> None:
    found = verify(with_tail(tmp_path / "x.tar.gz", original, tail), small_list)
    assert found.recognized == [NAME]
    assert not found.whole
    assert found.broken_off is not None
    assert re.search(reason, found.broken_off), found.broken_off


def test_a_sparse_file_is_not_read(tmp_path: Path, small_list: OfficialFiles, original: bytes) -> None:
    member, data = entry("holes.png", data=b"x" * 512)
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.size": str(1 << 50), "GNU.sparse.map": "0,1"}
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(data))
    found = verify(tmp_path / "x.tar.gz", small_list)
    (unread,) = found.unread
    assert "sparse" in unread.problem
    assert not found.whole


def test_a_plain_tar_is_read_too(tmp_path: Path, archive: Path, small_list: OfficialFiles) -> None:
    (tmp_path / "x.tar").write_bytes(gzip.decompress(archive.read_bytes()))
    assert verify(tmp_path / "x.tar", small_list).whole


def test_a_wrong_sum_of_the_whole_is_noticed(tmp_path: Path, archive: Path, small_list: OfficialFiles) -> None:
    data = bytearray(archive.read_bytes())
    data[-8] ^= 1
    (tmp_path / "x.tar.gz").write_bytes(data)
    found = verify(tmp_path / "x.tar.gz", small_list)
    assert len(found.recognized) == 82 and not found.whole
    assert found.broken_off is not None and "CRC" in found.broken_off


def test_memory_does_not_grow_with_an_entry(tmp_path: Path, small_list: OfficialFiles) -> None:
    path = packed(tmp_path / "x.tar.gz", entry("zeros.png", data=bytes(100 << 20)))
    tracemalloc.start()
    found = verify(path, small_list)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.other == ["zeros.png"]
    assert peak < 50 << 20


def verified(path: Path, data: bytes, small_list: OfficialFiles) -> Verification | None:
    path.write_bytes(data)
    try:
        return verify(path, small_list)
    except DataError:
        return None


@settings(max_examples=25)
@given(share=st.floats(0, 1, exclude_max=True))
@pytest.mark.parametrize("compressed", [True, False])
def test_an_archive_cut_anywhere_is_never_whole(
    tmp_path: Path, archive: Path, small_list: OfficialFiles, share: float, compressed: bool
) -> None:
    data = archive.read_bytes() if compressed else gzip.decompress(archive.read_bytes()).rstrip(b"\0")
    found = verified(tmp_path / "x", data[: int(share * len(data))], small_list)
    assert found is None or (not found.whole and found.broken_off is not None)


@settings(max_examples=25)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@pytest.mark.parametrize("compressed", [True, False])
def test_a_byte_changed_anywhere_ends_in_no_traceback(
    tmp_path: Path, archive: Path, small_list: OfficialFiles, share: float, flip: int, compressed: bool
) -> None:
    data = bytearray(archive.read_bytes() if compressed else gzip.decompress(archive.read_bytes()))
    data[int(share * len(data))] ^= flip
    found = verified(tmp_path / "x", bytes(data), small_list)
    assert found is None or not found.whole or len(found.recognized) == 82
