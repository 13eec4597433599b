"""What this machine trains on: the device, its reduced precision, the versions of the tools."""

from __future__ import annotations

import os
import platform

import torch

from ssr_edge import __version__
from ssr_edge.common.errors import RuntimeUnavailable


def choose_device(name: str) -> str:
    """`auto` takes a GPU where PyTorch sees one; any other name is checked. Each of torchrun's processes gets its own.

    Raises:
        RuntimeUnavailable: the device is not on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise RuntimeUnavailable(
            f"device {name!r} can't be used: {str(error).splitlines()[0]}",
            expected="auto, cpu, or cuda with an NVIDIA driver",
            next_step="ssr-edge doctor",
        ) from error
    return name


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes in it, else None; FP16 is left out, as it would need loss scaling."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


def tool_versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {"ssr-edge": __version__, "torch": torch.__version__, "python": platform.python_version()}
