"""Resuming: wherever a run was cut off, a resumed run ends with the results of an uninterrupted one."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.results import Results
from ssr_edge.results.rows import fields, prediction_of
from tests.edge.results.fake import RUN, image, run

pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")

GROUPS = "([ab])[^/]*$"


class Finished:
    """An uninterrupted run over images with awkward names, and broken files before, between and after them."""

    def __init__(self, folder: Path) -> None:
        self.inputs: list[Path] = []
        for number, name in enumerate(
            ["a1", "a,2", "two\nlines b", 'say "b"', "cr\rb", "b6", "a\u00e97", "plain", "a9"]
        ):
            if number in (0, 3, 4, 8):
                self.inputs += [folder / f"missing {number}.png", folder / "empty.png"]
            self.inputs.append(image(folder / f"{name}.png", number))
        self.inputs += [
            image(Path(os.fsdecode(bytes(folder) + b"/b\xe9.png")), 100),
            self.inputs[3],
            folder / "gone.png",
        ]
        (folder / "empty.png").touch()
        self.folder = folder / "finished"
        self.results = run(self.outputs(self.folder), self.inputs, group_by=GROUPS)
        assert (self.results.counts.total(), self.results.failed) == (11, 9)

    @staticmethod
    def outputs(folder: Path) -> list[Path]:
        return [folder / "p.csv", folder / "p.jsonl"]

    def check(self, folder: Path, results: Results) -> None:
        """Asserts that the files and sums in `folder` equal this run's, except for latency."""
        assert content(folder) == content(self.folder)
        assert (results.counts, results.flags, results.failed) == (
            self.results.counts,
            self.results.flags,
            self.results.failed,
        )
        assert results.failures == self.results.failures


def content(folder: Path) -> dict[str, Any]:
    """Every file of a run, without latency."""
    lines = [json.loads(line) for line in (folder / "p.jsonl").read_text().splitlines()]
    for line in lines:
        del line["latency_ms"]
    others = {name: (folder / name).read_bytes() for name in ("p.failed.csv", "p.by-group.csv", "p.run.json")}
    return {"rows": rows_of(folder / "p.csv"), "lines": lines, **others}


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV, without latency."""
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["latency_ms"]
    return rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return Finished(tmp_path_factory.mktemp("inputs"))


def copy_of(finished: Finished, folder: Path) -> Path:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    return Path(shutil.copytree(finished.folder, folder / "copy"))


@pytest.mark.slow
@settings(max_examples=200)
@given(st.data())
def test_cut_anywhere_a_resumed_run_ends_like_an_unbroken_one(
    finished: Finished, tmp_path: Path, data: st.DataObject
) -> None:
    folder = copy_of(finished, tmp_path)
    for path in finished.outputs(folder):
        os.truncate(path, data.draw(st.integers(0, path.stat().st_size), label=path.name))
    finished.check(folder, run(finished.outputs(folder), finished.inputs, resume=True, group_by=GROUPS))


@pytest.mark.slow
def test_every_single_byte_of_the_csv_may_be_the_last(finished: Finished, tmp_path: Path) -> None:
    inputs, folder = finished.inputs[:6], tmp_path / "run"
    unbroken = run([folder / "p.csv"], inputs)
    whole = (folder / "p.csv").read_bytes()
    expected = rows_of(folder / "p.csv")
    for size in range(len(whole) + 1):
        (folder / "p.csv").write_bytes(whole[:size])
        results = run([folder / "p.csv"], inputs, resume=True)
        assert rows_of(folder / "p.csv") == expected
        assert (results.counts, results.failures) == (unbroken.counts, unbroken.failures)


def test_lines_that_are_there_stay_byte_for_byte(finished: Finished, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    before = (folder / "p.csv").read_bytes()
    run(finished.outputs(folder), finished.inputs, resume=True, group_by=GROUPS)
    assert (folder / "p.csv").read_bytes() == before
    os.truncate(folder / "p.csv", len(before) - 300)
    run(finished.outputs(folder), finished.inputs, resume=True, group_by=GROUPS)
    assert (folder / "p.csv").read_bytes()[: len(before) - 600] == before[: len(before) - 600]


def test_a_failure_before_a_line_is_not_tried_again_one_behind_it_is(finished: Finished, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    failed = folder / "p.failed.csv"
    failed.write_text(failed.read_text().replace("no such file or directory", "seen before"))
    results = run(finished.outputs(folder), finished.inputs, resume=True)
    reasons = [(Path(failure.source).name, failure.reason) for failure in results.failures]
    assert reasons[0] == ("missing 0.png", "seen before")
    assert reasons[-1] == ("gone.png", "no such file or directory")


def test_where_nothing_is_yet_resuming_begins(finished: Finished, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    finished.check(folder, run(finished.outputs(folder), finished.inputs, resume=True, group_by=GROUPS))


def test_a_list_of_failures_that_no_longer_holds_goes(finished: Finished, tmp_path: Path) -> None:
    good = [path for path in finished.inputs if path.exists() and path.stat().st_size]
    run([tmp_path / "p.csv"], good[:2])
    (tmp_path / "p.failed.csv").write_text("source,reason\nx.png,why\n")
    run([tmp_path / "p.csv"], good, resume=True)
    assert not (tmp_path / "p.failed.csv").exists()


def test_zeros_that_a_power_cut_left_at_the_end_are_cut_off(finished: Finished, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    for path in finished.outputs(folder):
        path.write_bytes(path.read_bytes()[:-500] + bytes(400) + b"\n")
    finished.check(folder, run(finished.outputs(folder), finished.inputs, resume=True, group_by=GROUPS))


def refusal(outputs: list[Path], inputs: list[Path]) -> str:
    """Why a run isn't resumed; asserts that its files are unchanged."""
    before = {path: path.read_bytes() for path in outputs[0].parent.iterdir()}
    with pytest.raises(UsageError) as error:
        run(outputs, inputs, resume=True)
    assert {path: path.read_bytes() for path in outputs[0].parent.iterdir()} == before
    assert error.value.next_step
    return error.value.found.replace(str(outputs[0].parent) + os.sep, "")


def test_other_inputs_are_refused(finished: Finished, tmp_path: Path) -> None:
    good = [path for path in finished.inputs if path.exists() and path.stat().st_size]
    folder = tmp_path / "run"
    run([folder / "p.csv"], good[:4])
    output = [folder / "p.csv"]
    for inputs, lines, theirs, ours in (
        (good[1:], 0, good[0], good[1]),
        ([good[0], good[5], *good[1:]], 1, good[1], good[5]),
        ([good[0], good[2], good[1], good[3]], 1, good[1], good[2]),
        (good[:3], 3, good[3], None),
    ):
        before, _, after = refusal(output, inputs).partition(str(theirs))
        assert f"{lines} lines, p.csv" in before
        assert str(ours) in after if ours else "no more inputs" in after


def test_an_input_that_neither_file_has_is_refused(finished: Finished, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    (folder / "p.failed.csv").unlink()
    found = refusal(finished.outputs(folder), finished.inputs)
    assert "0 lines, p.csv" in found and found.endswith("missing 0.png")


def test_an_output_that_is_missing_is_refused(finished: Finished, tmp_path: Path) -> None:
    folder = copy_of(finished, tmp_path)
    (folder / "p.jsonl").unlink()
    assert "p.jsonl" in refusal(finished.outputs(folder), finished.inputs)


@pytest.mark.parametrize(("name", "text"), [("p.csv", "patient,age\n1,50\n"), ("p.jsonl", '{"patient": 1}\n')])
def test_a_file_of_something_else_is_refused(finished: Finished, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert name in refusal([tmp_path / name], finished.inputs)


@pytest.mark.parametrize("outputs", [["p.parquet"], ["-"], ["p.csv", "-"]])
def test_what_can_not_be_added_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Results(outputs) as results, pytest.raises(UsageError) as error:
        results.resume(RUN, [])
    assert error.value.found.endswith(" " + " and ".join(outputs))
    assert ".csv or .jsonl" in error.value.expected
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", ["bundle", "engine", "version", "device"])
def test_another_bundle_or_engine_is_refused(finished: Finished, tmp_path: Path, field: str) -> None:
    folder = copy_of(finished, tmp_path)
    record = json.loads((folder / "p.run.json").read_text())
    (folder / "p.run.json").write_text(json.dumps(record | {field: "another"}))
    found = refusal(finished.outputs(folder), finished.inputs)
    assert "p.run.json" in found
    assert f"{field} another" in found
    assert found.endswith(record[field])


@pytest.mark.parametrize("text", [None, "", "{}", "no json"])
def test_results_of_unknown_origin_are_refused(finished: Finished, tmp_path: Path, text: str | None) -> None:
    folder = copy_of(finished, tmp_path)
    (folder / "p.run.json").unlink()
    if text is not None:
        (folder / "p.run.json").write_text(text)
    assert "p.run.json" in refusal(finished.outputs(folder), finished.inputs)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8),
    st.floats(0, 1),
    st.floats(0, 1e7),
    st.sets(st.sampled_from(["low-confidence", "upscaled"])),
)
def test_a_prediction_read_back_is_written_the_same(
    probabilities: list[float], confidence: float, latency: float, flags: set[str]
) -> None:
    made = Prediction(
        source="x",
        frame=7,
        label="PT",
        confidence=confidence,
        malignant_probability=confidence,
        flags=tuple(flags),
        probabilities=np.array(probabilities, np.float32),
        latency_ms=latency,
    )
    written = fields(made)
    assert fields(prediction_of(written)) == written
    assert fields(
        prediction_of(
            {name: value if name == "flags" else "" if value is None else str(value) for name, value in written.items()}
        )
    ) == (written)
