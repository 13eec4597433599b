"""Writes the results of a study: tables, figures, and report.md, which includes them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from ssr_edge.common.files import replacing
from ssr_edge.machine.environment import machine_facts
from ssr_train.data.splits import SplitKind
from ssr_train.study.captions import caveats, model_name
from ssr_train.study.complexity_table import table_4
from ssr_train.study.confusion_figure import confusion_matrices
from ssr_train.study.curves_figure import training_curves
from ssr_train.study.drawing import save_figure
from ssr_train.study.figures import accuracy_bars, accuracy_boxes
from ssr_train.study.malignancy_table import malignancy_table
from ssr_train.study.outcomes import Study
from ssr_train.study.plan import RUNS
from ssr_train.study.statistics_tables import comparison_table, patient_table, split_table
from ssr_train.study.table import Table
from ssr_train.study.tables import accuracy_table, table_2, table_3

REPORT = "report.md"
DISCLAIMER = "Decision support for research, not a medical device."
TABLES, FIGURES = "tables", "figures"


def write_report(study: Study, folder: Path) -> Path:
    """Writes tables/, figures/ and report.md for the finished runs, and returns the path of the report."""
    sections = []
    for split in study.plan.splits:
        sections += _of_split(study, split, folder)
    for table in (table_4(study.plan), split_table(study)):
        sections.append(_written(table, folder))
    text = "\n".join([_head(study, folder), *sections, _environment()])
    with replacing(folder / REPORT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder / REPORT


def _of_split(study: Study, split: SplitKind, folder: Path) -> list[str]:
    figures = folder / FIGURES
    save_figure(accuracy_bars(study, split), figures, f"figure6-{split}")
    save_figure(accuracy_boxes(study, split), figures, f"figure7-{split}")
    save_figure(training_curves(study, split, folder), figures, f"curves-{split}")
    matrices = []
    for model in study.plan.models:
        name = f"figure8-{model.arch.replace('/', '-')}-{model.recipe}-{split}"
        save_figure(confusion_matrices(study, split, model), figures, name)
        matrices.append(_image(name, f"Figure 8: confusion matrices of {model_name(model, study.plan)}"))
    return [
        _written(table_2(study, split), folder),
        _written(table_3(study, split), folder),
        _written(accuracy_table(study, split), folder),
        _image(f"figure6-{split}", "Figure 6: accuracy by model and magnification"),
        _written(comparison_table(study, split), folder),
        _image(f"figure7-{split}", "Figure 7: accuracy over seeds"),
        _written(patient_table(study, split), folder),
        _written(malignancy_table(study, split), folder),
        *matrices,
        _image(f"curves-{split}", "Training curves"),
    ]


def _head(study: Study, folder: Path) -> str:
    plan = study.plan
    lines = [
        "# Study",
        f"**{DISCLAIMER}**",
        *caveats(study),
        f"{study.done} of {len(plan.runs())} runs done, written {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC by",
        f"```bash\n{plan.command(folder)}\n```",
        "Each seed determines the split and the training: for one seed, all models are trained and tested on the same "
        "images, and models are compared seed by seed. Nothing is selected on test images.",
    ]
    if study.failures:
        failed = "\n".join(f"- `{RUNS}/{name}`: {reason}" for name, reason in study.failures.items())
        lines.append(f"Failed runs; the same command retries them:\n\n{failed}")
    return "\n\n".join(lines) + "\n"


def _written(table: Table, folder: Path) -> str:
    table.write(folder / TABLES)
    return table.markdown()


def _image(name: str, caption: str) -> str:
    return f"![{caption}]({FIGURES}/{name}.png)\n\n{caption} ([SVG]({FIGURES}/{name}.svg))\n"


def _environment() -> str:
    facts = machine_facts()
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    gpu = facts["gpu"]["name"] if facts["gpu"] else "none"
    rows = [
        f"- processor: {facts['cpu']}, {facts['cores']} cores",
        f"- GPU: {gpu}",
        f"- system: {facts['os']}, Python {facts['python']}",
        f"- packages: {packages}",
    ]
    return "## Environment of this report\n\n" + "\n".join(rows) + "\n"
