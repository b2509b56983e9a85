"""What a recorder gets: the wheel of this project in an environment that has its base dependencies
and no PyTorch.

`make replay` makes that environment, and so does this; a wheel laid over it proves that the
checkout is not needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.bundles import SPEC, tiny_bundle, tone

PACKAGES = ("edge", "train", "deploy")


@pytest.fixture(scope="module")
def base_environment(root: Path) -> Path:
    """The folder of commands of an environment without the extras; made once, found again by its
    stamp.
    """
    subprocess.run(["bash", ".ci/setup.sh", ".venv"], cwd=root, check=True, timeout=1200)
    return root / ".venv" / "bin"


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the project, built from a copy because setuptools leaves its traces beside the
    source.
    """
    copy = tmp_path_factory.mktemp("source")
    for folder in (*PACKAGES, "config", "systemd"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / file, copy)
    built = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-qq",
        "--no-deps",
        "--wheel-dir",
        str(built),
        str(copy),
    ]
    subprocess.run(command, check=True, timeout=600)
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def _run(command: Sequence[str | Path], cwd: Path, site: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    environment["PYTHONPATH"] = str(site)
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_pytorch_is_not_there(base_environment: Path, installed: Path, tmp_path: Path) -> None:
    result = _run([base_environment / "python", "-c", "import torch"], tmp_path, installed)
    assert "No module named 'torch'" in result.stderr


def test_the_wheel_is_what_runs(base_environment: Path, installed: Path, tmp_path: Path) -> None:
    result = _run(
        [base_environment / "python", "-c", "import edge; print(edge.__file__)"],
        tmp_path,
        installed,
    )
    assert result.stdout.strip() == str(installed / "edge" / "__init__.py")


def test_edge_explains_itself(base_environment: Path, installed: Path, tmp_path: Path) -> None:
    result = _run([base_environment / "edge", "--help"], tmp_path, installed)
    assert result.returncode == 0, result.stderr
    assert "replay" in result.stdout


def test_edge_replays_a_file(base_environment: Path, installed: Path, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny")
    samples = np.concatenate(
        [np.zeros(16_000, np.float32), tone(1000.0, 4.0), np.zeros(16_000, np.float32)]
    )
    soundfile.write(tmp_path / "call.wav", samples, SPEC.sample_rate_hz)
    command: list[str | Path] = [
        base_environment / "edge",
        "replay",
        "call.wav",
        "--bundle",
        bundle.path,
        "--format",
        "jsonl",
    ]
    result = _run(command, tmp_path, installed)
    assert result.returncode == 0, result.stderr
    assert "mid_whistler" in {json.loads(line)["label"] for line in result.stdout.splitlines()}


@pytest.mark.parametrize("command", ["edge-train", "edge-deploy"])
def test_the_other_commands_explain_themselves(
    base_environment: Path, installed: Path, tmp_path: Path, command: str
) -> None:
    result = _run([base_environment / command, "--help"], tmp_path, installed)
    assert result.returncode == 0, result.stderr
    assert "Usage" in result.stdout


def test_the_wheel_carries_types_and_the_shipped_models(root: Path, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    models = (
        file
        for file in (root / "edge" / "models").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
    shipped = {str(file.relative_to(root)) for file in models}
    assert shipped <= names
    assert not [name for name in names if name.startswith("tests")]
