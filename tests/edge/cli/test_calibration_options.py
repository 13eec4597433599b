"""The command line offers what the export stage can do, though it can't import it to find out."""

from __future__ import annotations

from typing import get_args

from ssr_edge.cli.calibration_options import DEFAULT_METHOD, MethodName
from ssr_export.int8.ranges import Method


def test_every_method_of_the_export_stage_is_offered() -> None:
    assert set(get_args(MethodName)) == set(get_args(Method))
    assert len(get_args(MethodName)) == len(set(get_args(MethodName)))
    assert DEFAULT_METHOD in get_args(Method)
