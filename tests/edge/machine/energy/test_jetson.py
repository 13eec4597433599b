from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.machine.energy import jetson
from ssr_edge.machine.energy.meter import Unmeasurable

# Label, mV and mA of each channel, by I2C address: as the modules have them.
_ORIN_NX = {"1-0040": [("VDD_IN", 4920, 1000), ("VDD_CPU_GPU_CV", 4920, 300), ("VDD_SOC", 4920, 200)]}
_AGX_ORIN = {
    "1-0040": [("VDD_GPU_SOC", 19_000, 400), ("VDD_CPU_CV", 19_000, 100), ("VIN_SYS_5V0", 5000, 700)],
    "1-0041": [("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 5000, 150), ("NC", 0, 0)],
}
_THOR = {"2-0040": [("VDD_GPU", 12_000, 0), ("VDD_CPU_SOC_MSS", 12_000, 500), ("VIN_SYS_5V0", 5000, 1300)]}


def sensors(root: Path, chips: dict[str, list[tuple[str, int, int]]]) -> None:
    for number, (chip, channels) in enumerate(chips.items(), 1):
        folder = root / "sys" / "bus" / "i2c" / "drivers" / "ina3221" / chip / "hwmon" / f"hwmon{number}"
        folder.mkdir(parents=True)
        for channel, (label, millivolts, milliamperes) in enumerate(channels, 1):
            (folder / f"in{channel}_label").write_text(f"{label}\n")
            (folder / f"in{channel}_input").write_text(f"{millivolts}\n")
            (folder / f"curr{channel}_input").write_text(f"{milliamperes}\n")
        # The driver's own sum of all channels is not a rail.
        (folder / "in7_label").write_text("sum of shunt voltages\n")


@pytest.mark.parametrize(
    ("chips", "watts", "rails"),
    [
        (_ORIN_NX, 4.92, "(VDD_IN)"),
        (_AGX_ORIN, 7.6 + 1.9 + 3.5, "(VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0)"),
        (_THOR, 0 + 6 + 6.5, "(VDD_GPU + VDD_CPU_SOC_MSS + VIN_SYS_5V0)"),
    ],
)
def test_a_module_is_what_its_input_rails_add_up_to(
    tmp_path: Path, chips: dict[str, list[tuple[str, int, int]]], watts: float, rails: str
) -> None:
    sensors(tmp_path, chips)
    (meter,) = jetson.find(tmp_path)
    assert (meter.name, rails in meter.what) == ("module", True)
    assert meter._watts() == pytest.approx(watts)
    meter.start()
    assert meter.stop() >= 0


def test_unknown_rails_are_named(tmp_path: Path) -> None:
    sensors(tmp_path, {"7-0040": [("CPU", 1, 1), ("GPU", 1, 1), ("SOC", 1, 1)]})
    with pytest.raises(Unmeasurable, match="CPU, GPU, SOC"):
        jetson.find(tmp_path)


def test_an_unreadable_sensor_is_detected_at_once(tmp_path: Path) -> None:
    sensors(tmp_path, _ORIN_NX)
    next(tmp_path.rglob("curr1_input")).unlink()
    with pytest.raises(Unmeasurable, match=r"module.*curr1_input"):
        jetson.find(tmp_path)


def test_another_computer_is_no_jetson(tmp_path: Path) -> None:
    with pytest.raises(Unmeasurable, match="ina3221"):
        jetson.find(tmp_path)
