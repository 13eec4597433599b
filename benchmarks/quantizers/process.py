"""Runs a quantizer in a process and, where its pins clash with ours, in a virtual environment of its own."""

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
    """A quantizer that can't be installed, crashes or takes too long; its text is the reason."""


@dataclass(frozen=True)
class Quantizer:
    """module: of this folder, without `.py`. environment: names its requirements file; empty for our own."""

    module: str
    environment: str = ""

    def run(self, task: dict[str, Any], environments: Path) -> dict[str, Any]:
        """Gives a task (`worker.Task`) to a fresh process and returns what it printed (`worker.work`).

        Raises:
            QuantizerFailed: it can't be installed, crashed or took too long.
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
                cwd=_ROOT,  # -m looks there first: never in a folder that happens to hold a module of ours
            )
        except subprocess.TimeoutExpired:
            raise QuantizerFailed(f"took more than {_TIME_LIMIT_S:g} s") from None
        if run.returncode:
            raise QuantizerFailed(_last_line(run.stderr) or f"ended with exit code {run.returncode}")
        found: dict[str, Any] = json.loads(run.stdout)
        return found


def _python(name: str, environments: Path) -> Path:
    """The interpreter of an environment, which is made anew when its requirements changed."""
    requirements = (_HERE / f"{name}.txt").read_text(encoding="utf-8")
    folder = environments / name
    python, made_from = folder / "bin" / "python", folder / "made-from.txt"
    if made_from.is_file() and made_from.read_text(encoding="utf-8") == requirements:
        return python
    print(f"making the environment {folder}", file=sys.stderr)
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "--quiet", "--requirement", _HERE / f"{name}.txt"],
    ]
    for command in commands:
        made = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        if made.returncode:
            raise QuantizerFailed(f"its environment can't be made: {_last_line(made.stderr)}")
    made_from.write_text(requirements, encoding="utf-8")
    return python


def _variables(environments: Path) -> dict[str, str]:
    """What a quantizer sees. NNCF reports its use to Google Analytics unless told not to, so it is told three times:
    by its own variable, by the consent file of openvino-telemetry in a HOME of its own, and by the variable CI. The
    worker refuses all network beside.
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
