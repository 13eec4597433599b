"""Table 4: parameters and multiply-adds, ours and those of the paper."""

from __future__ import annotations

from ssr_train.models.complexity import HEADS, complexity_rows
from ssr_train.study import paper
from ssr_train.study.captions import NOTHING
from ssr_train.study.plan import StudyPlan
from ssr_train.study.table import Table, Value

# Baselines of Table 3, for which the paper gives no counts.
_BASELINES = ("bhcnet", "swin_t")
_NOTE = (
    f"Multiply-adds of convolutions and linear layers for one 224x224 image. {paper.CITATION} count the "
    f"baselines with a head of {HEADS[1]} classes and their own network with {HEADS[0]}. Folded: the three "
    "kernels and their BatchNorms are one convolution, as in an engine."
)


def table_4(plan: StudyPlan) -> Table:
    """The rows of the paper, its baselines, and the other architectures of the study."""
    rows: list[list[str]] = []
    records: list[dict[str, Value]] = []
    for arch in dict.fromkeys([*paper.COMPLEXITY, *_BASELINES, *plan.architectures]):
        ours, imagenet = complexity_rows([arch])
        theirs = paper.COMPLEXITY.get(arch)
        rows.append(
            [
                paper.NAMES.get(arch, arch),
                f"{ours.parameters / 1e6:.2f} M",
                f"{imagenet.parameters / 1e6:.2f} M",
                NOTHING if theirs is None else f"{theirs.parameters / 1e6:.1f} M",
                f"{ours.multiply_adds / 1e9:.3f} G",
                f"{ours.multiply_adds_folded / 1e9:.3f} G",
                f"{imagenet.multiply_adds / 1e9:.3f} G",
                NOTHING if theirs is None else f"{theirs.flops / 1e9:.2f} G",
            ]
        )
        records.append(
            {
                "arch": arch,
                "parameters_8_classes": ours.parameters,
                "parameters_1000_classes": imagenet.parameters,
                "parameters_paper": None if theirs is None else theirs.parameters,
                "multiply_adds_8_classes": ours.multiply_adds,
                "multiply_adds_8_classes_folded": ours.multiply_adds_folded,
                "multiply_adds_1000_classes": imagenet.multiply_adds,
                "multiply_adds_paper": None if theirs is None else theirs.flops,
            }
        )
    columns = ["model", "parameters, 8 classes", "1000 classes", "paper"]
    columns += ["multiply-adds, 8 classes", "folded", "1000 classes", "paper"]
    return Table("table4", "Table 4: complexity", columns, rows, records, [_NOTE])
