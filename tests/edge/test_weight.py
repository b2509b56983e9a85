"""What a recorder has to have: below 400 MB, and nothing that only training or benchmarks need.

It is computed from what is installed here, without a network.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.support.weight import closure, weight_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 400e6
# Imported late, and explained where they are missing: the extras mic, tensorrt, plot, archive,
# notify, page and bench.
OPTIONAL = {
    *("av", "pyaudio", "tensorrt", "cuda", "matplotlib", "pyarrow"),
    *("flask", "waitress", "werkzeug", "distributed", "apprise"),
}
ALONE = {"edge/bench/front_end.py": {"librosa"}, "edge/page/clustering.py": {"sklearn"}}


@pytest.fixture
def project(root: Path) -> dict[str, Any]:
    content = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = content["project"]
    return table


def test_the_base_install_stays_below_its_bound(project: dict[str, Any], root: Path) -> None:
    weights = {name: weight_bytes(p) for name, p in closure(project["dependencies"]).items()}
    assert {"numpy", "scipy", "onnxruntime", "pydantic-core", "cffi"} <= set(weights)
    assert all(weights.values()), "a package whose files are not known"
    own = sum(
        file.stat().st_size
        for package in ("edge", "train", "deploy")
        for file in (root / package).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    )
    heaviest = sorted(weights.items(), key=lambda item: -item[1])[:5]
    assert sum(weights.values()) + own < MOST_BYTES, heaviest


def test_librosa_belongs_to_training_tests_and_benchmark(project: dict[str, Any]) -> None:
    assert "librosa" not in closure(project["dependencies"])
    for extra in ("train", "dev", "bench"):
        wanted = project["optional-dependencies"][extra]
        assert any(line.startswith("librosa") for line in wanted), extra


def test_the_device_imports_nothing_but_its_dependencies(
    project: dict[str, Any], root: Path
) -> None:
    """No package by way of another's, either: each of them is named."""
    named = set(closure(project["dependencies"]))
    of_module = packages_distributions()
    for file in (root / "edge").rglob("*.py"):
        allowed = OPTIONAL | ALONE.get(file.relative_to(root).as_posix(), set())
        for module in _imported(file) - allowed - {"edge", *sys.stdlib_module_names}:
            packages = {canonicalize_name(name) for name in of_module.get(module, [])}
            assert packages & named, f"{file.relative_to(root)} imports {module}"


def test_the_commands_work_without_librosa(root: Path, tmp_path: Path) -> None:
    """It, and what comes with it, cannot be imported in this process."""
    blocked = ("librosa", "numba", "llvmlite", "sklearn", "joblib", "pooch")
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "from edge.cli import main; main()"
    )
    wav = tmp_path / "demo.wav"
    for arguments in (["-m", "edge.demo", str(wav)], ["-c", program, "replay", str(wav)]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    bench = [sys.executable, "-c", program, "bench", "--runs", "1", "--minutes", "0.5"]
    without_bundles = {**os.environ, "XDG_DATA_HOME": str(tmp_path), "STATE_DIRECTORY": ""}
    done = subprocess.run(
        bench, cwd=root, env=without_bundles, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "pip install '.[bench]'" in done.stdout
    assert "edge-deploy import birdnet" in done.stdout


def _imported(file: Path) -> set[str]:
    """Return the top-level names that a module imports, late imports included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names
