"""Writes ssr_edge/breakhis/verify/official_files.npz, the list that `ssr-edge data verify` uses.

    python scripts/make_official_files.py official.csv twins.csv

official.csv: `file,sha256,size_bytes` of every PNG of the official archive. twins.csv: `file_a,file_b`, pairs that
have exactly the same pixels under two labels. The same input produces the same bytes.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from ssr_edge.breakhis.verify.official_files import SHIPPED, official_files_of


def main() -> None:
    """Writes the list and prints its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("official", type=Path)
    parser.add_argument("twins", type=Path)
    asked = parser.parse_args()
    rows = [(row["file"], row["sha256"], int(row["size_bytes"])) for row in _rows(asked.official)]
    official = official_files_of(rows, [(row["file_a"], row["file_b"]) for row in _rows(asked.twins)])
    official.write(SHIPPED)
    print(f"{len(official.files)} official files, {len(official.twins)} pairs of twins, {SHIPPED.stat().st_size} bytes")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
