"""What the GPU's state means for a benchmark, in words."""

from __future__ import annotations

from ssr_edge.machine.energy.nvml import GpuState

# NVML's words, of energy.nvml, that are no trouble: nothing to do, or what somebody chose.
_IDLE, _SET = "idle", "clocks set by the user"
_HARMLESS = {_IDLE, _SET, "synchronized with other GPUs", "clocks set by the display"}
# A free clock moves by a step or two of 15 MHz from one moment to the next.
_FALL = 0.05


def describe_gpu(state: GpuState) -> str:
    """Clock, temperature, power, and whether the clock is held or slowed down; what is not known is left out.

    NVML tells of clocks that `nvidia-smi -ac` set; of those that `-lgc` or `jetson_clocks` locked it documents nothing.
    """
    if state.reason is not None:
        return f"not known: {state.reason}"
    held = "set by the user" if _SET in state.throttled else "free to change, as far as NVML tells"
    known = [
        None if state.sm_clock_mhz is None else f"{state.sm_clock_mhz} MHz ({held})",
        None if state.temperature_c is None else f"{state.temperature_c} °C",
        None if state.power_w is None else f"{state.power_w:.1f} W",
        *(word for word in state.throttled if word != _SET),
    ]
    return ", ".join(word for word in known if word is not None) or "not known: the driver tells nothing"


def gpu_warnings(before: GpuState, after: GpuState) -> list[str]:
    """What makes a benchmark's figures doubtful: a GPU that was slowed down, or whose clock fell. Both under load."""
    warnings = []
    for when, state in (("before", before), ("after", after)):
        slowed = [word for word in state.throttled if word not in _HARMLESS]
        if slowed:
            warnings.append(f"the GPU was slowed down {when} the rounds: {', '.join(slowed)}")
    # An idle GPU's clock is low, and says nothing.
    clocks = [None if _IDLE in state.throttled else state.sm_clock_mhz for state in (before, after)]
    if clocks[0] and clocks[1] is not None and clocks[1] < (1 - _FALL) * clocks[0]:
        warnings.append(
            f"the GPU's clock fell from {clocks[0]} to {clocks[1]} MHz during the rounds: lock it "
            "(nvidia-smi -lgc, or jetson_clocks) and measure again"
        )
    return warnings
