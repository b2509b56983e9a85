"""Trees of sysfs as two boards have them, and sensors that fail.

Links point to the device's own folder, as in the kernel's.

Layouts: devices and `load` in per mille of Orin (17000000.ga10b of JetPack 5, 17000000.gpu of
JetPack 6) and the zones of both boards are in the power and thermal chapters of NVIDIA's Jetson
Linux Developer Guide (r35, r36; r38 for Thor). That Thor has gpu-gpc-0 and gpu-nvd-0 without a
`load`, and a GPU's zone that cannot be read while it sleeps, is reported by its users
(rbonghi/jetson_stats issue 885). INA3221 and INA238: Documentation/hwmon/ of Linux; zones:
Documentation/driver-api/thermal/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["Tree", "orin", "thor"]


class Tree:
    """A sysfs in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def write(self, file: str, text: object) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="ascii")

    def fail(self, file: str) -> None:
        """Have it raise an OSError when it is read, as root too."""
        path = self.root / file
        path.unlink()
        path.mkdir()

    def link(self, name: str, target: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.root / target)

    def devfreq(self, name: str, device: str, *, load: int | None) -> None:
        """A device that scales its frequency; `load` in per mille."""
        self.write(f"{device}/devfreq/{name}/cur_freq", 306_000_000)
        self.link(f"{device}/devfreq/{name}/device", device)
        self.link(f"class/devfreq/{name}", f"{device}/devfreq/{name}")
        if load is not None:
            self.write(f"{device}/load", load)

    def zone(self, number: int, name: str, millicelsius: int) -> None:
        folder = f"devices/virtual/thermal/thermal_zone{number}"
        self.write(f"{folder}/type", name)
        self.write(f"{folder}/temp", millicelsius)
        self.link(f"class/thermal/thermal_zone{number}", folder)

    def ina3221(self, number: int, rails: Mapping[str, tuple[int, int]]) -> None:
        """Add a monitor of up to three rails, each with mV and mA.

        Its sum of shunts has a label and no current of its own.
        """
        folder = f"devices/platform/bus@0/c240000.i2c/i2c-1/1-004{number}/hwmon/hwmon{number}"
        self.write(f"{folder}/name", "ina3221")
        for channel, (rail, (millivolt, milliampere)) in enumerate(rails.items(), 1):
            self.write(f"{folder}/in{channel}_label", rail)
            self.write(f"{folder}/in{channel}_input", millivolt)
            self.write(f"{folder}/curr{channel}_input", milliampere)
        self.write(f"{folder}/in7_label", "sum of shunt voltages")
        self.write(f"{folder}/in7_input", 640)
        self.link(f"class/hwmon/hwmon{number}", folder)


def orin(root: Path, *, gpu: str = "17000000.gpu") -> Tree:
    """An Orin NX at work."""
    tree = Tree(root)
    tree.devfreq(gpu, f"devices/platform/{gpu}", load=734)
    tree.devfreq("15340000.vic", "devices/platform/host1x/15340000.vic", load=999)  # another engine
    for number, (name, millicelsius) in enumerate(
        {"cpu-thermal": 51_250, "gpu-thermal": 49_718, "tj-thermal": 51_250}.items()
    ):
        tree.zone(number, name, millicelsius)
    tree.ina3221(0, {"VDD_IN": (5016, 1208), "VDD_CPU_GPU_CV": (5008, 304), "VDD_SOC": (5008, 288)})
    tree.write("class/hwmon/hwmon1/name", "pwmfan")
    return tree


def thor(root: Path) -> Tree:
    """A Thor whose GPU sleeps."""
    tree = Tree(root)
    for name in ("gpu-gpc-0", "gpu-nvd-0"):
        tree.devfreq(name, f"devices/platform/bus@0/d0b0000000.pcie/0000:01:00.0/{name}", load=None)
    for number, name in enumerate(
        ("cpu-thermal", "tj-thermal", "soc012-thermal", "soc345-thermal", "gpu-thermal")
    ):
        tree.zone(number, name, 43_000 + 125 * number)
    tree.fail("devices/virtual/thermal/thermal_zone4/temp")
    tree.ina3221(
        0, {"VDD_GPU": (11_912, -33), "VDD_CPU_SOC_MSS": (11_912, 329), "VIN_SYS_5V0": (5032, 1200)}
    )
    tree.write("class/hwmon/hwmon1/name", "ina238")
    tree.write("class/hwmon/hwmon1/label", "VIN")
    tree.write("class/hwmon/hwmon1/power1_input", 23_125_000)
    return tree
