from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.measure.statistics import Percentiles
from ssr_edge.bench.report.schema import BenchFile, NoiseRow, json_schema, read_bench
from ssr_edge.bench.report.write import as_text, write_json
from ssr_edge.common.errors import UsageError
from ssr_edge.evaluation.accuracy import Predicted
from tests.edge.bench.report.reports import INT8, TORCH, make_bench, make_run, with_everything, with_labels

_PUBLISHED = Path(__file__).parents[4] / "docs" / "bench.schema.json"
# Written by the code of schema version 2, with every section.
_VERSION_2 = Path(__file__).with_name("bench_v2.json")


@pytest.fixture
def bench() -> BenchFile:
    times = {TORCH: [[60.0, 61.0], [62.0]], INT8: [[10.0], [9.5]]}
    labels = {"torch-fp32": Predicted([0, None], [0.9, None]), "openvino-int8": Predicted([3, None], [0.4, None])}
    return with_labels(make_run(times), [Path("a.png"), Path("b.png")], [0, None], labels).bench


def test_the_published_schema_is_current() -> None:
    # To regenerate it: python -m ssr_edge.bench.report.schema > docs/bench.schema.json
    assert json.loads(_PUBLISHED.read_text()) == json_schema()


def test_the_schema_is_valid_and_a_report_conforms_to_it(bench: BenchFile) -> None:
    schema = json.loads(_PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(json.loads(as_text(bench)))
    validator.validate(json.loads(as_text(with_everything(bench, ("torch-fp32", "openvino-int8")))))


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.pop("schema_version"),
        lambda found: found.update(schema_version=1),
        lambda found: found["results"][0].update(scenario="offline-ish"),
        lambda found: found["results"][0].update(round_medians_ms=[]),
        lambda found: found.update(surprise=1),
        lambda found: found["speedup"][0].update(ci95=[1.0]),
        # Dataclasses inside the file are as strict as its models.
        lambda found: found["results"][0]["latency_ms"].update(surprise=1),
        lambda found: found["results"][0]["latency_ms"].pop("p50"),
        lambda found: found["layers"]["torch-fp32"]["layers"][0].update(surprise=1),
        lambda found: found["rooflines"]["torch-fp32"]["peaks"].update(copy_bytes_per_s="fast"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(bench: BenchFile, tmp_path: Path, damage: Any) -> None:
    found = with_everything(bench, ("torch-fp32", "openvino-int8")).model_dump(mode="json")
    damage(found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(found)
    (tmp_path / "old.json").write_text(json.dumps(found))
    with pytest.raises(UsageError):
        read_bench(tmp_path / "old.json")


def test_a_number_that_is_not_finite_is_refused(bench: BenchFile, tmp_path: Path) -> None:
    found = bench.model_dump(mode="json")
    found["results"][0]["latency_ms"]["p50"] = float("nan")
    (tmp_path / "old.json").write_text(json.dumps(found))
    with pytest.raises(UsageError) as caught:
        read_bench(tmp_path / "old.json")
    assert "latency_ms.p50" in caught.value.found
    row = bench.results[0].model_copy(update={"latency_ms": Percentiles(float("nan"), 1, 1, 1, 1)})
    with pytest.raises(ValueError, match="not JSON compliant"):
        as_text(bench.model_copy(update={"results": [row]}))


def test_a_file_is_read_as_it_was_written(bench: BenchFile, tmp_path: Path) -> None:
    full = with_everything(bench, ("torch-fp32", "openvino-int8"))
    write_json(full, tmp_path / "bench.json")
    assert read_bench(tmp_path / "bench.json") == full


def test_a_file_of_version_2_is_read(tmp_path: Path) -> None:
    old = json.loads(_VERSION_2.read_text())
    assert old["schema_version"] == 2
    bench = read_bench(_VERSION_2)
    [tool] = bench.vendor_tools
    assert (tool.tool, tool.vendor_ms, old["peers"][0]["peer_ms"]) == ("benchmark_app", 1230.1, 1230.1)
    assert [row.labeled for row in bench.accuracy] == [1, 1] == [row["labelled"] for row in old["accuracy"]]
    # Only these names differ: with them replaced, it is a file of version 3.
    text = _VERSION_2.read_text().replace('"schema_version": 2', '"schema_version": 3')
    for before, now in (("peers", "vendor_tools"), ("peer_ms", "vendor_ms"), ("labelled", "labeled")):
        text = text.replace(f'"{before}"', f'"{now}"')
    assert bench.model_dump(mode="json") == json.loads(text)
    write_json(bench, tmp_path / "new.json")
    assert read_bench(tmp_path / "new.json") == bench


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=5), st.text(alphabet="[]1,2 \n\\\"'null", max_size=12))
def test_lists_on_one_line_change_no_value(times: list[float], note: str) -> None:
    made = make_bench({TORCH: [times]}).model_copy(update={"notes": [note]})
    assert json.loads(as_text(made)) == made.model_dump(mode="json")


def test_lists_of_numbers_take_one_line(bench: BenchFile) -> None:
    assert '"round_medians_ms": [60.5, 62.0]' in as_text(bench)
    assert '"truth": [0, null]' in as_text(bench)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "No such file"),
        (b"", "not a JSON file"),
        (b"\xff\xfe", "not a JSON file"),
        (b"[" * 200_000, "not a JSON file"),
        (b"[]", "no schema version"),
        (b'{"results": []}', "no schema version"),
        (b'{"schema_version": 1}', "schema version 1"),
        (b'{"schema_version": [2]}', "schema version [2]"),
        (b'{"schema_version": 2}', "created: "),
        (b'{"schema_version": 3}', "created: "),
    ],
)
def test_a_file_that_is_no_earlier_run_is_refused(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "old.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_bench(path)
    assert found in caught.value.found and "old.json" in caught.value.found
    assert "2 or 3" in caught.value.expected
    assert caught.value.next_step.startswith("ssr-edge bench --json")


@pytest.mark.parametrize(
    ("ci95", "reach"), [((0.97, 1.01), 0.03), ((0.99, 1.04), 0.04), ((1.01, 1.02), 0.02), ((0.9, 0.95), 0.1)]
)
def test_noise_reaches_to_the_farther_end_of_its_interval(ci95: tuple[float, float], reach: float) -> None:
    row = NoiseRow(engine="e", scenario="offline", batch=8, ratio=sum(ci95) / 2, ci95=ci95)
    assert row.reach == pytest.approx(reach)
