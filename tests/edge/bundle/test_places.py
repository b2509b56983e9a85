"""The words that people call bundles by: folders, names, and TRUNK+HEAD of both."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from deploy.cli import main as deploy
from edge.bundle import Bundle, Label, load_bundle, load_bundles
from edge.bundle.places import named_bundle
from edge.bundle.signature import public_key
from edge.cli import main
from edge.errors import BundleError
from edge.models import default_bundle_path
from tests.support.bundles import LABELS, choir_bundle, tiny_bundle
from tests.support.heads import tiny_head
from tests.support.keys import key_pair


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of installed bundles, with a trunk and a head that stands on it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "data" / "edge-monitor" / "bundles"
    folder.mkdir(parents=True)
    tiny_head(folder / "garden", choir_bundle(folder / "choir"), {LABELS[0]: 0})
    return folder


@pytest.fixture
def elsewhere(folders: Path, tmp_path: Path) -> Path:
    """A head that is not installed, in a folder with a + in its name; nor is its trunk."""
    plus = tmp_path / "a+b"
    plus.mkdir()
    low = choir_bundle(tmp_path / "trunks" / "low", label_thresholds={"low_hummer": 0.2})
    shutil.rmtree(folders / "choir")
    head = tiny_head(plus / "one+two", low, {LABELS[0]: 0, LABELS[2]: 2})
    return head.path


def info(word: object) -> Result:
    return CliRunner().invoke(main, ["info", "--bundle", str(word)])


def refused(word: object) -> str:
    result = info(word)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_head_is_found_on_its_trunk_by_names_and_folders(folders: Path) -> None:
    garden = load_bundle(folders / "garden")
    for word in (
        "choir+garden",
        f"{folders}/choir+garden",
        f"choir+{folders}/garden",
        f"{folders}/choir+{folders}/garden",
        "garden",
    ):
        loaded = load_bundle(named_bundle(word))
        assert loaded.digest == garden.digest
        assert loaded.path == folders / "garden"
        assert loaded.trunk is not None
        assert loaded.trunk.path == folders / "choir"


def test_what_several_stand_on_is_in_memory_once(folders: Path, elsewhere: Path) -> None:
    low = elsewhere.parents[1] / "trunks" / "low"
    both = Path(f"{low}+{elsewhere}")
    for words in (
        [low, elsewhere],  # which alone does not find it
        [both, low, elsewhere],
        [both, both],
    ):
        loaded = load_bundles(words)
        heads = [bundle for bundle in loaded if bundle.trunk is not None]
        whole = [bundle for bundle in loaded if bundle.trunk is None and bundle.path == low]
        assert len({id(bundle) for bundle in (*whole, *(head.trunk for head in heads))}) == 1
    with pytest.raises(BundleError, match="is a head on the network"):
        load_bundles([elsewhere, low])  # what comes later is not known yet


def test_what_is_there_as_it_is_written_wins(folders: Path, elsewhere: Path) -> None:
    trunk = elsewhere.parents[1] / "trunks" / "low"
    assert "no bundle in" in refused(elsewhere)
    word = f"{trunk}+{elsewhere}"
    assert load_bundle(word).path == elsewhere
    plus = tiny_bundle(folders / "choir+garden")
    assert load_bundle(named_bundle("choir+garden")).digest == plus.digest
    inside = tiny_bundle(elsewhere.parent / "plain")
    assert load_bundle(inside.path).digest == inside.digest
    missing = elsewhere.parent / "missing"
    assert f"{missing}: not a bundle" in refused(missing)


def test_default_is_a_trunk_as_any_other(tmp_path: Path, folders: Path) -> None:
    default = load_bundle(default_bundle_path())
    head = tiny_head(tmp_path / "mine", default, {Label(label="x", common_name="X"): -1})
    assert load_bundle(named_bundle(f"default+{head.path}")).trunk_digest == default.trunk_digest


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("default+garden", "garden: is a head on the network"),
        ("choir+choir", "choir: is no head: it has a network of its own; name it alone"),
        ("garden+garden", "garden: is a head itself, and no network of a head"),
        ("choir+nobody", "nobody: there is no such folder, and no bundle of this name in"),
        ("nobody+garden", "nobody: there is no such folder, and no bundle of this name in"),
        ("nobody+nothing", "nobody+nothing: there is no such folder"),
        ("choir+/nowhere/garden", "/nowhere/garden: not a bundle"),
        ("/nowhere+garden", "/nowhere: not a bundle"),
        ("choir+", "choir+: there is no such folder"),
        ("+garden", "+garden: not a bundle"),
        ("choir+garden+garden", "garden: not a bundle"),
    ],
)
def test_two_that_are_no_trunk_and_head_are_one_line(folders: Path, word: str, reason: str) -> None:
    assert reason in refused(word)


def test_both_are_shown_proved_and_the_head_is_signed(folders: Path, tmp_path: Path) -> None:
    key = key_pair(tmp_path)
    run = CliRunner()
    signed = run.invoke(deploy, ["sign", "choir+garden", "--key", str(key.private)])
    assert signed.exit_code == 0, signed.output
    garden = load_bundle(named_bundle("choir+garden"), trusted=[public_key(key.text)])
    trunk = load_bundle(folders / "choir")
    assert trunk.signature is None
    said = info("choir+garden").stdout
    verified = run.invoke(deploy, ["verify", "choir+garden", "--key", key.text]).stdout
    for text in (said, verified):
        for shown in (garden.digest, trunk.digest, trunk.trunk_digest, str(trunk.path)):
            assert shown in text
    assert all(name in verified for name in ("top.npz", "model.onnx"))
    (folders / "choir" / "model.onnx").write_bytes(b"another")
    broken = run.invoke(deploy, ["verify", "choir+garden"])
    assert broken.exit_code == 2
    assert "model.onnx: is damaged" in broken.stderr


def test_a_head_of_65_labels_has_at_most_400_kb(tmp_path: Path) -> None:
    trunk = _wide(choir_bundle(tmp_path / "choir"), dimensions=1024)
    labels = tuple(
        Label(label=f"bird_{i}", common_name=f"Bird {i}", scientific_name=f"Avis numero{i}")
        for i in range(65)
    )
    head = tiny_head(
        tmp_path / "garden",
        trunk,
        dict.fromkeys(labels, -1),
        weights=np.random.default_rng(0).standard_normal((1024, 65), np.float32),
        card="# Garden\n" + "| a row of the card |\n" * 1500,  # 31 kB, as that of 65 species has
    )
    assert sum(file.stat().st_size for file in head.path.iterdir()) <= 400_000


def _wide(trunk: Bundle, *, dimensions: int) -> Bundle:
    """Return a trunk whose golden window has a wider embedding; nothing else is looked at."""
    embedding = np.full(dimensions, 0.01, np.float32)
    golden = dataclasses.replace(trunk.golden, embedding=embedding)
    network = dataclasses.replace(trunk.networks["fp32"], golden=golden)
    return dataclasses.replace(trunk, networks={"fp32": network})


def test_a_name_is_no_way_out_of_the_folders(folders: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        load_bundle(named_bundle("../choir"))
