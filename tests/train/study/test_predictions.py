from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.common.errors import DataError
from ssr_edge.evaluation.metrics import measure
from ssr_train.evaluation.evaluate import evaluate_checkpoint
from ssr_train.study.predictions import Predictions, predict_test


def test_a_checkpoints_predictions_are_what_evaluate_measures(tiny_checkpoint: Path, tmp_path: Path) -> None:
    found = predict_test(tiny_checkpoint, "cpu")
    assert measure(found.truth, found.predicted) == evaluate_checkpoint(tiny_checkpoint, None, "test").metrics
    assert found.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    names = [parse_name(name) for name in found.names]
    assert found.patients == [name.patient for name in names if name is not None]
    assert [CLASSES[number] for number in found.truth] == [name.label for name in names if name is not None]
    found.write(tmp_path / "predictions.csv")
    again = Predictions.read(tmp_path / "predictions.csv")
    assert (again.names, again.patients) == (found.names, found.patients)
    assert np.array_equal(again.probabilities, found.probabilities)
    assert np.array_equal(again.correct, found.correct)


@given(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8), st.sampled_from(range(8)))
def test_every_float_comes_back_bit_by_bit(tmp_path: Path, row: list[float], truth: int) -> None:
    made = Predictions(["a, b"], ['p"1'], np.array([truth]), np.array([row], np.float32))
    made.write(tmp_path / "p.csv")
    again = Predictions.read(tmp_path / "p.csv")
    assert (again.names, again.patients, again.truth.tolist()) == (["a, b"], ['p"1'], [truth])
    assert again.probabilities.tobytes() == made.probabilities.tobytes()


HEADER = "name,patient,truth," + ",".join(f"p_{label}" for label in CLASSES)


@pytest.mark.parametrize(
    "content",
    [
        "",
        HEADER,
        f"{HEADER}\nx,p,DC,0.5\n",
        f"{HEADER}\nx,p,ZZ{',0.1' * 8}\n",
        "name\nx\n",
        f"{HEADER}\nx,p,A,one{',0' * 7}\n",
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(DataError) as raised:
        Predictions.read(tmp_path / "p.csv")
    assert "can't be read" in raised.value.found


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        Predictions.read(tmp_path / "p.csv")
    assert "can't be read" in raised.value.found
