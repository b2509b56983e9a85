"""Telemetry of a board: in base units, and only what its sysfs has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edge.recorder.telemetry import Telemetry
from tests.support.sysfs import Tree, orin, thor


def readings(root: Path) -> dict[str, float]:
    """Every series of a scrape."""
    registry = CollectorRegistry()
    Telemetry(registry, root=root)
    lines = generate_latest(registry).decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def zone(name: str) -> str:
    return f'edge_temperature_celsius{{zone="{name}"}}'


def rail(name: str) -> str:
    return f'edge_power_watts{{rail="{name}"}}'


@pytest.mark.parametrize("gpu", ["17000000.gpu", "17000000.ga10b"])
def test_an_orin_tells_load_temperatures_and_power(tmp_path: Path, gpu: str) -> None:
    expected = {
        "edge_gpu_load_ratio": 0.734,
        zone("cpu-thermal"): 51.25,
        zone("gpu-thermal"): 49.718,
        zone("tj-thermal"): 51.25,
        rail("VDD_IN"): 5.016 * 1.208,
        rail("VDD_CPU_GPU_CV"): 5.008 * 0.304,
        rail("VDD_SOC"): 5.008 * 0.288,
    }
    assert readings(orin(tmp_path, gpu=gpu).root) == pytest.approx(expected)


def test_a_thor_tells_no_load_and_nothing_of_a_gpu_that_sleeps(tmp_path: Path) -> None:
    expected = {
        zone("cpu-thermal"): 43.0,
        zone("tj-thermal"): 43.125,
        zone("soc012-thermal"): 43.25,
        zone("soc345-thermal"): 43.375,
        rail("VDD_GPU"): -11.912 * 0.033,
        rail("VDD_CPU_SOC_MSS"): 11.912 * 0.329,
        rail("VIN_SYS_5V0"): 5.032 * 1.2,
        rail("VIN"): 23.125,
    }
    assert readings(thor(tmp_path).root) == pytest.approx(expected)


def test_where_there_is_no_sensor_not_even_a_name_is_exported(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        registry = CollectorRegistry()
        Telemetry(registry, root=root)
        assert generate_latest(registry) == b""


ORIN_FILES = {
    "load": ("devices/platform/17000000.gpu/load", "edge_gpu_load_ratio"),
    "temperature": ("devices/virtual/thermal/thermal_zone1/temp", zone("gpu-thermal")),
    "zone": ("devices/virtual/thermal/thermal_zone1/type", zone("gpu-thermal")),
    "voltage": ("class/hwmon/hwmon0/in2_input", rail("VDD_CPU_GPU_CV")),
    "current": ("class/hwmon/hwmon0/curr2_input", rail("VDD_CPU_GPU_CV")),
    "rail": ("class/hwmon/hwmon0/in2_label", rail("VDD_CPU_GPU_CV")),
}
NONSENSE = {
    "load": "1001",
    "temperature": "-256000",
    "zone": "\a",
    "voltage": "much",
    "current": "99999999",
    "rail": "NC",
}
Spoil = Callable[[Tree, str, str], None]


def _gone(tree: Tree, file: str, sensor: str) -> None:
    (tree.root / file).unlink()


def _fails(tree: Tree, file: str, sensor: str) -> None:
    tree.fail(file)


def _empty(tree: Tree, file: str, sensor: str) -> None:
    tree.write(file, "")


def _binary(tree: Tree, file: str, sensor: str) -> None:
    (tree.root / file).write_bytes(b"\xff\xfe4")


def _nonsense(tree: Tree, file: str, sensor: str) -> None:
    tree.write(file, NONSENSE[sensor])


@pytest.mark.parametrize("spoil", [_gone, _fails, _empty, _binary, _nonsense])
@pytest.mark.parametrize("sensor", ORIN_FILES)
def test_a_sensor_that_fails_is_left_out_and_costs_no_other(
    tmp_path: Path, sensor: str, spoil: Spoil
) -> None:
    tree = orin(tmp_path)
    whole = readings(tree.root)
    file, series = ORIN_FILES[sensor]
    spoil(tree, file, sensor)
    assert readings(tree.root) == {name: value for name, value in whole.items() if name != series}


def test_two_zones_of_one_name_are_one_series_with_the_higher_value(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.zone(0, "acpitz", 27_800)
    tree.zone(1, "acpitz", 64_000)
    tree.zone(2, "acpitz", 16_800)
    assert readings(tree.root) == {zone("acpitz"): 64.0}
