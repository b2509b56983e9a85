"""What holds for every inference engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.backends.base import Backend
from edge.backends.onnx import OnnxBackend
from edge.errors import BackendError
from edge.types import Array
from tests.support.backends import FixedBackend
from tests.support.bundles import LABELS, SPEC, tiny_bundle

Make = Callable[[Path], Backend]

BACKENDS: dict[str, Make] = {
    "onnx": lambda folder: OnnxBackend(tiny_bundle(folder / "tiny").model_path),
    "fixed": lambda folder: FixedBackend(channels=SPEC.shape[0], n_mels=SPEC.shape[1], labels=len(LABELS)),
}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return BACKENDS[request.param](tmp_path)


def features(batch: int) -> Array:
    return np.random.default_rng(0).random((batch, *SPEC.shape), np.float32)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_outputs_have_a_row_for_each_window(backend: Backend, batch: int) -> None:
    embedding, logits = backend.infer(features(batch))
    assert embedding.ndim == 2
    assert len(embedding) == batch
    assert logits.shape == (batch, len(LABELS))
    assert embedding.dtype == logits.dtype == np.float32


def test_embeddings_have_length_one(backend: Backend) -> None:
    embedding, _ = backend.infer(features(3))
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)


def test_equal_input_gives_bit_equal_output(backend: Backend) -> None:
    first = [part.copy() for part in backend.infer(features(2))]
    second = backend.infer(features(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_input_is_left_alone(backend: Backend) -> None:
    given = features(1)
    backend.infer(given)
    np.testing.assert_array_equal(given, features(1))


def test_features_of_another_shape_are_a_backend_error(backend: Backend) -> None:
    with pytest.raises(BackendError):
        backend.infer(features(1)[:, :, :-1])
