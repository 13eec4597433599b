"""What `ssr-edge data leakage` does: reads the lists, compares each with each, and says what they share."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import typer

from ssr_edge.cli.output import write_json
from ssr_edge.common.errors import UsageError


def compare(a: str, b: str | None, data: Path | None, json_file: str | None) -> bool:
    """Prints what the lists share, or what the parts of a single split file do; true if anything leaks.

    Raises:
        UsageError: a list that is not there, or a single one that is no split file.
        DataError: a list or the folder of images can't be used.
    """
    from ssr_edge.breakhis.verify.originals import Originals
    from ssr_train.data.breakhis import read
    from ssr_train.data.leakage import digests_of, in_words, leakage
    from ssr_train.data.lists import parts_of, read_list

    at_hand = {} if data is None else {record.name: record for record in read(data)}
    if b is not None:
        lists = [read_list(a, at_hand), read_list(b, at_hand)]
    elif a.lower().endswith(".csv") and Path(a).is_file():
        lists = parts_of(Path(a), at_hand)
    else:
        raise UsageError(
            f"{a} alone",
            expected="two lists, or one split file whose parts are compared",
            next_step=f"ssr-edge data leakage {a} OTHER",
        )
    digests, twins = digests_of(lists), Originals.shipped().twins
    results = [leakage(x, y, digests, twins) for x, y in combinations(lists, 2)]
    text = json.dumps([{**asdict(result), "found": result.found} for result in results], indent=2)
    if json_file == "-":
        typer.echo(text)
    else:
        for result in results:
            typer.echo(f"{result.a} and {result.b}: {'leak' if result.found else 'nothing leaks'}")
            for line in in_words(result):
                typer.echo(f"  {line}")
        if json_file:
            write_json(json_file, text)
    return any(result.found for result in results)
