"""Every name of TensorRT and pycuda that the product uses: `python -m tests.doubles.calls > docs/tensorrt_calls.md`."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.doubles.api import PYCUDA, VERSIONS
from tests.doubles.usage import Use, has, uses_of

ROOT = Path(__file__).parents[2]
RUNNERS = sorted((ROOT / "ssr_edge/runners").glob("tensorrt*.py"))
BUILDER = sorted((ROOT / "export/ssr_export").glob("tensorrt*.py"))
PYCUDA_USERS = [
    # No other runner: types are followed by name, and `onnx.load` is none of the kernels' `load`.
    ROOT / "ssr_edge/runners/tensorrt/cuda.py",
    *RUNNERS,
    ROOT / "ssr_edge/machine/gpu_memory.py",
    *sorted((ROOT / "kernels/ssr_kernels").glob("*.py")),
]
HEAD = """# What ssr-edge calls of TensorRT and pycuda

Made by `python -m tests.doubles.calls > docs/tensorrt_calls.md` from the syntax trees of the runner, the builder and
the kernels' launchers; a test holds it equal to them. What the versions have is recorded in `tests/tensorrt_api` and
`tests/pycuda_api`. `yes`: the version has the name and takes the arguments. `guarded`: it has not, and the code asks
with `hasattr` first. Arguments: how many by position, then those by name; empty where nothing is called. `trt` is the
module `tensorrt` or `tensorrt_rtx`, `driver` is `pycuda.driver`.
"""


def table() -> str:
    """The document."""
    trt = [use for files in (RUNNERS, BUILDER) for use in uses_of(files, VERSIONS) if use.owner]
    cuda = [use for use in uses_of(PYCUDA_USERS, (PYCUDA,)) if use.owner]
    return f"{HEAD}\n## TensorRT\n\n{_rows(trt, VERSIONS)}\n## pycuda\n\n{_rows(cuda, (PYCUDA,))}"


def _rows(uses: Iterable[Use], versions: Sequence[str]) -> str:
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    needed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for use in uses:
        row = f"{use.owner}.{use.name}", _arguments(use.call)
        places[row].add(use.place.split(":")[0])
        needed[row] |= use.versions
    lines = [f"| name | arguments | {' | '.join(versions)} | in |", "|---|---|" + "---|" * len(versions) + "---|"]
    for (name, arguments), files in sorted(places.items()):
        owner, _, member = name.rpartition(".")
        found = [
            "yes" if has(version, owner, member) else "guarded" if version not in needed[name, arguments] else "MISSING"
            for version in versions
        ]
        lines.append(f"| `{name}` | {arguments} | {' | '.join(found)} | {', '.join(sorted(files))} |")
    return "\n".join(lines) + "\n"


def _arguments(call: ast.Call | None) -> str:
    if call is None:
        return ""
    return ", ".join([str(len(call.args)), *(f"{keyword.arg}=" for keyword in call.keywords)])


if __name__ == "__main__":
    print(table(), end="")
