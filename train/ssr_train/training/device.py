"""The device to train on, its reduced precision, and the versions of the tools."""

from __future__ import annotations

import os
import platform

import torch

from ssr_edge import __version__
from ssr_edge.common.errors import RuntimeUnavailable


def choose_device(name: str) -> str:
    """Resolves `auto` to a GPU if there is one, and checks the name. Each torchrun process gets its own GPU.

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
    """bfloat16 if the device supports it natively, else None. FP16 is not used: it would need loss scaling."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


def tool_versions() -> dict[str, str]:
    """Versions of the tools that a result depends on."""
    return {"ssr-edge": __version__, "torch": torch.__version__, "python": platform.python_version()}
