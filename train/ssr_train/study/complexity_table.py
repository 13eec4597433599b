"""Table 4: parameters and multiply-adds, counted here, beside the paper's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from ssr_edge.breakhis import CLASSES
from ssr_train.arch import arch_by_name
from ssr_train.complexity import multiply_adds, parameter_count
from ssr_train.folded import take_folded_form
from ssr_train.network import SSResNeXt
from ssr_train.study import paper
from ssr_train.study.plan import StudyPlan
from ssr_train.study.table import Table, Value
from ssr_train.study.wording import NOTHING

_IMAGENET = 1000
_NOTE = (
    f"Multiply-adds of one 224x224 image through convolutions and linear layers. {paper.CITATION} count the "
    f"baselines with a head of {_IMAGENET} classes and their own network with {len(CLASSES)}. Folded: the three "
    "kernels and their BatchNorms are one convolution, as on a device."
)


@dataclass(frozen=True)
class Counts:
    """Parameters and multiply-adds, with BreaKHis's head (folded, too) and with ImageNet's."""

    parameters: int
    multiply_adds: int
    folded_multiply_adds: int
    imagenet_parameters: int
    imagenet_multiply_adds: int


@cache
def count(arch: str) -> Counts:
    """Counts an architecture on the meta device, where nothing is computed."""
    config = arch_by_name(arch)
    with torch.device("meta"):
        network, imagenet = SSResNeXt(config), SSResNeXt(config, _IMAGENET)
        parameters, unfolded = parameter_count(network), multiply_adds(network)
        folded = unfolded
        if config.kernels != "single":
            take_folded_form(network)
            folded = multiply_adds(network)
        return Counts(parameters, unfolded, folded, parameter_count(imagenet), multiply_adds(imagenet))


def table_4(plan: StudyPlan) -> Table:
    """Of the paper's rows, and of the study's other architectures."""
    rows: list[list[str]] = []
    records: list[dict[str, Value]] = []
    for arch in dict.fromkeys([*paper.COMPLEXITY, *plan.architectures]):
        ours = count(arch)
        theirs = paper.COMPLEXITY.get(arch)
        rows.append(
            [
                paper.NAMES.get(arch, arch),
                f"{ours.parameters / 1e6:.2f} M",
                f"{ours.imagenet_parameters / 1e6:.2f} M",
                NOTHING if theirs is None else f"{theirs.parameters / 1e6:.1f} M",
                f"{ours.multiply_adds / 1e9:.3f} G",
                f"{ours.folded_multiply_adds / 1e9:.3f} G",
                f"{ours.imagenet_multiply_adds / 1e9:.3f} G",
                NOTHING if theirs is None else f"{theirs.flops / 1e9:.2f} G",
            ]
        )
        records.append(
            {
                "arch": arch,
                "parameters_8_classes": ours.parameters,
                "parameters_1000_classes": ours.imagenet_parameters,
                "parameters_paper": None if theirs is None else theirs.parameters,
                "multiply_adds_8_classes": ours.multiply_adds,
                "multiply_adds_8_classes_folded": ours.folded_multiply_adds,
                "multiply_adds_1000_classes": ours.imagenet_multiply_adds,
                "multiply_adds_paper": None if theirs is None else theirs.flops,
            }
        )
    columns = ["model", "parameters, 8 classes", "1000 classes", "paper"]
    columns += ["multiply-adds, 8 classes", "folded", "1000 classes", "paper"]
    return Table("table4", "Table 4: complexity", columns, rows, records, [_NOTE])
