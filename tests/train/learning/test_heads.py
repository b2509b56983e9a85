"""Classifiers that are looked up decide as the library's do, and their graphs say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.bundle.heads import Energy, Head
from tests.train.graphs import graph_of
from train.export.export import verify_onnx
from train.learning.classifier import EmbedThenClassify, read_classifier
from train.learning.heads import LEAST_SHARE, fit_elm, fit_forest, fit_neighbours
from train.recipe.classifiers import AnyClassifierSpec, ElmSpec, ForestSpec, KnnSpec


def clusters(
    each: int = 20, classes: int = 4, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors (W, 8) about one direction per class, some of them on the wrong side."""
    rng, labels = np.random.default_rng(seed), np.repeat(np.arange(classes), each)
    points = 1.2 * np.random.default_rng(9).standard_normal((classes, 8))[
        labels
    ] + rng.standard_normal((len(labels), 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


def test_neighbours_vote_as_scikit_learns_do() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    def dudani(distances: NDArray[np.float64]) -> NDArray[np.float64]:
        weight = (distances[:, -1:] - distances) / np.maximum(
            distances[:, -1:] - distances[:, :1], 0.2
        )
        return np.asarray(5 * weight / np.maximum(weight.sum(axis=1, keepdims=True), 1))

    embedding, classes = clusters()
    asked, _ = clusters(seed=1)
    ours = fit_neighbours(embedding, classes, count=4, spec=KnnSpec(k=5, points=10_000), seed=0)(
        torch.from_numpy(asked)
    )
    theirs = KNeighborsClassifier(6, weights=dudani).fit(embedding, classes)
    votes = theirs.predict_proba(asked) * dudani(theirs.kneighbors(asked)[0]).sum(
        axis=1, keepdims=True
    )
    extra = np.exp(ours.numpy()) - votes
    assert (extra > 0).all()
    assert (extra <= 0.5 + 1e-5).all()
    assert (np.count_nonzero(votes, axis=1) > 1).any(), "some windows are disputed"


@pytest.mark.parametrize("scale", [1, 100])
def test_equal_votes_are_scikit_learns_for_embeddings_of_any_length(scale: float) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    embedding, classes = clusters()
    asked, _ = clusters(seed=1)
    spec = KnnSpec(k=7, points=10_000, votes="equal")
    ours = fit_neighbours(embedding * np.float32(scale), classes, count=4, spec=spec, seed=0)(
        torch.from_numpy(asked * np.float32(scale))
    )
    theirs = KNeighborsClassifier(7).fit(embedding, classes).predict_proba(asked)
    extra = np.exp(ours.numpy()) - 7 * theirs
    assert (extra > -1e-5).all()
    assert (extra <= 0.5 + 1e-5).all()
    assert ours.isfinite().all(), "species without a vote are ranked by their nearest point"


def test_votes_do_not_hang_on_the_last_digit() -> None:
    """Of points at nearly one distance, rounding decides which is the fifth: it must not matter."""
    rng = np.random.default_rng(4)
    embedding = np.concatenate([np.eye(8), -np.eye(8)]).astype(np.float32)
    head = fit_neighbours(embedding, np.arange(16) % 4, count=4, spec=KnnSpec(k=5), seed=0)
    asked = np.full((1, 8), 8**-0.5, np.float32)
    near = [asked + rng.uniform(-1e-7, 1e-7, asked.shape).astype(np.float32) for _ in range(20)]
    logits = head(torch.from_numpy(np.concatenate(near))).numpy()
    assert np.ptp(logits, axis=0).max() < 1e-4


def test_a_species_without_a_vote_is_ranked_by_its_nearest_point() -> None:
    embedding, classes = clusters(each=6)
    head = fit_neighbours(embedding, classes, count=4, spec=KnnSpec(k=1), seed=0)
    asked = embedding[:1]
    order = head(torch.from_numpy(asked))[0].argsort(descending=True).tolist()
    nearest = [np.linalg.norm(embedding[classes == c] - asked, axis=1).min() for c in range(4)]
    assert order == np.argsort(nearest).tolist()


def test_points_are_kept_evenly_and_a_rare_species_keeps_what_it_has() -> None:
    embedding, classes = clusters(each=20)
    kept = np.concatenate([np.flatnonzero(classes != 3), [60, 61]])
    head = fit_neighbours(embedding[kept], classes[kept], count=4, spec=KnnSpec(points=40), seed=0)
    assert head.there.sum(dim=1).tolist() == [10, 10, 10, 2]
    assert head(torch.from_numpy(embedding)).isfinite().all()


def test_a_far_window_has_less_energy_than_a_near_one() -> None:
    """What lets the open-set rules on logits work with this head."""
    embedding, classes = clusters()
    head = fit_neighbours(embedding, classes, count=4, spec=KnnSpec(), seed=0)
    asked = np.stack(
        [embedding[0], -embedding.mean(axis=0) / np.linalg.norm(embedding.mean(axis=0))]
    )
    logits = head(torch.from_numpy(asked)).numpy()
    verdicts = Head(activation="softmax", rule=Energy(), threshold=-1.7, scale=0.1)(asked, logits)
    assert verdicts.novelty[0] < verdicts.novelty[1]
    assert verdicts.scores.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_the_forest_is_scikit_learns() -> None:
    from sklearn.ensemble import RandomForestClassifier

    embedding, classes = clusters()
    asked, _ = clusters(seed=1)
    spec = ForestSpec(trees=30, smallest_leaf=2)
    ours = (
        fit_forest(embedding, classes, count=5, spec=spec, seed=3)(torch.from_numpy(asked))
        .exp()
        .numpy()
    )
    theirs = RandomForestClassifier(
        30, min_samples_leaf=2, class_weight="balanced", random_state=3
    ).fit(embedding, classes)
    assert ours[:, :4] - 1e-3 == pytest.approx(theirs.predict_proba(asked), abs=1e-5)
    assert ours[:, 4] == pytest.approx(np.full(len(asked), 1e-3), abs=1e-6), (
        "a species that no tree has seen"
    )


def test_an_extreme_learning_machine_is_a_ridge_regression_of_random_units() -> None:
    from sklearn.linear_model import Ridge

    embedding, classes = clusters()
    asked, truth = clusters(seed=1)
    spec = ElmSpec(hidden=300, ridge=0.5)
    machine = fit_elm(embedding, classes, count=4, spec=spec, seed=3)
    units = machine[:2]
    with torch.no_grad():
        shown, seen = (units(torch.from_numpy(x)).numpy() for x in (embedding, asked))
        ours = machine(torch.from_numpy(asked)).numpy()
    wanted = np.where(np.eye(4)[classes] > 0, 0, np.log(LEAST_SHARE))
    # Each class has as many points as the others, so that all count alike.
    theirs = Ridge(alpha=0.5).fit(shown.astype(np.float64), wanted).predict(seen)
    assert ours == pytest.approx(theirs, abs=1e-2)
    assert (ours.argmax(axis=1) == truth).mean() > 0.8
    other = fit_elm(embedding, classes, count=4, spec=spec, seed=4)
    assert not torch.equal(machine.state_dict()["0.weight"], other.state_dict()["0.weight"])


class Embed(nn.Module):
    """The smallest embedder: (B, 1, 2, 8) -> (B, 8) of unit length."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        summed = x.sum(dim=(1, 2)) - 1
        return nn.functional.normalize(summed, dim=1), summed


def heads() -> list[nn.Module]:
    embedding, classes = clusters()
    return [
        fit_neighbours(embedding, classes, count=4, spec=KnnSpec(), seed=0),
        fit_forest(embedding, classes, count=4, spec=ForestSpec(trees=10), seed=0),
        fit_elm(embedding, classes, count=4, spec=ElmSpec(hidden=50), seed=0),
    ]


SPECS: list[AnyClassifierSpec] = [KnnSpec(), ForestSpec(), ElmSpec(hidden=50)]


@pytest.mark.parametrize(
    ("head", "spec"), list(zip(heads(), SPECS, strict=True)), ids=["neighbours", "forest", "elm"]
)
def test_the_graph_says_what_the_head_says_and_its_state_is_enough(
    head: nn.Module, spec: AnyClassifierSpec
) -> None:
    network = EmbedThenClassify(Embed(), head).eval()
    model = graph_of(network, (1, 2, 8))
    for batch in (1, 5):
        features = np.random.default_rng(batch).random((batch, 1, 2, 8), dtype=np.float32)
        logits = verify_onnx(model, network, features)["logits"]
        assert logits.shape == (batch, 4)
    state: dict[str, Tensor] = head.state_dict()
    read = read_classifier(spec, state, count=4)
    read.load_state_dict(state)
    again = EmbedThenClassify(Embed(), read).eval()
    with torch.no_grad():
        assert again(torch.from_numpy(features))[1].numpy() == pytest.approx(logits, abs=1e-4)
