"""The program that `edge-deploy install` installs: its environment, and which of them are kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from deploy.install.layout import shipped
from edge.bundle import Bundle
from tests.support.machine import JETSON, Machine, found
from tests.support.wheel import here, linked_wheel

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_an_environment_made_by_hand_is_set_aside_and_comes_back_when_it_fails(
    machine: Machine, bundle: Bundle
) -> None:
    (machine.layout.program / "bin").mkdir(parents=True)
    (machine.layout.program / "bin/edge").touch()
    before = machine.files()
    machine.answers(found("model", "no"), status=1)
    machine.refuses("--bundle", str(bundle.path))
    assert machine.files() == before
    machine.answers(found("model"))
    machine.installs("--bundle", str(bundle.path))
    assert machine.layout.program.is_symlink()
    assert len(list(machine.root.glob("opt/.edge-monitor.set-aside.*/bin/edge"))) == 1


def test_of_the_programs_before_one_is_kept(machine: Machine, bundle: Bundle) -> None:
    first = machine.layout.program.with_name(next(machine.root.glob("opt/*")).name)
    machine.installs("--bundle", str(bundle.path))
    second = machine.offers("second")
    machine.installs()
    assert first.is_dir()
    third = machine.offers("third")
    machine.installs()
    assert (first.exists(), second.is_dir(), third.is_dir()) == (False, True, True)
    assert machine.layout.program.resolve() == third


def test_on_a_jetson_the_environment_sees_the_systems_tensorrt(
    machine: Machine, bundle: Bundle
) -> None:
    (machine.root / "etc").mkdir()
    (machine.root / "etc/nv_tegra_release").write_text(JETSON.format(36, "4.3"), encoding="utf-8")
    said = machine.installs("--dry-run", "--bundle", str(bundle.path))
    assert re.search(r"make the virtual environment \S+ that sees the system's packages with", said)
    assert "edge.service.d/gpu.conf" in said
    assert "no TensorRT, so the model runs on the processor" in said


def test_a_package_that_cannot_be_installed_is_one_line_and_changes_nothing(
    machine: Machine, bundle: Bundle, tmp_path: Path
) -> None:
    machine.installs("--bundle", str(bundle.path))
    before = machine.files()
    machine.package.write_bytes(b"no wheel")
    said = machine.refuses("--wheels", str(tmp_path))
    assert "edge_monitor-9.9-py3-none-any.whl" in said
    assert "is no wheel" in said
    assert machine.files() == before


def test_another_python_is_named_when_it_is_not_there(machine: Machine) -> None:
    assert "/nowhere/python3: cannot be run" in machine.refuses("--python", "/nowhere/python3")


@pytest.mark.parametrize(
    "name",
    [
        "config/edge.yaml",
        "systemd/edge.service",
        "systemd/edge-compile.service",
        "systemd/edge-gpu.conf",
    ],
)
def test_what_it_installs_comes_with_the_package(root: Path, name: str) -> None:
    """A wheel puts them below PREFIX/share, where a program without a checkout looks for them."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["data-files"][
        f"share/edge-monitor/{Path(name).parent}"
    ]
    assert root / name in [file for pattern in patterns for file in root.glob(pattern)]
    assert shipped(name) == (root / name).read_text(encoding="utf-8")


def test_the_real_program_is_installed_and_its_check_decides(
    tmp_path: Path, root: Path, bundle: Bundle, other: Bundle
) -> None:
    machine = Machine(tmp_path)
    machine.package = linked_wheel(tmp_path, here(root))
    machine.installs("--wheels", str(tmp_path), "--bundle", str(bundle.path))
    assert (machine.layout.program / "bin/edge").is_file()
    before = machine.files()
    said = machine.refuses("--wheels", str(tmp_path), "--bundle", str(other.path))
    assert "on the golden window embedding differs by 0.5" in said
    assert machine.files() == before
    assert machine.current == bundle.digest
