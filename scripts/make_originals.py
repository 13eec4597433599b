"""Creates ssr_edge/breakhis/verify/originals.npz, the hash list for `ssr-edge data verify`.

    python scripts/make_originals.py originals.csv twins.csv

originals.csv: `file,sha256,size_bytes` of every PNG of the official archive. twins.csv: `file_a,file_b`, pairs with
identical pixels under two labels. The output is reproducible byte for byte.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from ssr_edge.breakhis.verify.originals import SHIPPED, originals_of


def main() -> None:
    """Writes the list and prints its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("twins", type=Path)
    asked = parser.parse_args()
    rows = [(row["file"], row["sha256"], int(row["size_bytes"])) for row in _rows(asked.originals)]
    originals = originals_of(rows, [(row["file_a"], row["file_b"]) for row in _rows(asked.twins)])
    originals.write(SHIPPED)
    print(f"{len(originals.files)} files, {len(originals.twins)} contradictory pairs, {SHIPPED.stat().st_size} bytes")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
