"""Runs a quantizer in a process and, if its dependencies conflict with ours, in a separate virtual environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_TIME_LIMIT_S = 3600.0


class QuantizerFailed(Exception):
    """A quantizer that cannot be installed, crashed or took too long. The message is the reason."""


@dataclass(frozen=True)
class Quantizer:
    """module: in this folder, without `.py`. environment: name of its requirements file; empty for our own."""

    module: str
    environment: str = ""

    def run(self, task: dict[str, Any], environments: Path) -> dict[str, Any]:
        """Runs a task (`worker.Task`) in a new process and returns what it printed (`worker.work`).

        Raises:
            QuantizerFailed: it cannot be installed, crashed or took too long.
        """
        python = _python(self.environment, environments) if self.environment else Path(sys.executable)
        try:
            run = subprocess.run(
                [python, "-m", f"quantizers.{self.module}"],
                input=json.dumps(task),
                capture_output=True,
                text=True,
                timeout=_TIME_LIMIT_S,
                env=_variables(environments),
                cwd=_ROOT,  # -m searches here first: never a folder that happens to contain such a module
            )
        except subprocess.TimeoutExpired:
            raise QuantizerFailed(f"took more than {_TIME_LIMIT_S:g} s") from None
        if run.returncode:
            raise QuantizerFailed(_last_line(run.stderr) or f"exit code {run.returncode}")
        found: dict[str, Any] = json.loads(run.stdout)
        return found


def _python(name: str, environments: Path) -> Path:
    """The interpreter of an environment, which is recreated when its requirements have changed."""
    requirements = (_HERE / f"{name}.txt").read_text(encoding="utf-8")
    folder = environments / name
    python, made_from = folder / "bin" / "python", folder / "made-from.txt"
    if made_from.is_file() and made_from.read_text(encoding="utf-8") == requirements:
        return python
    print(f"creating the environment {folder}", file=sys.stderr)
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "--quiet", "--requirement", _HERE / f"{name}.txt"],
    ]
    for command in commands:
        made = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        if made.returncode:
            raise QuantizerFailed(f"its environment cannot be created: {_last_line(made.stderr)}")
    made_from.write_text(requirements, encoding="utf-8")
    return python


def _variables(environments: Path) -> dict[str, str]:
    """Environment variables of a quantizer.

    NNCF reports usage to Google Analytics by default. This is disabled in three ways: its own variable, the consent
    file of openvino-telemetry in a separate HOME, and the variable CI. The worker also refuses all network access.
    """
    home = (environments / "home").absolute()
    consent = home / "intel" / "openvino_telemetry"
    consent.parent.mkdir(parents=True, exist_ok=True)
    consent.write_text("0", encoding="ascii")
    parts = (".", "benchmarks", "train", "export", "kernels")
    path = os.pathsep.join(str(_ROOT / part) for part in parts)
    return os.environ | {"PYTHONPATH": path, "HOME": str(home), "NNCF_CI": "1", "CI": "true"}


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
