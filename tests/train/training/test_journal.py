from __future__ import annotations

from pathlib import Path

import pytest

from ssr_train.training.journal import CURVES, draw_curves, log_epoch, open_board, read_metrics


def line(epoch: int) -> dict[str, float]:
    return {
        "epoch": epoch,
        "learning_rate": 0.01 / epoch,
        "train_loss": 2 / epoch,
        "val_accuracy": 1 - 0.5 / epoch,
        "val_macro_f1": 1 - 0.6 / epoch,
        "seconds": 1.5,
    }


def test_an_epoch_done_again_takes_the_place_of_what_came_after_it(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    for epoch in (1, 2, 3, 2):
        log_epoch(tmp_path, line(epoch), None)
    assert read_metrics(tmp_path) == [line(1), line(2)]


@pytest.mark.parametrize("epochs", [1, 30])
def test_the_curves_hold_every_epoch(tmp_path: Path, epochs: int) -> None:
    for epoch in range(1, epochs + 1):
        log_epoch(tmp_path, line(epoch), None)
    draw_curves(tmp_path)
    svg = (tmp_path / CURVES).read_text()
    assert svg.startswith("<?xml") and tmp_path.name in svg
    assert all(word in svg for word in ("training loss", "macro-F1", "accuracy", "learning rate", "epoch"))


def test_tensorboard_gets_every_value_once_though_the_run_was_killed(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for epochs, first in (((1, 2), 0), ((2, 3), 1)):
        board = open_board(tmp_path, first)
        for epoch in epochs:
            log_epoch(tmp_path, line(epoch), board)
        board.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(set(line(1)) - {"epoch"})
    found = [(event.step, event.value) for event in events.Scalars("train_loss")]
    assert found == [(epoch, pytest.approx(2 / epoch)) for epoch in (1, 2, 3)]
