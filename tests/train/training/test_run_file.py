from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.common.errors import UsageError
from ssr_train.models.arch import arch_by_name
from ssr_train.training.loop import Source, TrainOptions
from ssr_train.training.recipe import load_recipe
from ssr_train.training.run_file import RUN, read_options, write_options


def options(run: Path) -> TrainOptions:
    arch, recipe = arch_by_name("ssresnext14_8x4d/shared"), load_recipe("modern")
    return TrainOptions(run, run.parent / "data", arch, recipe, 200, "patient", 11, "cpu")


def test_a_run_is_read_back_as_it_was_asked_for(tmp_path: Path) -> None:
    asked = options(tmp_path / "run")
    write_options(asked)
    assert read_options(tmp_path / "run", "cpu") == asked
    assert read_options(tmp_path / "run", "cuda:1").device == "cuda:1"


def test_a_fine_tuning_run_names_its_checkpoint_and_an_older_run_none(tmp_path: Path) -> None:
    source = Source(tmp_path / "checkpoint.safetensors", "0123abcd")
    asked = replace(options(tmp_path / "run"), source=source)
    write_options(asked)
    assert read_options(tmp_path / "run", "cpu") == asked
    write_options(options(tmp_path / "older"))
    assert "source" not in json.loads((tmp_path / "older" / RUN).read_text())
    assert read_options(tmp_path / "older", "cpu").source is None


def test_a_split_file_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_options(replace(options(tmp_path / "run"), split=Path("split.csv")))
    assert read_options(tmp_path / "run", "cpu").split == tmp_path / "split.csv"


def test_the_data_is_found_again_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = options(Path("run"))
    write_options(asked)
    assert read_options(Path("run"), "cpu").data == tmp_path / "data"


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    write_options(options(tmp_path))
    before = (tmp_path / RUN).read_bytes()
    with pytest.raises(UsageError) as error:
        write_options(options(tmp_path))
    assert str(tmp_path) in error.value.found
    assert error.value.next_step == f"ssr-edge train --run {tmp_path} --resume"
    assert (tmp_path / RUN).read_bytes() == before


@pytest.mark.parametrize("field", ["data", "arch", "recipe", "magnification", "split", "seed"])
def test_a_missing_field_is_refused(tmp_path: Path, field: str) -> None:
    write_options(options(tmp_path))
    fields = json.loads((tmp_path / RUN).read_text())
    del fields[field]
    (tmp_path / RUN).write_text(json.dumps(fields))
    with pytest.raises(UsageError) as raised:
        read_options(tmp_path, "cpu")
    assert field in raised.value.found


@given(
    st.one_of(
        st.binary(max_size=50),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["data", "arch", "recipe"]), inner),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RUN).write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read_options(tmp_path, "cpu")
    assert str(tmp_path) in raised.value.found


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read_options(tmp_path / "missing", "cpu")
    assert "missing" in raised.value.found
