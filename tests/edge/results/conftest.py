from __future__ import annotations

import os

import pytest


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables fsync, for tests with hundreds of runs; test_results.py checks that a run waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
