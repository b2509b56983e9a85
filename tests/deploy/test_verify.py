"""`edge-deploy verify`: what a bundle is, or why it cannot be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from edge.bundle import Bundle
from tests.support.bundles import LABELS, tiny_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


def _verify(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["verify", *arguments])


def test_a_sound_bundle_is_described(bundle: Bundle) -> None:
    result = _verify(str(bundle.path))
    assert result.exit_code == 0
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    facts = {row[0]: row[1] for row in rows}
    assert facts["name"] == "tiny"
    assert facts["digest"] == bundle.digest
    assert facts["labels"] == str(len(LABELS))
    assert "8000 Hz" in facts["frontend"]
    assert {row[1].split()[0] for row in rows if row[0] == "file"} == set(bundle.manifest.files)


def test_quiet_says_nothing_of_a_sound_bundle(bundle: Bundle) -> None:
    result = _verify("--quiet", str(bundle.path))
    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize(
    "name", ["model.onnx", "head.npz", "golden.npz", "MODEL_CARD.md", "manifest.json"]
)
def test_a_damaged_bundle_is_one_line_and_exit_code_2(bundle: Bundle, name: str) -> None:
    file = bundle.path / name
    file.write_bytes(file.read_bytes()[:-5])
    result = _verify(str(bundle.path))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("edge-deploy: ")
    assert result.stderr.count("\n") == 1
    assert name in result.stderr


def test_a_folder_that_is_no_bundle_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = _verify(str(tmp_path))
    assert result.exit_code == 2
    assert "no manifest.json" in result.stderr
