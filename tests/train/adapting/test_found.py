"""What a search has found in a dataset teaches a head a species."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from edge.bundle import load_bundle
from edge.cli import main as edge
from tests.support.bundles import choir_bundle
from tests.train.adapting.studies import adapt, clips_of, folder_of, on_trunk

BEEPER_HZ = 1300.0  # the trunk lacks it


def archive(*arguments: object) -> str:
    result = CliRunner().invoke(edge, ["archive", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stderr


def test_examples_of_a_search_are_learnt_from(tmp_path: Path) -> None:
    trunk = choir_bundle(tmp_path / "choir")
    head = tmp_path / "made"
    assert on_trunk(folder_of(tmp_path / "data"), trunk, head).exit_code == 0
    beeper, *_ = clips_of(tmp_path / "beeper", BEEPER_HZ, each=6)
    clips_of(tmp_path / "others" / "whiner", 2000.0, each=3, first=90)
    dataset, found = tmp_path / "dataset", tmp_path / "found"
    heard = (beeper.parent, tmp_path / "others", "--out", dataset, "--bundle", trunk.path)
    archive("hear", *heard, "--hop-s", 0.5, "--embeddings", "float16")
    wanted = (beeper, "--at", 2, "--bundle", trunk.path, "--top", 18)
    said = archive("search", dataset, *wanted, "--format", "examples", "--out", found)
    assert f"edge-train adapt --to HEAD --add LABEL {found}/*.wav" in said
    clips = sorted(found.glob("*.wav"))
    assert 6 <= len(clips) < 18  # none shares sound with another
    assert all("beeper" in clip.name for clip in clips)
    added = adapt("--add", "beeper", *clips, "--to", head)
    assert added.exit_code == 0, added.output
    assert f"beeper was added from {len(clips)} clips" in added.stdout
    assert "left out" not in added.stdout
    assert "beeper" in [label.label for label in load_bundle(head).labels]
