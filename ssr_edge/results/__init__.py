"""What becomes of predictions: files of every format, counts, groups, and going on where a killed run stopped."""

from __future__ import annotations

from ssr_edge.results.groups import Groups
from ssr_edge.results.record import RunRecord
from ssr_edge.results.results import Results
from ssr_edge.results.rows import COLUMNS

__all__ = ["COLUMNS", "Groups", "Results", "RunRecord"]
