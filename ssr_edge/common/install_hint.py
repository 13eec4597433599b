"""The command that installs an extra; from a checkout it names the checkout, since ssr-edge need not be on PyPI."""

from __future__ import annotations

import shlex
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def install_hint(extra: str = "", root: Path = _ROOT) -> str:
    """E.g. `pip install 'ssr-edge[wsi]'`, or from a checkout `pip install -e '/home/me/ssr-edge[wsi]'`.

    extra: without one, the command installs ssr-edge itself. root: the folder that contains the package ssr_edge.
    """
    extras = f"[{extra}]" if extra else ""
    # Only a checkout has this folder: a wheel installs ssr_train beside ssr_edge.
    if not (root / "train" / "ssr_train").is_dir():
        return f"pip install {shlex.quote(f'ssr-edge{extras}')}"
    return f"pip install -e {shlex.quote(f'{root}{extras}')}"
