"""The demo that ships with the package: weights, sample images and images to calibrate with (CARD.md)."""

from __future__ import annotations

from pathlib import Path

DEMO = Path(__file__).parent
DEMO_CHECKPOINT = DEMO / "weights.safetensors"
DEMO_IMAGES = DEMO / "images"
