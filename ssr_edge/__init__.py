"""Breast-histopathology classification on edge devices. Decision support for research, not a medical device.

The public names below are imported on first use, so that `import ssr_edge` alone loads no framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssr_edge.bundle.bundle import Bundle
    from ssr_edge.classifier import Classifier
    from ssr_edge.common.errors import SsrEdgeError
    from ssr_edge.inference.pipeline import Failure
    from ssr_edge.inference.prediction import Prediction

__all__ = ["Bundle", "Classifier", "Failure", "Prediction", "SsrEdgeError", "__version__"]
__version__ = "0.1.0"

_DEFINED_IN = {
    "Bundle": "ssr_edge.bundle.bundle",
    "Classifier": "ssr_edge.classifier",
    "Failure": "ssr_edge.inference.pipeline",
    "Prediction": "ssr_edge.inference.prediction",
    "SsrEdgeError": "ssr_edge.common.errors",
}


def __getattr__(name: str) -> object:
    if name not in _DEFINED_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_DEFINED_IN[name]), name)
    globals()[name] = found  # later uses find the attribute directly
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
