"""Names, shapes and dtypes of an engine's inputs and outputs, the same for every runtime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.images.preprocess import IMAGE_SIZE

# An engine's tensors: shape without the batch axis, and dtype.
INPUT = "images"
IMAGE_SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 3)
Tensors = dict[str, tuple[tuple[int, ...], npt.DTypeLike]]
TENSORS: Tensors = {
    INPUT: (IMAGE_SHAPE, np.uint8),
    "logits": ((len(CLASSES),), np.float32),
    "probabilities": ((len(CLASSES),), np.float32),
}
# Output of an engine built with class activation maps; their size depends on the network.
CAM = "cam"
