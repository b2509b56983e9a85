"""The sparse dictionary: its atoms explain what it was learnt of, and its graph says the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.errors import SpecError
from tests.train.graphs import graph_of
from train.export.export import verify_onnx
from train.networks.sparse import SparseDictionary

BANDS = 12


def windows(seed: int, count: int = 12) -> torch.Tensor:
    """Windows (count, 1, BANDS, 20) whose frames are mixtures of two of six chords."""
    chords = np.random.default_rng(0).random((6, BANDS)) > 0.6
    rng = np.random.default_rng(seed)
    frames = np.zeros((count, 20, BANDS))
    for window in frames:
        for frame in window:
            chosen = rng.permutation(6)[:2]
            frame[:] = rng.uniform(0.5, 2, 2) @ chords[chosen] + 0.05 * rng.random(BANDS)
    return torch.from_numpy(frames.transpose(0, 2, 1)[:, None].astype(np.float32))


def learnt() -> SparseDictionary:
    torch.manual_seed(0)
    network = SparseDictionary(1, BANDS, bases=10, sparsity=0.2)
    network.start(windows(1), np.random.default_rng(2))
    return network.eval()


def test_atoms_lie_nearer_to_frames_than_frames_at_random_do() -> None:
    network, heard = learnt(), windows(3)
    assert network.whitened
    assert network.bases.norm(dim=1).tolist() == pytest.approx([1.0] * 10, abs=1e-5)
    after = network.learn(heard)
    with torch.no_grad():
        network.bases.copy_(torch.nn.functional.normalize(torch.randn(10, BANDS), dim=1))
    assert after > network.learn(heard) + 0.05


def test_a_window_is_the_mean_and_deviation_of_its_thresholded_products() -> None:
    network, heard = learnt(), windows(4, count=3)
    frames = heard[:, 0].transpose(1, 2).numpy()
    white = (frames - network.mean.numpy()) @ network.whiten.numpy()
    white /= np.linalg.norm(white, axis=2, keepdims=True)
    codes = np.maximum(np.abs(white @ network.bases.detach().numpy().T) - 0.2, 0)
    assert 0.05 < (codes > 0).mean() < 0.95, "some are silent, or this shows nothing"
    expected = np.concatenate([codes.mean(axis=1), np.maximum(codes.std(axis=1), 1e-4)], axis=1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    with torch.no_grad():
        assert network(heard)[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_its_graph_says_the_same() -> None:
    network = learnt()
    model = graph_of(network, (1, BANDS, 20))
    assert verify_onnx(model, network, windows(5, count=3).numpy())["embedding"].shape == (3, 20)


def test_a_threshold_that_silences_all_is_refused() -> None:
    with pytest.raises(SpecError, match=r"sparsity 1 is outside 0\.\.1"):
        SparseDictionary(1, BANDS, sparsity=1)
