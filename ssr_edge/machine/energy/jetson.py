"""Energy of a Jetson module, from its INA3221 power sensors.

Rails and what they include: NVIDIA's Jetson Linux Developer Guide, "Platform Power and Performance",
"Software-Based Power Consumption Modeling", e.g.
https://docs.nvidia.com/jetson/archives/r36.4.3/DeveloperGuide/SD/PlatformPowerAndPerformance/
JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html#software-based-power-consumption-modeling.
Files: https://docs.kernel.org/hwmon/ina3221.html.
"""

from __future__ import annotations

from pathlib import Path

from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.sampler import SampledMeter

_DRIVER = Path("sys/bus/i2c/drivers/ina3221")
# Rails that add up to the whole module. On AGX Orin, VDDQ_VDD2_1V8AO is already part of VIN_SYS_5V0.
_MODULES = (
    ("VDD_IN",),  # Orin NX and Orin Nano
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # Thor
)


class Rail:
    """One channel of a sensor. folder: its hwmon folder. number: 1 to 3."""

    def __init__(self, folder: Path, number: int) -> None:
        self._volts, self._amperes = folder / f"in{number}_input", folder / f"curr{number}_input"

    def watts(self) -> float:
        """Current power. The files contain mV and mA."""
        return int(self._volts.read_text()) * int(self._amperes.read_text()) / 1e6


def find(root: Path) -> list[SampledMeter]:
    """Finds the meter of the module. root: `/`.

    Raises:
        Unmeasurable: no sensor, unknown rails, or an unreadable sensor.
    """
    rails = _rails(root)
    if not rails:
        raise Unmeasurable(f"no Jetson module: no sensor in /{_DRIVER}")
    names = next((names for names in _MODULES if set(names) <= set(rails)), None)
    if names is None:
        raise Unmeasurable(f"unknown Jetson rails {', '.join(sorted(rails))} in /{_DRIVER}")
    meter = SampledMeter(
        "module",
        f"the whole Jetson module including other programs ({' + '.join(names)}), without its carrier board",
        lambda: sum(rails[name].watts() for name in names),
    )
    # Detect an unreadable sensor now rather than during a benchmark.
    meter.start()
    meter.stop()
    return [meter]


def _rails(root: Path) -> dict[str, Rail]:
    rails = {}
    for label in sorted((root / _DRIVER).glob("*/hwmon/hwmon*/in[123]_label")):
        try:
            rails[label.read_text(encoding="ascii").strip()] = Rail(label.parent, int(label.name[2]))
        except OSError:  # unconnected channel
            continue
    return rails
