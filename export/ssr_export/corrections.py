"""What can be done for a network whose INT8 form loses too much, and which of it was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Int8Corrections:
    """Int8Corrections for folded ranges: docs/measurements/corrections.md says when each pays.

    equalize: cross-layer equalization, before calibration. correct_bias: bias correction, after quantization.
    """

    equalize: bool = False
    correct_bias: bool = True
