from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.labels import label_images
from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import DataError


def test_class_and_magnification_come_from_names(tmp_path: Path) -> None:
    paths = [
        tmp_path / name
        for name in (
            "SOB_M_DC-14-2523-100-001.png",
            "SOB_B_A-14-2523-40-001.png",
            "SOB_B_F-14-2523-100-002.jpg",
            "x.png",
        )
    ]
    found = label_images(paths, tmp_path, 100)
    assert found.paths == [paths[0], paths[2], paths[3]]
    assert found.truth == [CLASSES.index("DC"), CLASSES.index("F"), None]
    assert (found.left_out, found.labeled) == (1, True)


def test_other_magnifications_alone_are_kept_without_labels(tmp_path: Path) -> None:
    paths = [tmp_path / "SOB_M_DC-14-2523-400-001.png"]
    found = label_images(paths, tmp_path, 100)
    assert (found.paths, found.truth, found.labeled) == (paths, [None], False)


def test_index_wins_and_labels_every_copy_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(
        "file,class,magnification,jpeg,original\na.png,PC,100,small/a.jpg,big/a.png\nb.png,LC,200X,small/b.jpg,\n"
    )
    paths = [tmp_path / "small/a.jpg", tmp_path / "big/a.png", tmp_path / "small/b.jpg", tmp_path / "other.png"]
    found = label_images(paths, tmp_path, 100)
    assert found.paths == [paths[0], paths[1], paths[3]]
    assert found.truth == [CLASSES.index("PC"), CLASSES.index("PC"), None]
    assert label_images(paths, tmp_path, None).truth[2] == CLASSES.index("LC")


def test_an_index_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("path,class\na.png,XX\n")
    with pytest.raises(DataError) as raised:
        label_images([tmp_path / "a.png"], tmp_path, None)
    assert "XX" in raised.value.found


@given(
    st.one_of(
        st.binary(max_size=100),
        st.lists(st.lists(st.sampled_from(["", "a.png", "A", "40X", "²", "\0", '"', "\r"]), max_size=3)).map(
            lambda rows: "\n".join(["path,class,magnification", *map(",".join, rows)]).encode()
        ),
    )
)
def test_any_index_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "index.csv").write_bytes(content)
    try:
        found = label_images([tmp_path / "a.png"], tmp_path, None)
    except DataError:
        return
    assert found.truth in ([CLASSES.index("A")], [None])
