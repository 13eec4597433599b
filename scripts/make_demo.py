"""Creates ssr_edge/demo from a finished run: FP16 weights and sample images that were not used for training.

    python scripts/make_demo.py runs/demo

The sample images come from the run's data: `calibration/` from its val part, `images/` from its test part, up to three
per class in each, spread over the patients.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from ssr_edge.breakhis.names import CLASSES
from ssr_train.data.breakhis import Record, read
from ssr_train.data.splits import Part
from ssr_train.training.checkpoint import load_checkpoint, save_checkpoint

DEMO = Path(__file__).resolve().parent.parent / "ssr_edge" / "demo"
A_CLASS = 3
ATTRIBUTION = "BreaKHis (Spanhol, Oliveira, Petitjean and Heutte 2016), CC BY 4.0"


def main() -> None:
    """Writes the weights and the images. The card is written manually from the output of `evaluate`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    network, card = load_checkpoint(run / "checkpoint.safetensors")
    split = card.to_split()
    records = read(Path(card.data), card.magnification)
    parts: dict[str, Part] = {"calibration": "val", "images": "test"}
    for folder, part in parts.items():
        target = DEMO / folder
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for record in _sample(split.select(records, part)):
            shutil.copyfile(record.path, target / record.path.name)
    # The local path is useless on other machines and should not be published.
    shipped = card.model_copy(update={"data": ATTRIBUTION})
    save_checkpoint(DEMO / "weights.safetensors", network, shipped, half=True)


def _sample(records: list[Record]) -> list[Record]:
    chosen = []
    for label in CLASSES:
        # Sorted by name, which starts with the patient: equal steps select different patients if there are several.
        of_class = [record for record in records if record.label == label]
        step = max(1, len(of_class) // A_CLASS)
        chosen += of_class[::step][:A_CLASS]
    return chosen


if __name__ == "__main__":
    main()
