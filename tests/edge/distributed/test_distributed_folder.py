"""A folder of finished parts: results round-trip, and parts of other jobs are rejected."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_edge.distributed.folder import JobRecord, PartsFolder
from ssr_edge.distributed.part_file import PartRecord, read_record, read_results, to_parquet
from ssr_edge.distributed.parts import Part
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction, decide
from ssr_edge.results.rows import fields
from ssr_edge.sources.inputs import still

JOB = JobRecord(bundle="b1", runtime="auto", precision=None, resize="cpu", part_size=2)
PARTS = [Part(0, [still(Path("a")), still(Path("b"))]), Part(1, [still(Path("c"))])]
NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name).map(os.fsdecode)


def prediction(source: str, seed: int) -> Prediction:
    figures = np.random.default_rng(seed).dirichlet(np.full(8, 0.3)).astype(np.float32)
    return decide(source, (100 + seed, 300), figures, 100, seed / 7, frame=seed % 3)


def record(part: Part, **changes: str) -> PartRecord:
    made = {"bundle": "b1", "engine": "openvino-int8", "version": "1", "device": "CPU A"} | changes
    return PartRecord(**made, inputs=part.digest)


def add(folder: PartsFolder, part: Part, **changes: str) -> list[Prediction | Failure]:
    results = [prediction(item.source, part.number) for item in part.inputs]
    made = record(part, **changes)
    folder.add(part.number, made, to_parquet(results, made))
    return list(results)


@given(
    st.lists(
        st.one_of(st.builds(prediction, NAMES, st.integers(0, 1000)), st.builds(Failure, NAMES, NAMES)), max_size=12
    )
)
def test_results_come_out_as_they_went_in(tmp_path: Path, results: list[Prediction | Failure]) -> None:
    file = tmp_path / "p.parquet"
    file.write_bytes(to_parquet(results, record(PARTS[0])))
    found = list(read_results(file))
    assert [fields(r) if isinstance(r, Prediction) else r for r in found] == [
        fields(r) if isinstance(r, Prediction) else r for r in results
    ]
    assert read_record(file) == record(PARTS[0])


@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_not_whole_is_no_part(tmp_path: Path, cut: float) -> None:
    whole = to_parquet([prediction("a", 1)], record(PARTS[0]))
    (tmp_path / "p.parquet").write_bytes(whole[: int(cut * len(whole))])
    assert read_record(tmp_path / "p.parquet") is None


def test_a_job_goes_on_with_its_parts(tmp_path: Path) -> None:
    first = PartsFolder(tmp_path / "p.parts", JOB)
    first.resume()
    assert not first.has(PARTS[0])
    expected = add(first, PARTS[0])
    again = PartsFolder(tmp_path / "p.parts", JOB)
    again.resume()
    assert again.has(PARTS[0]) and not again.has(PARTS[1])
    expected += add(again, PARTS[1], device="CPU B")
    again.check_end(2)
    assert [result.source for result in again.results(2)] == [result.source for result in expected] == ["a", "b", "c"]
    assert again.record().device == "CPU A; CPU B"
    assert sorted(path.name for path in again.path.iterdir()) == [
        "job.json", "part-000000.parquet", "part-000001.parquet",
    ]  # fmt: skip


def test_without_resume_a_job_begins_anew(tmp_path: Path) -> None:
    add(begun := PartsFolder(tmp_path, JOB), PARTS[0])
    begun.begin()
    assert not begun.has(PARTS[0])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"bundle": "b2"}, "bundle b1, .*bundle b2"),
        ({"precision": "fp32"}, "precision auto, .*precision fp32"),
        ({"part_size": 3}, "part size 2, .*part size 3"),
    ],
)
def test_parts_of_another_job_are_refused(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    folder = PartsFolder(tmp_path, JOB)
    folder.begin()
    add(folder, PARTS[0])
    with pytest.raises(UsageError, match=found) as refused:
        PartsFolder(tmp_path, JOB.model_copy(update=changes)).resume()
    assert "without --resume" in refused.value.next_step
    assert folder.has(PARTS[0])


def test_parts_without_their_job_are_refused(tmp_path: Path) -> None:
    folder = PartsFolder(tmp_path, JOB)
    add(folder, PARTS[0])
    with pytest.raises(UsageError, match=r"job\.json") as refused:
        folder.resume()
    assert "without --resume" in refused.value.next_step


def test_parts_of_other_inputs_are_refused(tmp_path: Path) -> None:
    folder = PartsFolder(tmp_path, JOB)
    folder.begin()
    add(folder, PARTS[0])
    add(folder, PARTS[1])
    with pytest.raises(UsageError, match=r"part-000000\.parquet .* x\n"):
        folder.has(replace(PARTS[0], inputs=[still(Path("x")), still(Path("b"))]))
    with pytest.raises(UsageError, match=r"2 parts.* 1\n"):
        folder.check_end(1)


@pytest.mark.parametrize("name", ["engine", "version", "bundle"])
def test_two_engines_do_not_stand_in_one_table(tmp_path: Path, name: str) -> None:
    folder = PartsFolder(tmp_path, JOB)
    folder.begin()
    add(folder, PARTS[0])
    with pytest.raises(UsageError, match=f"part 1 .*{name} other") as refused:
        add(folder, PARTS[1], **{name: "other"})
    assert getattr(record(PARTS[0]), name) in refused.value.found
    assert not folder.has(PARTS[1])
