"""Install commands fit how ssr-edge was installed."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from pathlib import Path

import ssr_edge
from ssr_edge.common.install_hint import install_hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[3]


def test_an_installed_wheel_is_extended_by_name(tmp_path: Path) -> None:
    # Where a wheel puts it: both packages in one folder.
    (tmp_path / "ssr_train").mkdir()
    assert install_hint("wsi", tmp_path) == "pip install 'ssr-edge[wsi]'"
    assert install_hint("", tmp_path) == "pip install ssr-edge"


def test_a_checkout_is_named_by_its_path(tmp_path: Path) -> None:
    checkout = tmp_path / "my checkout"
    (checkout / "train" / "ssr_train").mkdir(parents=True)
    assert shlex.split(install_hint("ray,wsi", checkout)) == ["pip", "install", "-e", f"{checkout}[ray,wsi]"]
    assert shlex.split(install_hint("", checkout)) == ["pip", "install", "-e", str(checkout)]


def test_by_default_the_imported_package_is_examined() -> None:
    root = Path(ssr_edge.__file__).resolve().parents[1]
    assert install_hint("wsi") == install_hint("wsi", root)


def sources() -> list[Path]:
    folders = ("ssr_edge", "train/ssr_train", "export/ssr_export", "kernels/ssr_kernels")
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


def test_every_hint_in_the_code_comes_from_install_hint_and_names_an_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    hints = 0
    for path in sources():
        text = path.read_text()
        if path.name != "install_hint.py":
            assert not re.search(r"pip install '?ssr-edge", text), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "install_hint":
                hints += 1
                assert not node.args or not isinstance(node.args[0], ast.Constant) or node.args[0].value in extras, path
    assert hints > 10
