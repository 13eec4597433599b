"""Default inputs of commands: the newest training run, or else the demo shipped with the package."""

from __future__ import annotations

from pathlib import Path

from ssr_edge.common.errors import UsageError
from ssr_edge.demo import DEMO_CHECKPOINT

RUNS = Path("runs")
CHECKPOINT = "checkpoint.safetensors"


def find_checkpoint(asked: Path | None) -> Path:
    """Finds the checkpoint to use. asked: a checkpoint file or a run's folder; None for the default.

    The default is the checkpoint of the newest finished run in `runs/`, or else the demo weights.

    Raises:
        UsageError: `asked` does not exist.
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
    """Default name of a checkpoint's bundle: the name of its run, or `demo`."""
    return checkpoint.resolve().parent.name
