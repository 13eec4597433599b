"""What a verb works on when it is told nothing: newest run, newest bundle, or the demo that ships with the package."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_edge.demo import DEMO_CHECKPOINT

RUNS = Path("runs")
CHECKPOINT = "checkpoint.safetensors"


def find_checkpoint(asked: Path | None) -> Path:
    """The checkpoint asked for (a file, or a run's folder), else the newest run's, else the demo weights.

    Raises:
        UsageError: what was asked for is not there.
    """
    if asked is None:
        finished = sorted(RUNS.glob(f"*/{CHECKPOINT}"), key=lambda path: path.stat().st_mtime)
        return finished[-1] if finished else DEMO_CHECKPOINT
    path = asked / CHECKPOINT if asked.is_dir() else asked
    if not path.is_file():
        raise UsageError(
            f"{path} does not exist",
            expected=f"a checkpoint, or a run's folder with a {CHECKPOINT}",
            next_step="ssr-edge train --data FOLDER",
        )
    return path


def bundle_name(checkpoint: Path) -> str:
    """Name of the bundle of a checkpoint: its run's, or `demo`."""
    return checkpoint.resolve().parent.name
