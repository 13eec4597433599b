"""BreaKHis as its authors published it: the list of all originals, and a check of a copy against it."""

from __future__ import annotations

from ssr_edge.data.originals import Original, Originals
from ssr_edge.data.verification import Verification
from ssr_edge.data.verify import verify

__all__ = ["Original", "Originals", "Verification", "verify"]
