"""A small list of official files, and a complete copy of them."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import cv2
import pytest

from ssr_edge.breakhis.verify.official_files import OfficialFiles, official_files_of


@pytest.fixture(scope="session")
def whole_copy(tmp_path_factory: pytest.TempPathFactory, breakhis_tree: Path) -> Path:
    """`breakhis_tree` with twins of the same pixels but different bytes, as in the official data; read-only."""
    copy = tmp_path_factory.mktemp("verify") / "BreaKHis_v1"
    shutil.copytree(breakhis_tree, copy)
    (twin,) = copy.rglob("SOB_M_LC-14-13412-100-001.png")
    image = cv2.imread(str(twin))
    assert image is not None and cv2.imwrite(str(twin), image, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return copy


@pytest.fixture(scope="session")
def small_list(whole_copy: Path) -> OfficialFiles:
    """The list of the 82 files of `whole_copy`."""
    rows = [
        (path.name, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
        for path in whole_copy.rglob("*.png")
    ]
    return official_files_of(rows)


@pytest.fixture
def copy(tmp_path: Path, whole_copy: Path) -> Path:
    """A complete copy that the test may damage."""
    return Path(shutil.copytree(whole_copy, tmp_path / "BreaKHis_v1"))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, whole_copy: Path) -> Path:
    """`whole_copy` as a .tar.gz; treat it as read-only."""
    path = tmp_path_factory.mktemp("archive") / "BreaKHis_v1.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(whole_copy, "BreaKHis_v1")
    return path
