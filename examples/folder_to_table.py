"""Classifies a folder into a pandas DataFrame: python examples/folder_to_table.py FOLDER [BUNDLE]. Needs pandas."""

import sys
from dataclasses import asdict

import pandas as pd

from ssr_edge import Classifier, Prediction

COLUMNS = ["source", "label", "confidence", "malignant_probability", "flags"]

rows, failed = [], 0
with Classifier(sys.argv[2] if len(sys.argv) > 2 else None) as classify:
    for result in classify.stream(sys.argv[1]):
        if isinstance(result, Prediction):
            rows.append(asdict(result))
        else:
            failed += 1
            print(f"{result.source}: {result.reason}", file=sys.stderr)
table = pd.DataFrame(rows, columns=COLUMNS)
print(table.groupby("label")["confidence"].agg(["count", "mean"]).round(3))
sys.exit(3 if failed else 0)
