"""`edge-deploy verify` and `sign`: what a bundle is and whose, or why it cannot be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from edge.bundle import Bundle
from tests.support.bundles import LABELS, tiny_bundle
from tests.support.keys import key_pair
from tests.support.strangers import resealed


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


def test_a_bundle_with_names_that_lead_elsewhere_is_refused(bundle: Bundle) -> None:
    resealed(bundle.path, lambda m: m["files"].update({"../../x": "0" * 64}))
    result = _verify(str(bundle.path))
    assert result.exit_code == 2
    assert "lists '../../x', which is no file of this bundle" in result.stderr


def test_a_bundle_is_signed_and_its_signature_verified(bundle: Bundle, tmp_path: Path) -> None:
    ours, theirs = key_pair(tmp_path, "ours"), key_pair(tmp_path, "theirs")
    unsigned = _verify("--key", ours.text, str(bundle.path))
    assert unsigned.exit_code == 2
    assert "is not signed" in unsigned.stderr
    assert "signed     no" in _verify(str(bundle.path)).stdout
    signing = ["sign", str(bundle.path), "--key", str(ours.private)]
    signed = CliRunner().invoke(main, signing)
    assert signed.exit_code == 0, signed.output
    assert f"model.trusted_keys: ['{ours.text}']" in signed.stdout
    for key in (ours.text, str(ours.public)):
        result = _verify("--key", theirs.text, "--key", key, str(bundle.path))
        assert result.exit_code == 0
        assert f"with the key {ours.text}" in result.stdout
    foreign = _verify("--key", theirs.text, str(bundle.path))
    assert foreign.exit_code == 2
    assert "not trusted here" in foreign.stderr


def test_a_key_that_is_none_is_one_line(bundle: Bundle) -> None:
    for arguments in (
        ["verify", str(bundle.path), "--key", "/nowhere"],
        ["sign", str(bundle.path), "--key", "/nowhere"],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("edge-deploy: '/nowhere': cannot be read as a key")
        assert result.stderr.count("\n") == 1
