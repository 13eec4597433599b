"""The APIs of TensorRT and pycuda: names, members, enum values and signatures, recorded from the real packages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
VERSIONS = ("10.3.0", "10.13.3", "10.16.1", "11.4.0", "rtx-1.7.1")
TENSORRT = VERSIONS[:4]
RTX = VERSIONS[4]
# Recorded with a stub for libcuda.
PYCUDA = "pycuda-2026.1"


@dataclass(frozen=True)
class Signature:
    """parameters: names without self; None for overloads. returns: a class's name, or the text as recorded."""

    parameters: tuple[str, ...] | None
    returns: str


@dataclass(frozen=True)
class Api:
    """One version. members: of each recorded class; a class without an entry is known by name only."""

    version: str
    names: frozenset[str]
    members: dict[str, frozenset[str]]
    enums: dict[str, dict[str, int]]
    signatures: dict[str, Signature]


@cache
def load(version: str) -> Api:
    folder = TESTS / ("pycuda_api" if version == PYCUDA else "tensorrt_api")
    data: dict[str, Any] = json.loads((folder / f"{version}.json").read_text(encoding="utf-8"))
    return Api(
        version=data["version"],
        names=frozenset(data["top_level"]),
        members={name: frozenset(members) for name, members in data["members"].items()},
        enums=data["enums"],
        signatures={name: _signature(text) for name, text in data["signatures"].items()},
    )


def _signature(text: str) -> Signature:
    called = re.match(r"\w+\((?P<parameters>.*)\) -> (?P<returns>.+)$", text)
    if called is None:
        return Signature(None, "")
    names = re.findall(r"(\w+): ", re.sub(r"<[^>]*>|\[[^\]]*\]", "", called["parameters"]))
    # The last word is the class, in "list[pkg.Dims]" as in C++'s "nvinfer1::IRuntimeCache".
    returns = re.findall(r"\w+", called["returns"])[-1]
    return Signature(tuple(name for name in names if name != "self"), returns)
