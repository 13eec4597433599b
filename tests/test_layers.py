"""Checks that imports go only downward through the layers shown in ARCHITECTURE.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGE_FOLDERS = {"ssr_edge": ".", "ssr_train": "train", "ssr_export": "export", "ssr_kernels": "kernels"}
SOURCES = {package: ROOT / folder for package, folder in STAGE_FOLDERS.items()}
# From the bottom up. Packages of one layer may import each other, but without cycles (see the test below).
LAYERS = (
    ("common",),
    ("images", "machine", "demo"),
    ("breakhis", "sources"),
    ("bundle",),
    ("evaluation", "runners"),
    ("inference",),
    ("slides", "overlay", "results"),
    ("classifier",),
    ("bench", "distributed", "triton"),
    ("cli",),
)
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
# The packages that each package may import at the top of a module. Except in ssr_kernels, functions may import any.
STAGES = {
    "ssr_kernels": {"ssr_kernels"},
    "ssr_edge": {"ssr_edge"},
    "ssr_train": {"ssr_train", "ssr_edge"},
    "ssr_export": {"ssr_export", "ssr_train", "ssr_edge"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for package, root in SOURCES.items():
        for path in sorted((root / package).rglob("*.py")):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imports(source: str) -> Iterator[tuple[str, bool]]:
    """Every module of the project that a source imports, and whether it is imported at the top of the module."""

    def visit(node: ast.AST, at_top: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
                # `from package import module` imports the module; its layer follows from the package.
                yield from ((f"{child.module}.{alias.name}", at_top) for alias in child.names)
            elif isinstance(child, ast.Import):
                yield from ((alias.name, at_top) for alias in child.names)
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) or typing_only
            yield from visit(child, at_top and not inside)

    yield from ((name, at_top) for name, at_top in visit(ast.parse(source), True) if name.split(".")[0] in SOURCES)


def room(module: str) -> str:
    """The subpackage of `ssr_edge` that contains a module; empty for ssr_edge itself and for the other packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "ssr_edge" and len(parts) > 1 and parts[1] in HEIGHT else ""


def violations(module: str, source: str) -> list[str]:
    """Forbidden imports of a module, each as `importer -> imported`."""
    stage = module.split(".")[0]
    found = []
    for imported, at_top in imports(source):
        target = imported.split(".")[0]
        crosses = target not in STAGES[stage]
        if crosses and (at_top or stage == "ssr_kernels"):
            found.append(f"{module} -> {imported}")
        below, above = room(imported), room(module)
        inside = stage == target == "ssr_edge" and at_top and below and above
        if inside and HEIGHT[below] > HEIGHT[above]:
            found.append(f"{module} -> {imported}")
    return found


def test_imports_run_downward() -> None:
    found = [line for name, path in modules() for line in violations(name, path.read_text(encoding="utf-8"))]
    assert found == []


def test_every_package_has_a_layer() -> None:
    packages = {path.name for path in (ROOT / "ssr_edge").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    files = {path.stem for path in (ROOT / "ssr_edge").glob("*.py")} - {"__init__"}
    assert packages | files == set(HEIGHT)


@pytest.mark.slow
def test_packages_import_each_other_in_no_circle() -> None:
    """Checks the imports at the top of modules, by package: packages in a cycle can't be separated."""
    arrows: dict[str, set[str]] = {}
    for name, path in modules():
        own = room(name) or name.split(".")[0]
        for imported, at_top in imports(path.read_text(encoding="utf-8")):
            if at_top and (other := room(imported) or imported.split(".")[0]) not in (own, "ssr_edge"):
                arrows.setdefault(own, set()).add(other)
    left = {name: set(others) for name, others in arrows.items()}
    while left:
        free = [name for name, others in left.items() if not others & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("ssr_edge.common.files", "from ssr_edge.bundle.bundle import Bundle"),
        ("ssr_edge.bundle.manifest", "import ssr_edge.runners.base"),
        ("ssr_edge.inference.run", "from ssr_edge.overlay.draw import draw"),
        ("ssr_edge.bench.run", "from ssr_train.models.arch import Arch"),
        ("ssr_edge.cli.main", "import ssr_export"),
        ("ssr_kernels.compile", "def f():\n    from ssr_edge.common.errors import BuildError"),
        ("ssr_train.training.loop", "from ssr_export.folding.fold import fold"),
    ],
)
def test_a_planted_import_is_found(module: str, planted: str) -> None:
    assert violations(module, planted) != []
    assert violations(module, "import json\n\nimport numpy as np") == []
