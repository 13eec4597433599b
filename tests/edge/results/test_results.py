from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import OutputError, UsageError
from ssr_edge.inference.pipeline import Failure
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.record import RunRecord
from ssr_edge.results.results import Results
from ssr_edge.results.rows import COLUMNS

HEADER = (
    "source,frame,label,confidence,malignant_probability,flags,p_A,p_F,p_PT,p_TA,p_DC,p_LC,p_MC,p_PC,latency_ms,seconds"
    ",x,y,width,height"
)
# Any name that a file system allows: no slash and no zero byte, UTF-8 or not.
file_names = st.binary(min_size=1, max_size=20).filter(lambda name: not {0, ord("/")} & set(name)).map(os.fsdecode)
RUN = RunRecord(bundle="0" * 64, engine="openvino-int8", version="2026.4.1", device="CPU")
AWKWARD = ["a,b.png", 'say "cheese".png', "two\nlines.png", "cr\r.png", " spaces .png", "=1+1.png", "ключ.png"]


def prediction(source: str = "x.png", label: str = "PT", flags: tuple[str, ...] = ()) -> Prediction:
    probabilities = np.array([0.05, 0.05, 1 / 3, 0.05, 0.25, 0.1, 0.1, 1 / 15], np.float32)
    return Prediction(
        source=source,
        frame=0,
        label=label,
        confidence=1 / 3,
        malignant_probability=31 / 60,
        flags=flags,
        probabilities=probabilities,
        latency_ms=12.34567,
    )


def write(outputs: list[Path | str], *results: Prediction | Failure) -> Results:
    with Results([str(output) for output in outputs]) as found:
        found.begin(RUN)
        for result in results:
            found.add(result)
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_the_columns_of_the_csv(tmp_path: Path) -> None:
    write([tmp_path / "p.csv"])
    assert (tmp_path / "p.csv").read_text() == HEADER + "\n"
    assert ",".join(COLUMNS) == HEADER


def test_a_row_holds_everything_of_a_prediction(tmp_path: Path) -> None:
    write([tmp_path / "p.csv"], prediction(flags=("low-confidence", "upscaled")))
    (row,) = rows(tmp_path / "p.csv")
    assert row == {
        "source": "x.png",
        "frame": "0",
        "label": "PT",
        "confidence": "0.333333",
        "malignant_probability": "0.516667",
        "flags": "low-confidence upscaled",
        "p_A": "0.05",
        "p_F": "0.05",
        "p_PT": "0.333333",
        "p_TA": "0.05",
        "p_DC": "0.25",
        "p_LC": "0.1",
        "p_MC": "0.1",
        "p_PC": "0.066667",
        "latency_ms": "12.346",
        **dict.fromkeys(("seconds", "x", "y", "width", "height"), ""),
    }
    assert sum(float(row[column]) for column in COLUMNS if column.startswith("p_")) == pytest.approx(1, abs=4e-6)


def test_json_lines_have_the_same_fields_with_flags_as_a_list(tmp_path: Path) -> None:
    sources = [prediction(name, flags=("low-confidence", "upscaled")) for name in AWKWARD]
    write([tmp_path / "p.jsonl", tmp_path / "p.csv"], *sources)
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == AWKWARD
    assert all(tuple(line) == COLUMNS for line in lines)
    for line, row in zip(lines, rows(tmp_path / "p.csv"), strict=True):
        assert line.pop("flags") == row.pop("flags").split() == ["low-confidence", "upscaled"]
        for name in ("seconds", "x", "y", "width", "height"):
            assert line.pop(name) is None and row.pop(name) == ""
        assert {key: str(value) for key, value in line.items()} == row


@pytest.mark.usefixtures("no_waiting_for_the_disk")
@given(st.lists(file_names, min_size=1, max_size=5))
def test_any_file_name_survives_every_format(tmp_path: Path, names: list[str]) -> None:
    results = [prediction(name) for name in names] + [Failure(name, "why") for name in names]
    write([tmp_path / "p.csv", tmp_path / "p.jsonl"], *results)
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    for found in (
        [row["source"] for row in rows(tmp_path / "p.csv")],
        [row["source"] for row in rows(tmp_path / "p.failed.csv")],
        [json.loads(line)["source"] for line in lines],
    ):
        assert list(map(os.fsencode, found)) == list(map(os.fsencode, names))


def test_failures_are_listed_beside_the_first_output(tmp_path: Path) -> None:
    results = write(
        [tmp_path / "a" / "p.jsonl", tmp_path / "q.csv"],
        prediction(),
        Failure("a,b.png", "why, then"),
        Failure("c", "d"),
    )
    assert results.failures_file == tmp_path / "a" / "p.failed.csv"
    assert results.failures_file.read_text() == 'source,reason\n"a,b.png","why, then"\nc,d\n'
    assert len(rows(tmp_path / "q.csv")) == 1


def test_without_failures_there_is_no_list_and_an_old_one_goes(tmp_path: Path) -> None:
    write([tmp_path / "p.csv"], Failure("x", "y"))
    assert (tmp_path / "p.failed.csv").exists()
    write([tmp_path / "p.csv"], prediction())
    assert not (tmp_path / "p.failed.csv").exists()


def test_failures_are_listed_even_when_the_run_breaks_off(tmp_path: Path) -> None:
    def break_off() -> None:
        with Results([str(tmp_path / "p.csv")]) as results:
            results.begin(RUN)
            results.add(prediction())
            results.add(Failure("x", "y"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert len(rows(tmp_path / "p.csv")) == len(rows(tmp_path / "p.failed.csv")) == 1


def test_each_result_is_in_the_file_before_the_next_one(tmp_path: Path) -> None:
    with Results([str(tmp_path / "p.csv"), str(tmp_path / "p.jsonl")]) as results:
        results.begin(RUN)
        for count in (1, 2, 3):
            results.add(prediction())
            assert len(rows(tmp_path / "p.csv")) == count
            assert len((tmp_path / "p.jsonl").read_text().splitlines()) == count


def test_a_dash_is_csv_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = write(["-"], prediction(), Failure("x", "y"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 2
    assert results.failures_file == Path("predictions.failed.csv")
    assert results.failures_file.exists()


def test_results_are_counted(tmp_path: Path) -> None:
    results = write(
        [tmp_path / "p.csv"], prediction(label="PT", flags=("upscaled",)), prediction(label="PT"), prediction(label="A")
    )
    assert results.counts == {"PT": 2, "A": 1}
    assert results.flags == {"upscaled": 1}
    assert results.mean_confidence("PT") == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["p.xml", "p", "p.csv.gz", ".csv"])
def test_an_unknown_suffix_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as error:
        Results([str(tmp_path / name)])
    assert str(tmp_path / name) in error.value.found
    assert ".csv, .jsonl or .parquet" in error.value.expected


def test_suffixes_may_be_written_in_capitals(tmp_path: Path) -> None:
    write([tmp_path / "P.CSV"], prediction())
    assert len(rows(tmp_path / "P.CSV")) == 1


def test_a_place_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    for output in (tmp_path / "file" / "p.csv", tmp_path / "folder.csv"):
        with pytest.raises(UsageError) as error:
            write([output])
        assert str(output) in error.value.found
        assert "-o" in error.value.next_step


def test_the_end_waits_until_the_disk_has_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    synced: dict[int, int] = {}
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.update({os.fstat(descriptor).st_ino: size(descriptor)}))

    def size(descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    names = ["p.csv", "p.jsonl", "p.parquet", "p.failed.csv"]
    write([tmp_path / name for name in names[:3]], prediction(), Failure("x", "y"))
    # The whole size: nothing was written after the last fsync.
    assert synced == {(tmp_path / name).stat().st_ino: (tmp_path / name).stat().st_size for name in names}


def test_a_pipe_is_written_to_without_a_disk(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.csv")
    reader = os.open(tmp_path / "p.csv", os.O_RDONLY | os.O_NONBLOCK)
    write([tmp_path / "p.csv"], prediction())
    assert len(os.read(reader, 1 << 16).splitlines()) == 2
    os.close(reader)


def test_failures_are_counted_but_only_some_are_held(tmp_path: Path) -> None:
    results = write([tmp_path / "p.csv"], *(Failure(f"{number}.png", "why") for number in range(1000)))
    assert (results.failed, len(results.failures), len(rows(tmp_path / "p.failed.csv"))) == (1000, 10, 1000)
    assert results.failures[0].source == "0.png"


def test_a_failure_is_in_the_list_before_the_next_result(tmp_path: Path) -> None:
    with Results([str(tmp_path / "p.csv")]) as results:
        results.begin(RUN)
        for count in (1, 2, 3):
            results.add(Failure("x", "y"))
            assert len(rows(tmp_path / "p.failed.csv")) == count


@pytest.mark.skipif(os.name != "posix", reason="limits a file's size as POSIX does")
def test_a_full_disk_is_an_output_error(tmp_path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError) as error:
            write([tmp_path / "p.csv"], *[prediction()] * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "file too large" in error.value.found
    assert "--resume" in error.value.next_step
    assert len((tmp_path / "p.csv").read_bytes()) == 1000
