"""The results of the paper, for comparison in the tables of a study.

Bo Xu, Faming Li, Ying Wu, "SSResNeXt: A Novel Deep Learning Architecture for Multi-class Breast Cancer Pathological
Image Classification" (2024), section 4. Keys are architecture names of `ssr_train.models.arch`, and magnifications.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CITATION = "Xu, Li and Wu 2024"
# Spanhol et al. 2016: images of each magnification, 7,909 in all.
IMAGES = {40: 1995, 100: 2081, 200: 2013, 400: 1820}
REPEATS = 10
PROPOSED = "ssresnext50_32x4d"

# Names in the paper, in the order of its tables.
NAMES = {
    "bhcnet": "BHCNet",
    "swin_t": "Swin T",
    "resnet50": "ResNet50",
    "resnext50_32x4d": "ResNeXt50",
    "se_resnext50_32x4d": "SE-ResNeXt50",
    PROPOSED: "SSResNeXt",
}


class Reported(NamedTuple):
    """Macro averages over the eight classes; None if the table of the paper has a dash or no such column."""

    precision: float | None
    recall: float | None
    f1: float | None = None


class Complexity(NamedTuple):
    """A row of Table 4. flops: multiply-adds for one image."""

    parameters: float
    flops: float


ByMagnification = Mapping[int, Reported]

# Table 2: the ablation.
ABLATION: dict[str, ByMagnification] = {
    "resnet50": {
        40: Reported(0.855, 0.871),
        100: Reported(0.916, 0.903),
        200: Reported(0.893, 0.893),
        400: Reported(0.891, 0.881),
    },
    "resnext50_32x4d": {
        40: Reported(0.941, 0.915),
        100: Reported(0.932, 0.914),
        200: Reported(0.909, 0.901),
        400: Reported(0.914, 0.892),
    },
    "se_resnext50_32x4d": {
        40: Reported(0.900, 0.886),
        100: Reported(0.926, 0.911),
        200: Reported(0.897, 0.900),
        400: Reported(0.927, 0.912),
    },
    PROPOSED: {
        40: Reported(0.952, 0.931),
        100: Reported(0.940, 0.915),
        200: Reported(0.927, 0.919),
        400: Reported(0.935, 0.919),
    },
}

# Table 3: the comparison.
COMPARISON: dict[str, ByMagnification] = {
    "bhcnet": {
        40: Reported(0.936, 0.901, 0.916),
        100: Reported(0.918, 0.896, 0.906),
        200: Reported(0.921, 0.893, 0.905),
        400: Reported(0.913, 0.879, 0.896),
    },
    "swin_t": {
        40: Reported(0.942, None, 0.940),
        100: Reported(0.909, None, 0.908),
        200: Reported(0.916, None, 0.916),
        400: Reported(0.915, None, 0.914),
    },
    "resnet50": {
        40: Reported(0.855, 0.871, 0.861),
        100: Reported(0.916, 0.903, 0.908),
        200: Reported(0.893, 0.893, 0.895),
        400: Reported(0.891, 0.881, 0.887),
    },
    PROPOSED: {
        40: Reported(0.952, 0.931, 0.941),
        100: Reported(0.940, 0.915, 0.926),
        200: Reported(0.927, 0.919, 0.922),
        400: Reported(0.935, 0.919, 0.927),
    },
}

# Table 4. The two baselines have 1000 classes.
COMPLEXITY = {
    "resnet50": Complexity(2.56e7, 4.13e9),
    "resnext50_32x4d": Complexity(2.50e7, 4.29e9),
    PROPOSED: Complexity(2.51e7, 4.21e9),
}

# Accuracies of the proposed network, from the abstract.
ACCURACY = {40: 0.952, 100: 0.940, 200: 0.927, 400: 0.935}
