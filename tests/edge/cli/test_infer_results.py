"""`infer`'s outputs from the command line: groups, Parquet, and runs that can't be resumed."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.breakhis.names import parse_name
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.common.files import sha256_of

Run = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, demo_images: list[Path]) -> Path:
    """The working folder of a run; `images` has six images of known patients and one of an unknown patient."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for path in demo_images[:6]:
        shutil.copy(path, tmp_path / "images")
    shutil.copy(demo_images[6], tmp_path / "images" / "z.jpg")
    return tmp_path


def rows(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_patients_have_a_separate_table(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]
) -> None:
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--group-by", "patient", "-o", "out.jsonl")
    assert answer.code == 0
    patients = [name.patient for path in demo_images[:6] if (name := parse_name(path)) is not None]
    table = rows("out.by-group.csv")
    assert [(row["group"], int(row["images"])) for row in table] == [
        (patient, patients.count(patient)) for patient in dict.fromkeys(patients)
    ]
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    mine = [line["p_A"] for line in lines if patients[0] in line["source"]]
    assert float(table[0]["p_A"]) == pytest.approx(sum(mine) / len(mine), abs=1e-6)
    assert f"{len(table)} groups" in answer.err
    assert "out.by-group.csv" in answer.err
    assert "  images/z.jpg\n" in answer.err


def test_an_invalid_expression_ends_the_run_before_anything_is_changed(
    ssr_edge: Run, tiny_bundle: Bundle, place: Path
) -> None:
    Path("predictions.csv").write_text("earlier results")
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--group-by", "(")
    assert answer.code == 2
    assert answer.err.startswith("ssr-edge: --group-by '('")
    assert Path("predictions.csv").read_text() == "earlier results"


def test_parquet_has_the_rows_of_the_csv(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet'")
    assert ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "-o", "p.parquet", "-o", "p.csv").code == 0
    table = parquet.read_table("p.parquet").to_pylist()
    for row, line in zip(table, rows("p.csv"), strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items() if name != "flags"} == {
            name: value for name, value in line.items() if name != "flags"
        }
        assert row["flags"] == line["flags"].split()


def test_resuming_a_finished_run_changes_nothing(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    (place / "images" / "a.png").touch()
    first = ssr_edge("infer", "images", "--bundle", tiny_bundle.path)
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    second = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--resume")
    assert {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()} == before
    assert (second.code, second.out) == (first.code, first.out) == (3, second.out)
    assert " 8 inputs" in second.err and "0 images in " in second.err


def test_another_engine_does_not_resume(ssr_edge: Run, tiny_bundle: Bundle, place: Path) -> None:
    ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--precision", "fp32")
    record = json.loads(Path("predictions.run.json").read_text())
    assert record["bundle"] == sha256_of(tiny_bundle.path / "manifest.json")
    before = Path("predictions.csv").read_bytes()
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--precision", "int8", "--resume")
    assert answer.code == 2
    assert "engine openvino-fp32" in answer.err
    assert "openvino-int8\n" in answer.err
    assert "next: ssr-edge infer SOURCE -o OTHER.csv" in answer.err
    assert Path("predictions.csv").read_bytes() == before


def test_other_images_do_not_resume(ssr_edge: Run, tiny_bundle: Bundle, place: Path, demo_images: list[Path]) -> None:
    ssr_edge("infer", "images", "--bundle", tiny_bundle.path)
    shutil.copy(demo_images[0], "images/0.jpg")
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "--resume")
    assert answer.code == 2
    assert "0 lines, predictions.csv" in answer.err
    assert "images/SOB_" in answer.err
    assert "images/0.jpg\n" in answer.err


@pytest.mark.parametrize("output", ["p.parquet", "-"])
def test_parquet_and_stdout_are_not_resumed(ssr_edge: Run, tiny_bundle: Bundle, place: Path, output: str) -> None:
    answer = ssr_edge("infer", "images", "--bundle", tiny_bundle.path, "-o", output, "--resume")
    assert answer.code == 2
    assert "--resume" in answer.err
    assert f" {output}\n" in answer.err
    assert not Path(output).exists()
