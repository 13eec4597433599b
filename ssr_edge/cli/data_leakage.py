"""Implements `ssr-edge data leakage`: reads the lists, compares every two of them, and prints what they share."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import typer

from ssr_edge.cli.output import write_json
from ssr_edge.common.errors import UsageError


def compare(a: str, b: str | None, data: Path | None, json_file: str | None) -> bool:
    """Prints what two lists, or the parts of a single split file, share; returns whether there is any leakage.

    Raises:
        UsageError: a list does not exist, or a single list is not a split file.
        DataError: a list or the folder of images can't be used.
    """
    from ssr_edge.breakhis.verify.official_files import OfficialFiles
    from ssr_train.data.breakhis import read
    from ssr_train.data.leakage import digests_of, leakage, messages
    from ssr_train.data.lists import parts_of, read_list

    available = {} if data is None else {record.name: record for record in read(data)}
    if b is not None:
        lists = [read_list(a, available), read_list(b, available)]
    elif a.lower().endswith(".csv") and Path(a).is_file():
        lists = parts_of(Path(a), available)
    else:
        raise UsageError(
            f"only one list, {a}, which is not a split file",
            expected="two lists, or one split file",
            next_step=f"ssr-edge data leakage {a} OTHER",
        )
    digests, twins = digests_of(lists), OfficialFiles.shipped().twins
    results = [leakage(x, y, digests, twins) for x, y in combinations(lists, 2)]
    text = json.dumps([{**asdict(result), "found": result.found} for result in results], indent=2)
    if json_file == "-":
        typer.echo(text)
    else:
        for result in results:
            typer.echo(f"{result.a} and {result.b}: {'leakage' if result.found else 'no leakage'}")
            for line in messages(result):
                typer.echo(f"  {line}")
        if json_file:
            write_json(json_file, text)
    return any(result.found for result in results)
