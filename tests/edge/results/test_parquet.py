from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.install_hint import install_hint
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.results import Results
from ssr_edge.results.rows import COLUMNS
from tests.edge.results.fake import RUN

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet'")


def prediction(source: str, number: int = 0) -> Prediction:
    probabilities = np.random.default_rng(number).dirichlet(np.ones(8)).astype(np.float32)
    best = int(probabilities.argmax())
    flags = ("low-confidence", "upscaled") if number % 2 else ()
    return Prediction(
        source=source,
        frame=0,
        label=CLASSES[best],
        confidence=float(probabilities[best]),
        malignant_probability=0.25,
        flags=flags,
        probabilities=probabilities,
        latency_ms=1.5 * number,
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows


def test_the_rows_are_those_of_the_json_lines(tmp_path: Path) -> None:
    with Results([str(tmp_path / "p.parquet"), str(tmp_path / "p.jsonl")]) as results:
        results.begin(RUN)
        for number in range(20):
            results.add(prediction(f"{number}, \u043a\n.png", number))
        results.add(Failure("x", "y"))
    assert rows_of(tmp_path / "p.parquet") == [
        json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()
    ]
    assert tuple(parquet.read_schema(tmp_path / "p.parquet").names) == COLUMNS
    assert (tmp_path / "p.failed.csv").exists()
    assert not (tmp_path / "p.run.json").exists()


def test_rows_go_to_the_file_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssr_edge.results.parquet.ROW_GROUP", 4)
    with Results([str(tmp_path / "p.parquet")]) as results:
        results.begin(RUN)
        for number in range(10):
            results.add(prediction(f"{number}.png", number))
    metadata = parquet.ParquetFile(tmp_path / "p.parquet").metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [4, 4, 2]
    assert [row["source"] for row in rows_of(tmp_path / "p.parquet")] == [f"{number}.png" for number in range(10)]


def test_a_run_without_results_leaves_an_empty_table(tmp_path: Path) -> None:
    with Results([str(tmp_path / "p.parquet")]) as results:
        results.begin(RUN)
    assert rows_of(tmp_path / "p.parquet") == []


def test_what_is_finished_can_be_read_after_an_interrupt(tmp_path: Path) -> None:
    def break_off() -> None:
        with Results([str(tmp_path / "p.parquet")]) as results:
            results.begin(RUN)
            results.add(prediction("x.png"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert len(rows_of(tmp_path / "p.parquet")) == 1


def test_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path: Path) -> None:
    with Results([str(tmp_path / "p.parquet")]) as results:
        results.begin(RUN)
        results.add(prediction(os.fsdecode(b"caf\xe9.png")))
    assert rows_of(tmp_path / "p.parquet")[0]["source"] == r"caf\xe9.png"


def test_without_pyarrow_the_extra_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("earlier results")
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from ssr_edge.common.errors import RuntimeUnavailable\n"
        "from ssr_edge.results.results import Results\n"
        "try:\n    Results(['p.csv', 'p.parquet'])\n"
        "except RuntimeUnavailable as error:\n    print(error.found, error.expected, error.next_step, sep='\\n')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    found, expected, next_step = done.stdout.splitlines()
    assert "pyarrow" in found
    assert "'parquet'" in expected
    assert next_step == install_hint("parquet")
    assert (tmp_path / "p.csv").read_text() == "earlier results"
