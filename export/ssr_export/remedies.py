"""What can be done for a network whose INT8 form loses too much, and which of it was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedies:
    """Remedies for folded ranges: docs/measurements/remedies.md says when each pays.

    equalise: cross-layer equalisation, before calibration. correct_bias: bias correction, after quantisation.
    """

    equalise: bool = False
    correct_bias: bool = True
