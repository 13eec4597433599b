"""Names, shapes and types of an engine's inputs and outputs, the same in every runtime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.images.preprocess import IMAGE_SIZE

# The tensors of an engine: shape after the batch, and type.
INPUT = "images"
IMAGE_SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 3)
Tensors = dict[str, tuple[tuple[int, ...], npt.DTypeLike]]
TENSORS: Tensors = {
    INPUT: (IMAGE_SHAPE, np.uint8),
    "logits": ((len(CLASSES),), np.float32),
    "probabilities": ((len(CLASSES),), np.float32),
}
# Of an engine that was built with class activation maps, whose size is the network's.
CAM = "cam"
