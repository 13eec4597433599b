"""Tables of comparisons of models, of metrics by patient, and of splits."""

from __future__ import annotations

from ssr_train.data.splits import SplitKind
from ssr_train.study.captions import NOTHING, caveats, model_name, p_text, with_interval
from ssr_train.study.comparisons import compare
from ssr_train.study.outcomes import Outcome, Study, image_interval, patient_interval
from ssr_train.study.plan import Cell
from ssr_train.study.statistics import stars
from ssr_train.study.table import Table, Value

_TEST = (
    "Difference of accuracies with its 95 % interval, paired by seed (the same split for both). p: two-sided corrected "
    "resampled t test (Nadeau and Bengio 2003), corrected for the overlap of random splits; Holm-adjusted over all "
    "comparisons of this table. * p < 0.05, ** p < 0.01, *** p < 0.001 after Holm. \N{EN DASH}: can't be tested "
    "(fewer than two seeds, or differences without spread)."
)
_PATIENTS = (
    "Mean ± sample standard deviation over seeds, with a 95 % bootstrap interval that resamples patients instead of "
    "images. Patient recognition rate: the mean over patients of the share of their images classified correctly "
    "(Spanhol et al. 2016). In a split by image, patients of the test part are also in the training part."
)


def comparison_table(study: Study, split: SplitKind) -> Table:
    """The tests behind the stars of Figure 7."""
    rows, records = [], []
    for one in compare(study, split):
        test = one.test
        low, high = (None, None) if test is None or test.interval is None else test.interval
        first, second = (model_name(model, study.plan) for model in (one.first, one.second))
        interval = "" if low is None or high is None else f" [{low:+.3f}, {high:+.3f}]"
        rows.append(
            [
                f"{one.magnification}X",
                f"{first} \N{MINUS SIGN} {second}",
                str(one.seeds),
                NOTHING if test is None else f"{test.difference:+.3f}{interval}",
                p_text(None if test is None else test.p),
                f"{p_text(one.p_holm)} {stars(one.p_holm)}".strip(),
            ]
        )
        record: dict[str, Value] = {
            "split": split,
            "magnification": one.magnification,
            "first": first,
            "second": second,
            "seeds": one.seeds,
            "difference": None if test is None else test.difference,
            "low": low,
            "high": high,
            "p": None if test is None else test.p,
            "p_holm": one.p_holm,
        }
        records.append(record)
    columns = ["", "comparison", "seeds", "difference", "p", "p after Holm"]
    title = f"Comparisons of models, split by {split}"
    return Table(f"comparisons-{split}", title, columns, rows, records, [*caveats(study), _TEST])


def patient_table(study: Study, split: SplitKind) -> Table:
    """Accuracy by image and Spanhol's patient-level score."""
    rows, records = [], []
    for magnification in study.plan.magnifications:
        for model in study.plan.models:
            cell = Cell(model, split, magnification)
            outcomes = study.outcomes.get(cell)
            row = [f"{magnification}X", model_name(model, study.plan)]
            record: dict[str, Value] = {
                "split": split,
                "magnification": magnification,
                "arch": model.arch,
                "recipe": model.recipe,
                "seeds": 0 if outcomes is None else len(outcomes),
            }
            for name, figure, interval_of in (
                ("image_accuracy", _accuracy, image_interval),
                ("patient_recognition_rate", _patient_rate, patient_interval),
            ):
                interval = None if outcomes is None else interval_of(outcomes)
                text, columns_of = with_interval(name, study.summary(cell, figure), interval, study.plan.seeds)
                row.append(text)
                record |= columns_of
            rows.append(row)
            records.append(record)
    columns = ["", "model", "accuracy by image", "patient recognition rate"]
    title = f"By image and by patient, split by {split}"
    return Table(f"patients-{split}", title, columns, rows, records, [*caveats(study), _PATIENTS])


def split_table(study: Study) -> Table:
    """The split of each seed; one row per seed if all models have the same, as they should."""
    known: dict[tuple[str, int, int, str], dict[str, int]] = {}
    for cell, outcomes in study.outcomes.items():
        for seed, outcome in outcomes.items():
            known[cell.split, cell.magnification, seed, outcome.split_sha256] = outcome.parts
    rows, records = [], []
    for (split, magnification, seed, sha256), parts in sorted(known.items()):
        counts = {part: parts.get(part, 0) for part in ("train", "val", "test")}
        rows.append([split, f"{magnification}X", str(seed), *map(str, counts.values()), sha256[:16]])
        record: dict[str, Value] = {"split": split, "magnification": magnification, "seed": seed}
        records.append(record | counts | {"sha256": sha256})
    columns = ["split", "", "seed", "train", "val", "test", "SHA-256 (first 16 digits)"]
    note = "Splits are the same for all models; see split.csv of each run. Models with another split are not paired."
    return Table("splits", "Splits", columns, rows, records, [note])


def _accuracy(outcome: Outcome) -> float:
    return outcome.metrics.accuracy


def _patient_rate(outcome: Outcome) -> float:
    return outcome.patient_rate
