"""The kinds of head: what they learn, how they are stored, and which is taken."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import Bundle, load_bundle
from edge.bundle.top import BOUND, Layer, Top, top_of
from tests.support.bundles import choir_bundle
from tests.train.adapting.studies import adapt, clips_of, folder_of, on_trunk
from train.adapting.context import with_context
from train.adapting.fitting import cross_entropy, fit_column, fit_linear
from train.adapting.hidden import fit_hidden
from train.adapting.metric import fit_triplet
from train.adapting.targets import NONE, allowed, is_not, weights_of
from train.adapting.tops import KINDS, fit_kind

DIMENSIONS, LABELS = 8, 4


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("trunk") / "choir")


def blank_top(**changes: object) -> Top:
    values = {
        "weights": np.zeros((DIMENSIONS, LABELS), np.float32),
        "bias": np.zeros(LABELS, np.float32),
        "gain": 1.0,
        "own": np.array([0, -1, -1, -1]),
        "others": np.array([1, 2]),
    }
    return Top(**{**values, **changes})  # type: ignore[arg-type]


Windows = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]


def windows(count: int = 600) -> Windows:
    """Windows whose species 0 the trunk knows, 1 and 2 it takes for its own 1 and 2, 3 it lacks."""
    rng = np.random.default_rng(0)
    species = rng.integers(-1, LABELS, count)
    embedding = np.eye(DIMENSIONS)[species] + 0.15 * rng.standard_normal((count, DIMENSIONS))
    logits = np.where(species[:, None] == np.arange(3), 3.0, -5.0)
    return embedding.astype(np.float32), logits.astype(np.float32), species


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_learns_what_its_trunk_lacks_and_survives_its_file(kind: str) -> None:
    embedding, logits, species = windows()
    blank = with_context(blank_top(), logits, species)
    top = fit_kind(kind)(blank, embedding, logits, species)
    found = top(embedding, logits)[1]
    known = species >= 0
    assert (found[known].argmax(1) == species[known]).mean() > 0.98
    assert (found[~known].max(1) < 0).mean() > 0.9
    stored = top_of(top.as_arrays(), labels=LABELS, dimensions=DIMENSIONS, trunk_labels=3)
    for one, other in zip(stored(embedding, logits), top(embedding, logits), strict=True):
        np.testing.assert_array_equal(one, other)
    again = fit_kind(kind)(blank, embedding, logits, species)
    np.testing.assert_array_equal(again(embedding, logits)[1], found)


def test_distances_of_a_metric_embedding_tell_labels_apart() -> None:
    embedding, logits, species = windows()
    top = fit_triplet(blank_top(), embedding, logits, species)
    looked_at, _ = top(embedding, logits)
    assert looked_at.shape == (len(embedding), 128 + 2)
    rows = looked_at[:, :-2]
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    distance = np.linalg.norm(rows[:200, None] - rows[None, :200], axis=2)
    same = species[:200, None] == species[None, :200]
    known = (species[:200] >= 0)[:, None] & (species[:200] >= 0)[None]
    assert distance[same & known].mean() < 0.5 * distance[~same & known].mean()


def test_heads_of_65_labels_stay_small() -> None:
    """On a trunk like BirdNET: 1,024 dimensions and 6,522 labels."""
    rng = np.random.default_rng(0)

    def rows(*shape: int) -> NDArray[np.float32]:
        return rng.standard_normal(shape).astype(np.float16).astype(np.float32)

    def layer(inputs: int, outputs: int) -> Layer:
        return Layer.rounded(rows(inputs, outputs), rows(outputs))

    wide = {"bias": rows(65), "context": np.arange(195), "own": np.arange(65)}
    plain = blank_top(weights=rows(1024 + 195, 65), **wide)
    hidden = blank_top(weights=rows(64, 65), hidden=layer(1024 + 195, 64), **wide)
    metric = blank_top(
        weights=rows(64, 65), metric=layer(1024, 128), hidden=layer(128 + 195, 64), **wide
    )
    for top in (plain, hidden, metric):
        assert sum(array.nbytes for array in top.as_arrays().values()) < 340_000


def test_what_is_only_said_not_to_be_a_label_may_be_all_else() -> None:
    species = np.array([1, NONE, is_not(2)])
    mask = allowed(species, 3)
    assert mask.tolist() == [
        [False, True, False, False],
        [False, False, False, True],
        [True, True, False, True],
    ]
    z = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 3.0]])
    value, slope = cross_entropy(z, mask, np.ones(3))
    other = np.column_stack([z, np.zeros(3)])
    chance = np.exp(other) / np.exp(other).sum(1, keepdims=True)
    assert value == pytest.approx(-np.log((chance * mask).sum(1)).sum())
    step = 1e-6
    moved = z.copy()
    moved[2, 2] += step
    assert slope[2, 2] == pytest.approx(
        (cross_entropy(moved, mask, np.ones(3))[0] - value) / step, abs=1e-4
    )


def test_labels_weigh_the_same_however_many_windows_they_have() -> None:
    species = np.array([0] * 40 + [1] * 10 + [NONE] * 7)
    weight = weights_of(species, 2)
    assert weight[species == 0].sum() == pytest.approx(weight[species == 1].sum())
    assert weight[species == NONE].sum() == pytest.approx(weight[species >= 0].sum() / 2)


@pytest.mark.parametrize("fit", [fit_linear, fit_hidden])
def test_a_column_is_learnt_while_the_others_stay(fit: object) -> None:
    embedding, logits, species = windows()
    there = np.where(species == 3, NONE, species)
    top = fit(with_context(blank_top(), logits, there), embedding, logits, there)  # type: ignore[operator]
    weights, bias = fit_column(top, embedding, logits, species, column=3)
    changed = dataclasses.replace(
        top,
        weights=np.column_stack([top.weights[:, :3], weights]),
        bias=np.append(top.bias[:3], np.float32(bias)),
    )
    before, after = (t(embedding, logits)[1] for t in (top, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (after[species == 3].argmax(1) == 3).mean() > 0.95
    assert (after[species != 3].argmax(1) == 3).mean() < 0.3  # NONE has no column of its own
    known = (species >= 0) & (species != 3)
    assert (after[known].argmax(1) == species[known]).mean() > 0.95


def test_the_context_is_what_stands_out() -> None:
    _, logits, species = windows()
    noise = np.random.default_rng(1).standard_normal((len(logits), 20)).astype(np.float32)
    wide = np.column_stack([logits, noise])
    found = with_context(blank_top(), wide, np.where(species == 3, NONE, species)).context
    assert {0, 1, 2} <= set(found.tolist())
    assert len(found) <= 9
    assert BOUND > 0


def test_the_best_kind_is_taken_and_the_card_says_of_which(trunk: Bundle, tmp_path: Path) -> None:
    out = trunk.path.with_name("study")
    result = on_trunk(folder_of(tmp_path / "data", each=6), trunk, out, "--head", "best")
    assert result.exit_code == 0, result.output
    for kind in KINDS:
        assert f"fitting: {kind}" in result.stderr
    card = (out / "MODEL_CARD.md").read_text()
    assert "## Kinds of head" in card
    assert all(f"| {kind} |" in card for kind in KINDS)
    assert len(load_bundle(out).labels) == 3
    clips = clips_of(tmp_path / "beeper", 1300.0, each=3)
    added = adapt("--add", "beeper", *clips, "--to", out)
    assert added.exit_code == 0, added.output
    assert "3 of 3 are named" in added.stdout
