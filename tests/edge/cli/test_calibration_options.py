"""The command line offers every method of the export stage, which it can't import for that."""

from __future__ import annotations

from typing import get_args

from ssr_edge.cli.calibration_options import DEFAULT_METHOD, MethodName
from ssr_export.int8.ranges import Method


def test_every_method_of_the_export_stage_is_offered() -> None:
    assert set(get_args(MethodName)) == set(get_args(Method))
    assert len(get_args(MethodName)) == len(set(get_args(MethodName)))
    assert DEFAULT_METHOD in get_args(Method)
