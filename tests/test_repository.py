"""What may be in the repository: no recordings, nothing of the machine it was written on, no
overgrown files.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

AUDIO = {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".aif", ".aiff", ".opus", ".wma"}
LINES = {"edge": 250, "train": 250, "deploy": 250, "tests": 400, ".ci": 150}
FUNCTION_LINES = 40
LARGEST_KB = 8_000  # a shipped model; everything else is text
TOP_LEVEL = {"config", "deploy", "docs", "edge", "systemd", "tests", "train"}
TOP_LEVEL_FILES = {
    *(".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile"),
    *("README.md", "pyproject.toml"),
}
# Spelt in pieces, so that this file does not hold what it forbids.
HOME = re.compile(r"(?<![\w.])/" + r"(home|root|work|Users|mnt|media)/\w+")
REGISTRIES = (
    "pypi\\." + "org",
    "python" + "hosted\\.org",
    "deb\\." + "debian\\.org",
    "npm" + "js\\.org",
)
REGISTRY = re.compile("|".join(REGISTRIES))


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    """Every file under version control that is in the working tree, relative to the checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    ).stdout.decode()
    return [Path(name) for name in listing.split("\0") if name and (root / name).is_file()]


def _text(file: Path) -> str:
    """What a text file holds; nothing for a binary one."""
    content = file.read_bytes()
    return "" if b"\0" in content[:4096] else content.decode("utf-8")


def test_no_audio_is_tracked(tracked: list[Path]) -> None:
    assert not [file for file in tracked if file.suffix.lower() in AUDIO]


@pytest.mark.parametrize(
    "forbidden", [HOME, REGISTRY], ids=["paths of a machine", "hosts of package registries"]
)
def test_nothing_of_one_machine_is_tracked(
    root: Path, tracked: list[Path], forbidden: re.Pattern[str]
) -> None:
    found = {
        str(file): match.group()
        for file in tracked
        if (match := forbidden.search(_text(root / file)))
    }
    assert not found


def test_files_stay_small(root: Path, tracked: list[Path]) -> None:
    assert not [file for file in tracked if (root / file).stat().st_size > LARGEST_KB * 1000]


def test_modules_do_one_thing(root: Path, tracked: list[Path]) -> None:
    lines = {file: len(_text(root / file).splitlines()) for file in tracked if file.suffix == ".py"}
    assert not {str(file): n for file, n in lines.items() if n > LINES.get(file.parts[0], 100)}


def test_functions_fit_on_a_screen(root: Path, tracked: list[Path]) -> None:
    long: dict[str, int] = {}
    for file in tracked:
        if file.suffix == ".py" and file.parts[0] in ("edge", "train", "deploy"):
            for node in ast.walk(ast.parse(_text(root / file))):
                if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                    long[f"{file}: {node.name}"] = node.end_lineno - node.lineno + 1
    assert not {name: lines for name, lines in long.items() if lines > FUNCTION_LINES}


def test_the_top_level_is_the_house(tracked: list[Path]) -> None:
    folders = {
        file.parts[0]
        for file in tracked
        if len(file.parts) > 1 and not file.parts[0].startswith(".")
    }
    assert folders <= TOP_LEVEL
    files = {file.name for file in tracked if len(file.parts) == 1}
    assert files <= TOP_LEVEL_FILES


def test_every_script_names_a_function_that_is_there(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for target in project["scripts"].values():
        module, _, function = target.partition(":")
        assert f"def {function}(" in (root / f"{module.replace('.', '/')}.py").read_text(
            encoding="utf-8"
        )


def test_pytorch_is_for_training_only(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert not [
        need
        for need in project["dependencies"]
        if need.startswith(("torch", "onnxscript", "scikit-learn"))
    ]
    assert "torch==2.13.0" in project["optional-dependencies"]["train"]
