"""The demo shipped with the package: weights, sample images and calibration images (see CARD.md)."""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).parent
DEMO_CHECKPOINT = DEMO / "weights.safetensors"
DEMO_IMAGES = DEMO / "images"
