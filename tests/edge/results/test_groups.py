from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import UsageError
from ssr_edge.inference.prediction import Prediction
from ssr_edge.results.groups import GROUP_COLUMNS, Groups


def prediction(source: str, *probabilities: float) -> Prediction:
    values = np.array([*probabilities, *[0.0] * (8 - len(probabilities))], np.float32)
    best = int(values.argmax())
    return Prediction(
        source=source,
        frame=0,
        label=CLASSES[best],
        confidence=float(values[best]),
        malignant_probability=float(values[4:].sum()),
        flags=(),
        probabilities=values,
        latency_ms=1.0,
    )


def table(groups: Groups, folder: Path) -> list[dict[str, str]]:
    groups.write(folder / "groups.csv")
    with (folder / "groups.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_a_groups_figures_by_hand(tmp_path: Path) -> None:
    groups = Groups("patient")
    # Two of three images have label A by a small margin; the third has PT by so much that PT has the largest mean.
    groups.add(prediction("x/SOB_B_A-14-22549AB-100-001.png", 0.5, 0.0, 0.4, 0.0, 0.1))
    groups.add(prediction("y/SOB_B_A-14-22549AB-100-002.jpg", 0.4, 0.2, 0.3, 0.0, 0.1))
    groups.add(prediction("SOB_B_A-14-22549AB-100-003.png", 0.0, 0.0, 0.8, 0.0, 0.1, 0.1))
    groups.add(prediction("SOB_M_DC-14-2523-100-001.png", 0.0, 0.0, 0.0, 0.0, 1.0))
    first, second = table(groups, tmp_path)
    assert first == {
        "group": "14-22549AB",
        "images": "3",
        "label": "PT",
        "confidence": "0.5",
        "majority_label": "A",
        "agreement": "0.666667",
        "malignant_probability": "0.133333",
        "p_A": "0.3",
        "p_F": "0.066667",
        "p_PT": "0.5",
        "p_TA": "0.0",
        "p_DC": "0.1",
        "p_LC": "0.033333",
        "p_MC": "0.0",
        "p_PC": "0.0",
    }
    assert (second["group"], second["label"], second["agreement"]) == ("14-2523", "DC", "1.0")
    assert tuple(first) == GROUP_COLUMNS
    assert (len(groups), groups.ungrouped) == (2, 0)


def test_of_two_labels_given_equally_often_the_more_probable_is_the_majority(tmp_path: Path) -> None:
    groups = Groups(".")
    groups.add(prediction("x", 0.6, 0.4))
    groups.add(prediction("x", 0.3, 0.7))
    (row,) = table(groups, tmp_path)
    assert (row["majority_label"], row["agreement"]) == ("F", "0.5")


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (r"case(\d+)", ["1", "02"]),
        (r"case\d+", ["case1", "case02"]),
        (r"([^/]+)/[^/]+$", ["case1", "case02"]),
        (r"(slide)?(case)", ["slide"]),  # no name if the first group did not take part in the match
        ("nothing", []),
    ],
)
def test_the_first_group_or_the_whole_match_names_the_group(tmp_path: Path, expression: str, found: list[str]) -> None:
    groups = Groups(expression)
    sources = ["a/case1/1.png", "a/case02/2.png", "a/case1/3.png", "slidecase"]
    for source in sources:
        groups.add(prediction(source, 1.0))
    assert [row["group"] for row in table(groups, tmp_path)] == found
    assert sum(int(row["images"]) for row in table(groups, tmp_path)) + groups.ungrouped == len(sources)


def test_images_of_no_group_are_counted_and_the_first_are_named() -> None:
    groups = Groups("patient")
    for number in range(25):
        groups.add(prediction(f"{number}.png", 1.0))
    assert (groups.ungrouped, len(groups)) == (25, 0)
    assert groups.ungrouped_sources == [f"{number}.png" for number in range(10)]


@pytest.mark.parametrize("expression", ["(", "[a", "*", "(?P<x", "a{99999999999999999999}", r"\9"])
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(UsageError) as error:
        Groups(expression)
    assert f"--group-by {expression!r}" in error.value.found
    assert "patient" in error.value.expected


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1000)), min_size=1, max_size=30))
def test_means_are_numpys(tmp_path: Path, images: list[tuple[str, int]]) -> None:
    made = [
        prediction(name, *np.random.default_rng(seed).dirichlet(np.ones(8)).astype(np.float32)) for name, seed in images
    ]
    groups = Groups(".")
    for item in made:
        groups.add(item)
    found = {row["group"]: row for row in table(groups, tmp_path)}
    assert list(found) == list(dict.fromkeys(name for name, _ in images))
    for name, row in found.items():
        mine = [item for item in made if item.source == name]
        mean = np.mean([item.probabilities for item in mine], axis=0)
        assert [float(row[f"p_{label}"]) for label in CLASSES] == pytest.approx(mean.tolist(), abs=2e-6)
        assert float(row["malignant_probability"]) == pytest.approx(float(mean[4:].sum()), abs=2e-6)
        assert float(row["agreement"]) == pytest.approx(
            sum(item.label == row["majority_label"] for item in mine) / len(mine), abs=1e-6
        )
