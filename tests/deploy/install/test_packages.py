"""The lock of all packages: it is what pyproject.toml asks for, and nothing else is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from deploy.install.packages import Pip
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
# Of the board, which brings it itself: JetPack.
NOT_LOCKED = {"tensorrt"}
Entry = tuple[Requirement, list[str]]


def entries(lock: Path) -> list[Entry]:
    """Each package of a file of the lock, with its hashes."""
    text = lock.read_text(encoding="utf-8")
    found = re.findall(r"^([a-z0-9].*?)((?: \\\n +--hash=\S+)+)$", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^[^#\s]", text, re.MULTILINE)), lock
    return [(Requirement(pin), re.findall(r"--hash=(\S+)", rest)) for pin, rest in found]


def on(python: str, machine: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def versions(lock: list[Entry], environment: dict[str, str]) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for pin, _ in lock:
        if pin.marker is None or pin.marker.evaluate({**environment, "extra": ""}):
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            found.setdefault(pin.name, set()).add(Version(specifier.version))
    return found


@pytest.fixture(scope="module")
def project(root: Path) -> Any:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "config/lock"


def test_every_package_has_its_hashes_and_no_place(folder: Path) -> None:
    locks = sorted(folder.glob("*.txt"))
    assert locks
    for lock in locks:
        for pin, hashes in entries(lock):
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), pin
        assert "://" not in lock.read_text(encoding="utf-8")
        assert "--index" not in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_lock_is_what_the_project_asks_for(
    project: Any, folder: Path, python: str, machine: str
) -> None:
    """`make lock` has been run since a dependency was added or its bound was raised."""
    environment = on(python, machine)
    base, torch = entries(folder / "base.txt"), entries(folder / "torch.txt")
    extras = project["project"]["optional-dependencies"]
    wanted = {"base": project["project"]["dependencies"], "build": ["setuptools>=77"]}
    wanted |= {extra: extras[extra] for extra in extras if extra not in NOT_LOCKED}
    for name, requirements in wanted.items():
        # torch.txt has more than one Python's file where a name stands twice.
        lock = [*base, *entries(folder / f"{name}.txt"), *(torch if name == "train" else ())]
        chosen = versions(lock, environment)
        for asked in map(Requirement, requirements):
            if asked.marker is None or asked.marker.evaluate({**environment, "extra": ""}):
                found = chosen.get(asked.name.lower(), set())
                assert len(found) == 1, f"{name}.txt: {asked.name}: {found}; run `make lock`"
                assert asked.specifier.contains(found.pop()), f"{asked}: run `make lock`"


def test_every_extra_has_its_lock(project: Any, folder: Path) -> None:
    extras = project["project"]["optional-dependencies"].keys() - NOT_LOCKED
    assert {lock.stem for lock in folder.glob("*.txt")} == extras | {
        *("base", "build", "torch", "torch-cpu", "cuda12", "cuda13")
    }


def test_torch_without_cuda_is_the_one_that_is_pinned(project: Any, folder: Path) -> None:
    (torch,) = [p for p in project["project"]["optional-dependencies"]["train"] if "torch==" in p]
    assert [str(pin) for pin, _ in entries(folder / "torch-cpu.txt")] == [f"{torch}+cpu"]
    assert torch in [str(pin) for pin, _ in entries(folder / "torch.txt")]


def test_the_set_up_and_the_check_use_the_lock(root: Path) -> None:
    setup = (root / ".ci/setup.sh").read_text(encoding="utf-8")
    installs = re.findall(r"pip install .*", setup)
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    assert ".ci/audit.py" in (root / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("python", PYTHONS)
def test_a_board_finds_every_package_ready_built(folder: Path, python: str, tmp_path: Path) -> None:
    built_there = ("mic", "cuda12", "torch-cpu")  # PyAudio; and what another file stands in for
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-cache", "--dry-run"]
    command += [
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--target",
        str(tmp_path),
    ]
    command += ["--python-version", python, "--python-platform", "aarch64-manylinux_2_28"]
    for lock in sorted(folder.glob("*.txt")):
        if lock.stem not in built_there:
            command += ["-r", str(lock)]
    subprocess.run(command, check=True)


def wheel(folder: Path, name: str, locks: dict[str, str], *, version: str = "1.0") -> Path:
    """Write a wheel that has nothing in it but a lock."""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    place = f"{name}-{version}.data/data/share/edge-monitor/config/lock"
    files |= {f"{place}/{lock}.txt": text for lock, text in locks.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": "".join(f"{f},,\n" for f in files)}.items():
            archive.writestr(path, text)
    return file


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(path)], check=True, capture_output=True)
    return path


def digest(file: Path) -> str:
    from edge.bundle.digest import sha256_of

    return sha256_of(file.read_bytes())


def test_only_what_the_lock_knows_is_installed(venv: Path, tmp_path: Path) -> None:
    wheels, scratch = tmp_path / "wheels", tmp_path / "scratch"
    wheels.mkdir()
    scratch.mkdir()
    needed = wheel(wheels, "needed", {})
    pip = Pip(venv, wheels)

    def program(lock: str) -> str:
        locks = {"build": "# none\n", "base": lock, "mic": ""}
        return str(wheel(tmp_path, "program", locks))

    for lock in ("needed==1.0\n", f"needed==1.0 --hash=sha256:{'0' * 64}\n"):
        with pytest.raises(ConfigError, match=r"(?i)hash"):
            pip.install(program(lock), ["mic"], scratch)
    assert not list(venv.glob("lib/*/site-packages/program-*"))
    pip.install(program(f"needed==1.0 --hash=sha256:{digest(needed)}\n"), ["mic"], scratch)
    assert list(venv.glob("lib/*/site-packages/program-*"))
    assert list(venv.glob("lib/*/site-packages/needed-*"))


def test_a_package_without_a_lock_is_refused(venv: Path, tmp_path: Path) -> None:
    for package in (wheel(tmp_path, "program", {}), tmp_path):
        with pytest.raises(ConfigError, match="has no lock of the packages it needs"):
            Pip(venv, tmp_path).install(str(package), ["mic"], tmp_path)
