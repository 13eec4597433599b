"""`ssr-edge data`: what it prints and writes, and its exit codes."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssr_edge.breakhis.verify.official_files import official_files_of
from ssr_train.data.breakhis import read
from ssr_train.data.splits import Split
from ssr_train.training.checkpoint import load_checkpoint

Run = Callable[..., Any]

NAME = "SOB_B_A-14-22549AB-100-001.png"
TESTED = ("14-22549CD", "14-21998CD", "14-29315EF", "14-16184", "14-14926", "14-12204", "14-16456", "14-15704")


@pytest.fixture
def copy(breakhis_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy without the second twin, complete according to a list that replaces the official one."""
    copy = Path(shutil.copytree(breakhis_tree, tmp_path / "BreaKHis_v1"))
    (twin,) = copy.rglob("SOB_M_LC-14-13412-100-001.png")
    twin.unlink()
    rows = [(p.name, hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_size) for p in copy.rglob("*.png")]
    official_files_of(rows).write(tmp_path / "list.npz")
    monkeypatch.setattr("ssr_edge.breakhis.verify.official_files.SHIPPED", tmp_path / "list.npz")
    return copy


@pytest.fixture
def folds(breakhis_tree: Path, tmp_path: Path) -> Path:
    """The authors' five folds, as they could be for `breakhis_tree`."""
    folder = tmp_path / "mkfold"
    folder.mkdir()
    for fold in range(1, 6):
        rows = [(f"{r.name}.png", r.magnification, fold, r.patient in TESTED) for r in read(breakhis_tree)]
        lines = [f"{name}|{at}|{of}|{'test' if tested else 'train'}\n" for name, at, of, tested in rows]
        (folder / f"dsfold{fold}.txt").write_text("".join(lines))
    return folder


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_complete_copy_exits_with_0_and_shows_how_to_cite_it(ssr_edge: Run, copy: Path) -> None:
    answer = ssr_edge("data", "verify", copy)
    assert answer.code == 0, answer.err
    assert "81 of 81 official files recognized, 17 of 17 patients" in words(answer.out)
    assert "Cite: F. A. Spanhol" in answer.out and "63(7), 1455-1462, 2016" in answer.out and "CC BY 4.0" in answer.out


def test_a_damaged_copy_exits_with_3_and_names_each_file(ssr_edge: Run, copy: Path) -> None:
    flipped, renamed, cut, *_, gone = sorted(copy.rglob("*.png"))
    data = bytearray(flipped.read_bytes())
    data[-20] ^= 1
    flipped.write_bytes(data)
    renamed.rename(renamed.with_name("[red]copy.png"))
    cut.write_bytes(cut.read_bytes()[:100])
    gone.unlink()
    answer = ssr_edge("data", "verify", copy, "-v")
    assert answer.code == 3, answer.err
    assert f"{flipped.name}: " in answer.out and "same size" in answer.out
    assert re.search(rf"\[red\]copy\.png: .*{renamed.name}", answer.out)
    assert f"{cut.name}: truncated: 100 of" in answer.out
    assert "1 missing" in answer.out and f"  {gone.name}" in answer.out
    assert "https://web.inf.ufpr.br/vri/databases/" in answer.out


def test_verify_writes_json(ssr_edge: Run, copy: Path, tmp_path: Path) -> None:
    next(copy.rglob(NAME)).unlink()
    answer = ssr_edge("data", "verify", copy, "--json", "-")
    assert answer.code == 3, answer.err
    report = json.loads(answer.out)
    assert (report["whole"], report["missing"], len(report["recognized"])) == (False, [NAME], 80)
    assert report["counts"]["A"]["100"] == {"recognized": 9, "originals": 10}
    assert ssr_edge("data", "verify", copy, "--json", tmp_path / "report.json").code == 3
    assert json.loads((tmp_path / "report.json").read_text()) == report


def test_long_lists_are_cut_unless_asked_for(ssr_edge: Run, copy: Path, breakhis_tree: Path) -> None:
    shutil.copytree(breakhis_tree, copy / "again")
    short, long = ssr_edge("data", "verify", copy), ssr_edge("data", "verify", copy, "-v")
    assert "and 61 more (-v or --json lists them all)" in short.out
    assert "more (-v" not in long.out and long.out.count("a second copy of") == 81


def test_against_the_official_list_nothing_of_the_demo_is_an_original(ssr_edge: Run, demo_images: list[Path]) -> None:
    answer = ssr_edge("data", "verify", demo_images[0].parent)
    assert answer.code == 3
    assert "0 of 7909 official files recognized, 0 of 82 patients" in words(answer.out)
    assert "22 re-encoded copies" in answer.out and "7887 missing" in answer.out


def test_what_is_no_copy_is_an_error(ssr_edge: Run, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8bno gzip")
    for path in (tmp_path / "x.tar.gz", tmp_path / "nowhere"):
        answer = ssr_edge("data", "verify", path)
        assert answer.code == 1
        assert "  next: ssr-edge data verify BreaKHis_v1.tar.gz" in answer.err and "Traceback" not in answer.err


@pytest.mark.slow
def test_a_patient_split_is_written_and_trained_on(ssr_edge: Run, breakhis_tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    answer = ssr_edge("data", "split", breakhis_tree, "-o", file, "--seed", "3")
    assert answer.code == 0, answer.err
    assert "left out 2 images" in words(answer.out)
    assert re.search(r"A: two patients \(14-22549AB, 14-22549CD\), .*none in val", answer.out)
    assert answer.out.endswith(f"next: ssr-edge train --data {breakhis_tree} --split {file}\n")
    split = Split.read(file)
    assert (split.kind, split.seed, len(split.parts)) == ("patient", 3, 80)
    assert ssr_edge("data", "leakage", file, "--data", breakhis_tree).code == 0

    split = Split("patient", 3, {name: part for name, part in split.parts.items() if "PC" not in name} | {"x": "test"})
    split.write(file)
    answer = ssr_edge(
        *("train", "--data", breakhis_tree, "--split", file, "--arch", "ssresnext14_8x4d", "--epochs", "1"),
        *("--device", "cpu", "--run", tmp_path / "run"),
    )
    assert answer.code == 0, answer.err
    assert re.search(rf"{file}: 1 of 71 images .* x\n", answer.out)
    assert re.search(rf"{file}: 10 of 80 images .* SOB_M_PC-14-12465-100-001\n", answer.out)
    card = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")[1]
    assert card.to_split() == split == Split.read(tmp_path / "run" / "split.csv")


def test_folds_are_written_one_file_each(ssr_edge: Run, breakhis_tree: Path, tmp_path: Path) -> None:
    arguments = ("data", "split", breakhis_tree, "--kind", "kfold", "--unit", "image", "--folds", "4")
    answer = ssr_edge(*arguments, "-o", tmp_path / "k.csv")
    assert answer.code == 0, answer.err
    files = sorted(tmp_path.glob("*.csv"))
    assert [file.name for file in files] == [f"k.fold-{number}.csv" for number in range(1, 5)]
    assert "16 of 16 patients are in several parts" in words(answer.out)
    tested = [name for file in files for name, part in Split.read(file).parts.items() if part == "test"]
    assert len(tested) == len(set(tested)) == 80
    assert ssr_edge(*arguments, "--fold", "2", "-o", tmp_path / "only.csv").code == 0
    assert (tmp_path / "only.csv").read_text() == files[1].read_text()


def test_the_official_folds_keep_the_authors_test_part(
    ssr_edge: Run, breakhis_tree: Path, folds: Path, tmp_path: Path
) -> None:
    arguments = ("data", "split", breakhis_tree, "--kind", "official", "--folds-dir", folds, "-o")
    assert ssr_edge(*arguments, tmp_path / "o.csv").code == 0
    assert len(list(tmp_path.glob("o.fold-?.csv"))) == 5
    split = Split.read(tmp_path / "o.fold-4.csv")
    assert split.kind == "official-fold-4"
    names = {r.name for r in read(breakhis_tree) if r.patient in TESTED}
    assert {name for name, part in split.parts.items() if part == "test"} == names


@pytest.mark.parametrize(
    ("arguments", "code", "found"),
    [
        (("--kind", "image", "--folds", "4"), 2, "--folds with --kind image"),
        (("--fold", "1"), 2, "--fold with --kind patient"),
        (("--kind", "official", "--unit", "image"), 2, "--unit with --kind official"),
        (("--kind", "kfold", "--folds-dir", "."), 2, "--folds-dir with --kind kfold"),
        (("--kind", "official"), 2, "--kind official without --folds-dir"),
        (("--kind", "kfold", "--fold", "6"), 2, "--fold 6"),
        (("--kind", "official", "--folds-dir", "."), 1, "dsfold1.txt"),
        (("--kind", "kfold", "--folds", "40"), 1, "40 folds"),
        (("--magnification", "40"), 1, "40X"),
        (("-o", "file/split.csv"), 2, "file/split.csv"),
    ],
)
def test_a_refused_split_has_a_reason(
    ssr_edge: Run,
    breakhis_tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    found: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    answer = ssr_edge("data", "split", breakhis_tree, *arguments)
    assert (answer.code, answer.out.count("Traceback")) == (code, 0)
    lines = answer.err.splitlines()
    assert lines[0].startswith("ssr-edge: ") and found in lines[0]
    assert lines[1].startswith("  expected: ") and lines[2].startswith("  next: ")


def test_train_refuses_a_split_that_is_none(ssr_edge: Run, breakhis_tree: Path, tmp_path: Path) -> None:
    answer = ssr_edge("train", "--data", breakhis_tree, "--split", "slide")
    assert answer.code == 2 and "--split slide" in answer.err
    (tmp_path / "bad.csv").write_text("name,part\n")
    answer = ssr_edge("train", "--data", breakhis_tree, "--split", tmp_path / "bad.csv", "--run", tmp_path / "run")
    assert answer.code == 1 and "bad.csv" in answer.err
    assert not (tmp_path / "run").exists()


def test_an_image_split_leaks_patients(ssr_edge: Run, breakhis_tree: Path, tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    assert ssr_edge("data", "split", breakhis_tree, "--kind", "image", "-o", file).code == 0
    answer = ssr_edge("data", "leakage", file)
    assert answer.code == 3, answer.err
    assert "train and test: leakage\n" in answer.out
    assert "patients are in both, e.g. 14-" in answer.out
    assert "pixels of 70 images were not compared" in answer.out
    answer = ssr_edge("data", "leakage", f"{file}:train", f"{file}:test", "--data", breakhis_tree, "--json", "-")
    (report,) = json.loads(answer.out)
    assert (answer.code, report["found"], report["names"], report["not_at_hand"]) == (3, True, [], 0)
    assert report["patients"]


def test_copies_and_twins_leak_between_folders_and_lists(
    ssr_edge: Run, breakhis_tree: Path, demo_images: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copyfile(demo_images[0], tmp_path / "mine" / "holiday.jpg")
    answer = ssr_edge("data", "leakage", tmp_path / "mine", demo_images[0].parent)
    assert answer.code == 3
    assert re.search(rf"1 pairs .* holiday = {demo_images[0].stem}\n", answer.out)

    for label in ("DC", "LC"):
        (tmp_path / f"{label}.txt").write_text(f"SOB_M_{label}-14-13412-100-025.png\n")
    answer = ssr_edge("data", "leakage", tmp_path / "DC.txt", tmp_path / "LC.txt")
    assert answer.code == 3
    assert re.search(r"1 pairs .*twins.* SOB_M_DC-14-13412-100-025 = SOB_M_LC-14-13412-100-025\n", answer.out)
    assert "1 patients are in both, e.g. 14-13412" in answer.out

    answer = ssr_edge("data", "leakage", tmp_path / "DC.txt")
    assert answer.code == 2 and "DC.txt" in answer.err
    assert ssr_edge("data", "leakage", tmp_path / "mine", breakhis_tree).code == 0


def test_split_files_are_plain_csv(ssr_edge: Run, breakhis_tree: Path, tmp_path: Path) -> None:
    ssr_edge("data", "split", breakhis_tree, "-o", tmp_path / "split.csv")
    with (tmp_path / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "part", "kind", "seed"] and len(rows) == 80


def test_verify_and_leakage_need_neither_torch_nor_scikit_learn(demo_images: list[Path]) -> None:
    program = (
        "import sys; sys.modules |= {'torch': None, 'sklearn': None}; folder = sys.argv[1];"
        "from ssr_edge.cli.data_leakage import compare; assert compare(folder, folder, None, None);"
        "from ssr_edge.breakhis.verify.verify import verify; from pathlib import Path; "
        "assert len(verify(Path(folder)).reencoded) == 22"
    )
    done = subprocess.run([sys.executable, "-c", program, demo_images[0].parent], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
