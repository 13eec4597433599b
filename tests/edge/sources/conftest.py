from __future__ import annotations

from tests.edge.slides.conftest import made_slide, stained

__all__ = ["made_slide", "stained"]
