from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.breakhis.index import IndexRow, read_index
from ssr_edge.common.errors import DataError

COLUMNS = "path,class,patient,magnification"


def write_index(folder: Path, columns: str, *rows: str) -> Path:
    path = folder / "index.csv"
    path.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("column", ["path", "jpeg", "original", "file"])
@pytest.mark.parametrize("magnification", ["200", "200X"])
def test_a_row_is_read(tmp_path: Path, complete: bool, column: str, magnification: str) -> None:
    index = write_index(tmp_path, f"{column},class,patient,magnification", f"b/two.png,LC,14-9,{magnification}")
    expected = IndexRow(2, (tmp_path / "b" / "two.png",), "LC", "14-9", 200)
    assert read_index(index, complete=complete) == [expected]


def test_path_columns_have_an_order_and_empty_cells_are_skipped(tmp_path: Path) -> None:
    index = write_index(tmp_path, "original,class,path,note", "a.png,A,b.jpg,x", "c.png,F,,", ",PT,,")
    assert [(row.line, [path.name for path in row.paths], row.label) for row in read_index(index)] == [
        (2, ["b.jpg", "a.png"], "A"),
        (3, ["c.png"], "F"),
        (4, [], "PT"),
    ]


def test_patient_and_magnification_may_be_missing_unless_it_has_to_be_complete(tmp_path: Path) -> None:
    index = write_index(tmp_path, "path,class", "a.png,A")
    assert read_index(index) == [IndexRow(2, (tmp_path / "a.png",), "A", None, None)]
    with pytest.raises(DataError) as raised:
        read_index(index, complete=True)
    assert "path, class" in raised.value.found


@pytest.mark.parametrize(
    ("columns", "row", "found"),
    [
        ("path,label,patient,magnification", "a.png,A,14-1,40", "path, label"),
        ("image,class,patient,magnification", "a.png,A,14-1,40", "image, class"),
        (COLUMNS, "a.png,XX,14-1,40", "'XX'"),
        (COLUMNS, "a.png,XX,14-1,40", "line 2"),
        (COLUMNS, "a\0.png,A,14-1,40", ""),
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_an_unusable_index_is_refused(tmp_path: Path, complete: bool, columns: str, row: str, found: str) -> None:
    index = write_index(tmp_path, columns, row)
    with pytest.raises(DataError) as raised:
        read_index(index, complete=complete)
    assert str(index) in raised.value.found and found in raised.value.found
    assert "class" in raised.value.expected and str(index) in raised.value.next_step


@pytest.mark.parametrize(
    ("columns", "row", "found"),
    [
        ("path,class,magnification", "a.png,A,40", "path, class, magnification"),
        (COLUMNS, "a.png,A,14-1,high", "line 2"),
        (COLUMNS, "a.png,A,14-1,high", "no magnification"),
        (COLUMNS, "a.png,A,14-1", "no magnification"),
        (COLUMNS, ",A,14-1,40", "no path"),
    ],
)
def test_an_incomplete_index_is_refused_where_it_has_to_be_complete(
    tmp_path: Path, columns: str, row: str, found: str
) -> None:
    index = write_index(tmp_path, columns, row)
    assert len(read_index(index)) == 1
    with pytest.raises(DataError) as raised:
        read_index(index, complete=True)
    assert found in raised.value.found


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00p",
        b"path,class,patient,magnification\na\xe9.png,A,1,40\n",
        b'path,class,patient,magnification\n"' + b"x" * 200_000,
    ],
    ids=["empty", "UTF-16", "Latin-1", "endless cell"],
)
def test_a_file_that_is_not_utf8_csv_is_refused(tmp_path: Path, content: bytes, complete: bool) -> None:
    (tmp_path / "index.csv").write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_index(tmp_path / "index.csv", complete=complete)
    assert "index.csv" in raised.value.found


@pytest.mark.parametrize("complete", [True, False])
def test_an_index_from_a_spreadsheet_is_read(tmp_path: Path, complete: bool) -> None:
    (tmp_path / "index.csv").write_text(f"{COLUMNS}\r\na.png,PC,14-1,40\r\n", encoding="utf-8-sig")
    assert [row.label for row in read_index(tmp_path / "index.csv", complete=complete)] == ["PC"]
