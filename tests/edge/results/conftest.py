from __future__ import annotations

import os

import pytest


@pytest.fixture
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that end hundreds of runs; test_results.py holds that the end of one waits."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
