"""A Jetson's power, from the INA3221 sensors of its module.

Which rails there are, and what is inside: NVIDIA's Jetson Linux Developer Guide, "Platform Power and Performance",
"Software-Based Power Consumption Modeling", e.g.
https://docs.nvidia.com/jetson/archives/r36.4.3/DeveloperGuide/SD/PlatformPowerAndPerformance/
JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html#software-based-power-consumption-modeling.
The files: https://docs.kernel.org/hwmon/ina3221.html.
"""

from __future__ import annotations

from pathlib import Path

from ssr_edge.machine.energy.meter import Unmeasurable
from ssr_edge.machine.energy.sampler import SampledMeter

_DRIVER = Path("sys/bus/i2c/drivers/ina3221")
# The rails that make up the module, each counted once. On AGX Orin VDDQ_VDD2_1V8AO, too, is inside VIN_SYS_5V0.
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
        """Its power now; the files hold mV and mA."""
        return int(self._volts.read_text()) * int(self._amperes.read_text()) / 1e6


def find(root: Path) -> list[SampledMeter]:
    """The meter of the module. root: `/`.

    Raises:
        Unmeasurable: no sensor, rails of a Jetson unknown here, or a sensor that can't be read.
    """
    rails = _rails(root)
    if not rails:
        raise Unmeasurable(f"no Jetson module: no sensor in /{_DRIVER}")
    names = next((names for names in _MODULES if set(names) <= set(rails)), None)
    if names is None:
        raise Unmeasurable(f"no rails of a Jetson known here, but {', '.join(sorted(rails))} in /{_DRIVER}")
    meter = SampledMeter(
        "module",
        f"the whole Jetson module, whoever uses it ({' + '.join(names)}), without the board it is plugged into",
        lambda: sum(rails[name].watts() for name in names),
    )
    # A sensor that can't be read is found out now, not in the middle of a benchmark.
    meter.start()
    meter.stop()
    return [meter]


def _rails(root: Path) -> dict[str, Rail]:
    rails = {}
    for label in sorted((root / _DRIVER).glob("*/hwmon/hwmon*/in[123]_label")):
        try:
            rails[label.read_text(encoding="ascii").strip()] = Rail(label.parent, int(label.name[2]))
        except OSError:  # a channel that nothing is wired to
            continue
    return rails
