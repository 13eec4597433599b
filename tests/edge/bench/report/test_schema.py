from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.bench.report.report import Report, as_bench_file, as_json, as_text, write_json
from ssr_edge.bench.report.schema import json_schema, read_bench
from ssr_edge.common.errors import UsageError
from ssr_edge.evaluation.accuracy import Predicted
from tests.edge.bench.report.reports import INT8, TORCH, judged, make_report

_PUBLISHED = Path(__file__).parents[3] / "docs" / "bench.schema.json"


@pytest.fixture
def report() -> Report:
    times = {TORCH: [[60.0, 61.0], [62.0]], INT8: [[10.0], [9.5]]}
    labels = {"torch-fp32": Predicted([0, None], [0.9, None]), "openvino-int8": Predicted([3, None], [0.4, None])}
    return judged(make_report(times), [Path("a.png"), Path("b.png")], [0, None], labels)


def test_the_published_schema_is_the_one_in_force() -> None:
    # To write it anew: python -m ssr_edge.bench.report.schema > docs/bench.schema.json
    assert json.loads(_PUBLISHED.read_text()) == json_schema()


def test_the_schema_is_valid_itself_and_holds_for_a_report(report: Report) -> None:
    schema = json.loads(_PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(as_text(report)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: found.pop("schema_version"),
        lambda found: found.update(schema_version=1),
        lambda found: found["results"][0].update(scenario="offline-ish"),
        lambda found: found["results"][0].update(round_medians_ms=[]),
        lambda found: found.update(surprise=1),
        lambda found: found["speedup"][0].update(ci95=[1.0]),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(report: Report, tmp_path: Path, damage: Any) -> None:
    found = as_json(report)
    damage(found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(found)
    (tmp_path / "old.json").write_text(json.dumps(found))
    with pytest.raises(UsageError):
        read_bench(tmp_path / "old.json")


def test_a_file_is_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    write_json(report, tmp_path / "bench.json")
    assert read_bench(tmp_path / "bench.json") == as_bench_file(report)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=5), st.text(alphabet="[]1,2 \n\\\"'null", max_size=12))
def test_lists_on_one_line_change_no_value(times: list[float], note: str) -> None:
    made = make_report({TORCH: [times]})
    made.notes.append(note)
    assert json.loads(as_text(made)) == as_json(made)


def test_lists_of_numbers_take_one_line(report: Report) -> None:
    assert '"round_medians_ms": [60.5, 62.0]' in as_text(report)
    assert '"truth": [0, null]' in as_text(report)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read: No such file"),
        (b"", "is no JSON file"),
        (b"\xff\xfe", "is no JSON file"),
        (b"[" * 200_000, "is no JSON file"),
        (b"[]", "has no schema version"),
        (b'{"results": []}', "has no schema version"),
        (b'{"schema_version": 1}', "has schema version 1"),
        (b'{"schema_version": 2}', "created: Field required"),
    ],
)
def test_what_is_no_old_run_is_said_in_words(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "old.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        read_bench(path)
    assert caught.value.exit_code == 2
