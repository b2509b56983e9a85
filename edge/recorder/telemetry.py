"""The board's own sensors, read from sysfs when Prometheus asks: temperatures, GPU load, power.

A sensor that is absent, fails to read or answers nonsense is left out: a 0 would be believed. It
needs no root and no vendor's daemon. NVML does not answer on Orin, and on Thor sysfs does not have
the GPU's load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["SYSFS", "Telemetry"]

SYSFS = Path("/sys")
# a devfreq device: Thor's; Orin's and older
GPU = re.compile(r"gpu-gpc-\d+|[0-9a-f]+\.(gpu|gm20b|gp10b|gv11b|ga10b)")
CELSIUS = (-55.0, 150.0)  # what silicon and a case can have; a zone that is off says -256
WATTS = (-1000.0, 1000.0)  # a monitor's offset makes a rail at rest slightly negative
RAIL = re.compile(r"in(\d+)_label")


class Telemetry(Collector):
    """The sensors below `root`; it registers itself.

    It is asked on the metrics server's thread; each answer takes a few milliseconds.
    """

    def __init__(self, registry: CollectorRegistry, *, root: Path = SYSFS) -> None:
        self._root = root
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering reads nothing

    def collect(self) -> Iterator[Metric]:
        load = GaugeMetricFamily("edge_gpu_load_ratio", "Share of time that the GPU is busy.")
        temperature = GaugeMetricFamily(
            "edge_temperature_celsius", "Temperature by zone.", labels=["zone"]
        )
        power = GaugeMetricFamily(
            "edge_power_watts", "Power by rail of the supply.", labels=["rail"]
        )
        for ratio in self._loads():
            load.add_metric([], ratio)
            break
        for zone, celsius in _highest(self._temperatures()).items():
            temperature.add_metric([zone], celsius)
        for rail, watts in _highest(self._powers()).items():
            power.add_metric([rail], watts)
        # A family without a sample is left out as well.
        yield from (family for family in (load, temperature, power) if family.samples)

    def _loads(self) -> Iterator[float]:
        """Yield the load of each GPU, 0..1; the driver gives it per mille."""
        for node in _folders(self._root / "class" / "devfreq", "*"):
            if GPU.fullmatch(node.name):
                yield from _within(_number(node / "device" / "load", 1e-3), 0.0, 1.0)

    def _temperatures(self) -> Iterator[tuple[str, float]]:
        for zone in _folders(self._root / "class" / "thermal", "thermal_zone*"):
            name = _text(zone / "type")
            if name:
                yield from (
                    (name, celsius) for celsius in _within(_number(zone / "temp", 1e-3), *CELSIUS)
                )

    def _powers(self) -> Iterator[tuple[str, float]]:
        for monitor in _folders(self._root / "class" / "hwmon", "hwmon*"):
            chip = _text(monitor / "name")
            if chip == "ina3221":
                rails = _ina3221(monitor)
            elif chip == "ina238":
                rails = (
                    (_text(monitor / "label"), _number(monitor / "power1_input", 1e-6)) for _ in "1"
                )
            else:
                continue
            for name, watts in rails:
                if name and name != "NC":  # not connected
                    yield from ((name, w) for w in _within(watts, *WATTS))


def _ina3221(monitor: Path) -> Iterator[tuple[str, float]]:
    """Yield name and power of each channel.

    The sum of the shunts has a label too, but no current of its own.
    """
    for label in _folders(monitor, "in*_label"):
        found = RAIL.fullmatch(label.name)
        if found:
            channel = found.group(1)
            volts = _number(monitor / f"in{channel}_input", 1e-3)
            amperes = _number(monitor / f"curr{channel}_input", 1e-3)
            yield _text(label), volts * amperes


def _highest(readings: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return one value a name: two series of one name would cost Prometheus the whole scrape."""
    highest: dict[str, float] = {}
    for name, value in readings:
        highest[name] = max(value, highest.get(name, value))
    return highest


def _folders(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _within(value: float, least: float, most: float) -> Iterator[float]:
    """Yield the value if it is possible; NaN is not."""
    if least <= value <= most:
        yield value


def _number(file: Path, scale: float) -> float:
    """Return the integer in a file, times `scale`; NaN where there is none.

    A zone of a GPU that sleeps raises EAGAIN.
    """
    try:
        return int(_text(file)) * scale
    except ValueError:
        return math.nan


def _text(file: Path) -> str:
    """Return what a sensor's file says, or nothing."""
    try:
        text = file.read_bytes()[:64].decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""
