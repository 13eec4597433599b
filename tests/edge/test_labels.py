from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.breakhis import CLASSES
from ssr_edge.errors import DataError
from ssr_edge.labels import label_images


def test_names_say_class_and_magnification(tmp_path: Path) -> None:
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
    assert (found.left_out, found.labelled) == (1, True)


def test_other_magnifications_alone_are_kept_without_labels(tmp_path: Path) -> None:
    paths = [tmp_path / "SOB_M_DC-14-2523-400-001.png"]
    found = label_images(paths, tmp_path, 100)
    assert (found.paths, found.truth, found.labelled) == (paths, [None], False)


def test_index_wins_and_labels_every_copy_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text(
        "file,class,magnification,jpeg,original\na.png,PC,100,small/a.jpg,big/a.png\nb.png,LC,200X,small/b.jpg,\n"
    )
    paths = [tmp_path / "small/a.jpg", tmp_path / "big/a.png", tmp_path / "small/b.jpg", tmp_path / "other.png"]
    found = label_images(paths, tmp_path, 100)
    assert found.paths == [paths[0], paths[1], paths[3]]
    assert found.truth == [CLASSES.index("PC"), CLASSES.index("PC"), None]
    assert label_images(paths, tmp_path, None).truth[2] == CLASSES.index("LC")


@pytest.mark.parametrize(
    ("text", "found"),
    [("path,label\na.png,A\n", "columns path, label"), ("path,class\na.png,XX\n", "line 2"), ("", "columns none")],
)
def test_an_index_that_cannot_be_used(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "index.csv").write_text(text)
    with pytest.raises(DataError, match=found):
        label_images([tmp_path / "a.png"], tmp_path, None)
