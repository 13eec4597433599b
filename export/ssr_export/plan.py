"""Says what a bundle is to be made of; without PyTorch, which bundles are made again without."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ssr_export.corrections import Int8Corrections
from ssr_export.engines.build import EngineRequest
from ssr_export.int8.ranges import Method


@dataclass(frozen=True)
class BundlePlan:
    """What to build. source: a checkpoint file or a bundle's folder. bundle: where the result goes.

    engines: empty writes the models alone. images, held_out: folders that stand in for the checkpoint's own images.
    allow_drop: ship an engine that the gate would refuse. float_blocks: `auto`, `none` or block names with commas.
    cache: file of ranges to use where they fit and to keep those found in; the bundle's own when left out.
    corrections, cam (activation maps as a third output): for a checkpoint; a bundle's models stay as they are.
    """

    source: Path
    bundle: Path
    engines: tuple[EngineRequest, ...]
    method: Method
    images: Path | None = None
    held_out: Path | None = None
    allow_drop: bool = False
    float_blocks: str = "auto"
    cache: Path | None = None
    corrections: Int8Corrections = field(default_factory=Int8Corrections)
    cam: bool = False
