from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_edge.sources.paths import find_sources


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(source: str | Path) -> list[str]:
    return [path.as_posix() for path in find_sources(str(source))]


def refusal(source: str) -> str:
    with pytest.raises(UsageError) as error:
        list(find_sources(source))
    assert error.value.next_step == "ssr-edge infer FOLDER"
    return error.value.found


def test_a_folder_is_searched_in_natural_order(folder: Path) -> None:
    names = ["d/tile1.png", "d/tile2.png", "d/tile10.png", "d/tile10b.png", "d/x/1.png", "d/x/02.png", "d/x/3/a.png"]
    touch(*random.Random(0).sample(names, len(names)))
    assert found("d") == names


def test_only_image_suffixes_count_in_a_folder(folder: Path) -> None:
    touch("a.PNG", "b.jpg", "c.jpeg", "d.tif", "e.TIFF", "f.bmp", "g.webp", "notes.txt", "h.png.part", "png", "i.gif")
    assert found(".") == ["a.PNG", "b.jpg", "c.jpeg", "d.tif", "e.TIFF", "f.bmp", "g.webp"]


def test_hidden_files_and_folders_are_skipped(folder: Path) -> None:
    touch("a.png", ".b.png", ".cache/c.png", "d/._e.png", "d/f.png")
    assert found(".") == ["a.png", "d/f.png"]


def test_folders_behind_links_are_not_followed_but_files_are(folder: Path) -> None:
    touch("d/a.png", "elsewhere/b.png")
    Path("d/loop").symlink_to(folder / "d")
    Path("d/other").symlink_to(folder / "elsewhere")
    Path("d/link.png").symlink_to(folder / "elsewhere" / "b.png")
    assert found("d") == ["d/a.png", "d/link.png"]


def test_a_broken_link_is_found_so_that_its_failure_is_listed(folder: Path) -> None:
    Path("gone.png").symlink_to("nowhere")
    Path("self.png").symlink_to("self.png")
    assert found(".") == ["gone.png", "self.png"]
    assert found("gone.png") == ["gone.png"]


def test_a_folder_named_like_an_image_is_a_folder(folder: Path) -> None:
    touch("slide.png/tile.png")
    assert found(".") == ["slide.png/tile.png"]


def test_a_file_named_outright_is_taken_whatever_its_suffix(folder: Path) -> None:
    touch("image.dat", ".hidden.png", "odd[1].png")
    for name in ("image.dat", ".hidden.png", "odd[1].png"):
        assert found(name) == [name]


def test_a_glob_is_sorted_and_takes_files_alone(folder: Path) -> None:
    touch("a10.png", "a9.png", "b.png", "a.png/inner.png", "deep/er/a1.png")
    assert found("a*.png") == ["a9.png", "a10.png"]
    assert found("**/*.png") == ["a9.png", "a10.png", "a.png/inner.png", "b.png", "deep/er/a1.png"]
    assert found(folder / "a?.png") == [(folder / "a9.png").as_posix()]


def test_what_names_nothing_is_refused_at_once(folder: Path) -> None:
    touch("notes/readme.txt")
    assert "missing" in refusal("missing")
    assert "no image in notes" in refusal("notes")
    assert "*.png" in refusal("*.png")
    assert "zero\0byte" in refusal("zero\0byte")
    assert "file name too long" in refusal("long" * 1000)
    with pytest.raises(UsageError):
        find_sources("missing")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_skipped_and_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touch("a/1.png", "b/2.png")
    Path("a").chmod(0)
    assert found(".") == ["b/2.png"]
    Path("a").chmod(0o700)
    assert " a: Permission denied" in capsys.readouterr().err


def test_paths_come_one_at_a_time(folder: Path) -> None:
    touch("a/1.png", "b/2.png")
    sources: Iterator[Path] = find_sources(".")
    assert next(sources) == Path("a/1.png")
    touch("c/3.png", "b/4.png")  # the second folder is read only when it is reached
    assert [path.as_posix() for path in sources] == ["b/2.png", "b/4.png"]


@given(st.sets(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20), min_size=1))
def test_any_file_names_are_found_and_ordered(tmp_path_factory: pytest.TempPathFactory, stems: set[str]) -> None:
    folder = tmp_path_factory.mktemp("names")
    paths = {folder / f"x{stem}.png" for stem in stems}
    for path in paths:
        path.touch()
    assert set(find_sources(str(folder))) == paths


@given(st.text(st.sampled_from("ab*?[]!-~$ \0\u00e9"), max_size=12))
def test_any_source_is_found_or_refused(folder: Path, source: str) -> None:
    touch("a.png", "b/a.png")
    with suppress(UsageError):
        assert set(found(source)) <= {"a.png", "b/a.png"}
