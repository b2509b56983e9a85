"""A study's own species on a network that is there, by the command a person gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.bundle import Bundle, load_bundle
from edge.bundle.top import Top
from edge.cli import main as edge
from tests.support.bundles import choir_bundle
from tests.train.adapting.studies import RATE_HZ, SUNG, clips_of, folder_of, on_trunk, sung
from train.adapting.fitting import fit_linear
from train.corpus.synthesised import synthesised_noise


def recordings_of(root: Path, *, each: int = 8) -> Path:
    """A folder per species and nothing else."""
    for name, hz in SUNG.items():
        clips_of(root / name, hz, each=each)
    return root


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("trunk") / "choir")


def test_a_folder_per_species_becomes_a_head_that_names_them(trunk: Bundle, tmp_path: Path) -> None:
    out = trunk.path.with_name("study")
    result = on_trunk(recordings_of(tmp_path / "data"), trunk, out)
    assert result.exit_code == 0, result.output
    assert "no noise among the recordings" in result.stderr
    head = load_bundle(out)
    rule = head.manifest.animal
    assert rule is not None
    card = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "An unknown is an animal" in card
    assert f"from a score of {rule.threshold:g} on" in card
    assert [label.label for label in head.labels] == sorted(SUNG)
    assert sum(file.stat().st_size for file in out.iterdir()) < 100_000
    assert head.manifest.metrics["macro_f1_per_recording"] > 0.9
    assert head.calibration is not None
    assert "by a head that was fitted without it" in head.calibration.basis[0].method
    card = (out / "MODEL_CARD.md").read_text()
    assert "their own are left out in turn" in card
    assert "3 heads on the same network, to each of which some species are unknown" in card
    assert "| hummer |" in card
    assert (out.with_name("study.report") / "report.md").is_file()
    for name, hz in SUNG.items():
        soundfile.write(tmp_path / "new.wav", sung(hz, 77), RATE_HZ)
        replayed = CliRunner().invoke(
            edge,
            ["replay", "--bundle", str(out), "--format", "jsonl", str(tmp_path / "new.wav")],
        )
        assert replayed.exit_code == 0, replayed.stderr
        lines = [json.loads(line) for line in replayed.stdout.splitlines()]
        assert all("probability" in line for line in lines if line["label"])
        found = [line["label"] for line in lines]
        assert name in found


def test_what_was_heard_once_is_not_heard_again(trunk: Bundle, tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", each=6)
    first = on_trunk(data, trunk, tmp_path / "study")
    assert first.exit_code == 0, first.output
    (kept,) = (tmp_path / "cache").glob("*-0.5")
    stamps = {file: file.stat().st_mtime_ns for file in kept.iterdir()}
    again = on_trunk(data, trunk, tmp_path / "study")
    assert again.exit_code == 0, again.output
    assert {file: file.stat().st_mtime_ns for file in kept.iterdir()} == stamps
    assert again.stdout == first.stdout  # and the head is the same


@pytest.mark.parametrize(
    ("species", "reason"), [(1, "usable recordings of 1 species, two are needed"), (0, "lists no")]
)
def test_what_cannot_be_learnt_is_one_line(
    trunk: Bundle, tmp_path: Path, species: int, reason: str
) -> None:
    data = recordings_of(tmp_path / "data", each=2)
    for name in list(SUNG)[species:]:
        for file in (data / name).iterdir():
            file.unlink()
        (data / name).rmdir()
    result = on_trunk(data, trunk, tmp_path / "study")
    assert result.exit_code == 1
    assert reason in result.stderr
    assert not (tmp_path / "study").exists()


def test_a_head_begins_as_its_trunk_and_learns_what_that_lacks() -> None:
    rng = np.random.default_rng(0)
    directions = np.eye(6, dtype=np.float32)
    species = rng.integers(-1, 3, 400)
    embedding = directions[species] + 0.1 * rng.standard_normal((400, 6)).astype(np.float32)
    logits = np.where(species[:, None] == [0, 1], 4.0, -4.0).astype(np.float32)
    blank = Top(
        weights=np.zeros((6, 3), np.float32),
        bias=np.zeros(3, np.float32),
        gain=1.0,
        own=np.array([0, 1, -1]),
        others=np.zeros(0, np.int64),
    )
    before = blank(embedding, logits)[1]
    assert (before[species == 0].argmax(1) == 0).all()
    assert not (before[species == 2].argmax(1) == 2).all()
    top = fit_linear(blank, embedding, logits, species)
    after = top(embedding, logits)[1]
    known = species >= 0
    assert (after[known].argmax(1) == species[known]).mean() > 0.99
    assert (after[~known].max(1) < 0).mean() > 0.95  # none of these
    assert top.gain > 0


def test_synthesised_noise_is_loud_enough_and_the_same_each_time(tmp_path: Path) -> None:
    first, again = (synthesised_noise(tmp_path / name) for name in ("a", "b"))
    assert len({r.label for r in first}) == 5
    for one, other in zip(first, again, strict=True):
        samples = soundfile.read(one.path)[0]
        np.testing.assert_array_equal(samples, soundfile.read(other.path)[0])
        assert 0.005 < np.abs(samples).max() <= 1
