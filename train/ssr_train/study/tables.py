"""Tables 2 and 3 and the accuracies, each value with that of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ssr_train.data.splits import SplitKind
from ssr_train.study import paper
from ssr_train.study.captions import caveats, cell_text, method, model_name
from ssr_train.study.outcomes import Outcome, Study
from ssr_train.study.plan import Cell, Model
from ssr_train.study.table import Table, Value

Figure = Callable[[Outcome], float]
_FIGURES: dict[str, Figure] = {
    "precision": lambda outcome: outcome.metrics.macro_precision,
    "recall": lambda outcome: outcome.metrics.macro_recall,
    "f1": lambda outcome: outcome.metrics.macro_f1,
    "accuracy": lambda outcome: outcome.metrics.accuracy,
}
_HEADINGS = {"precision": "precision", "recall": "recall", "f1": "F1", "accuracy": "accuracy"}
_TABLES = {"table2": paper.ABLATION, "table3": paper.COMPARISON}


def table_2(study: Study, split: SplitKind) -> Table:
    """The ablation: macro precision and recall."""
    title = f"Table 2: ablation, split by {split}"
    return _table(study, split, "table2", title, ("precision", "recall"))


def table_3(study: Study, split: SplitKind) -> Table:
    """The comparison with other architectures: macro precision, recall and F1."""
    title = f"Table 3: comparison, split by {split}"
    return _table(study, split, "table3", title, ("precision", "recall", "f1"))


def accuracy_table(study: Study, split: SplitKind) -> Table:
    """The values of Figure 6; the abstract of the paper gives accuracies of its own network."""
    models = [(model.arch, model) for model in study.plan.models]

    def reported(arch: str, magnification: int, figure: str) -> float | None:
        return paper.ACCURACY.get(magnification) if arch == paper.PROPOSED else None

    return _rows(study, split, "accuracy", f"Accuracy, split by {split}", ("accuracy",), models, reported)


def _table(study: Study, split: SplitKind, name: str, title: str, figures: Sequence[str]) -> Table:
    rows = _TABLES[name]

    def reported(arch: str, magnification: int, figure: str) -> float | None:
        known = rows.get(arch, {}).get(magnification)
        return None if known is None else getattr(known, figure)

    return _rows(study, split, name, title, figures, _rows_of(study, rows), reported)


def _rows_of(study: Study, rows: Mapping[str, object]) -> list[tuple[str, Model | None]]:
    """The rows of the paper in its order, even without runs, then the models that are in no table of the paper."""
    listed: list[tuple[str, Model | None]] = []
    for arch in rows:
        models = [model for model in study.plan.models if model.arch == arch]
        listed += [(arch, model) for model in models] or [(arch, None)]
    in_paper = {arch for table in _TABLES.values() for arch in table}
    return listed + [(model.arch, model) for model in study.plan.models if model.arch not in in_paper]


def _rows(
    study: Study,
    split: SplitKind,
    name: str,
    title: str,
    figures: Sequence[str],
    models: Sequence[tuple[str, Model | None]],
    reported: Callable[[str, int, str], float | None],
) -> Table:
    rows: list[list[str]] = []
    records: list[dict[str, Value]] = []
    for arch, model in models:
        for figure in figures:
            shown = paper.NAMES.get(arch, arch) if model is None else model_name(model, study.plan)
            row = [shown, _HEADINGS[figure]]
            for magnification in study.plan.magnifications:
                cell = None if model is None else Cell(model, split, magnification)
                found = None if cell is None else study.summary(cell, _FIGURES[figure])
                theirs = reported(arch, magnification, figure)
                row.append(cell_text(found, theirs, study.plan.seeds))
                records.append(
                    {
                        "arch": arch,
                        "recipe": None if model is None else model.recipe,
                        "split": split,
                        "magnification": magnification,
                        "figure": figure,
                        "seeds": 0 if found is None else found.repeats,
                        "mean": None if found is None else found.mean,
                        "deviation": None if found is None else found.deviation,
                        "paper": theirs,
                    }
                )
            rows.append(row)
    columns = ["model", "figure", *(f"{magnification}X" for magnification in study.plan.magnifications)]
    return Table(f"{name}-{split}", title, columns, rows, records, [*caveats(study), method(study.plan)])
