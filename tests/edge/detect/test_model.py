"""A window to a prediction, the health gate, and the self-test on the golden window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.detect.decision import TOP, best
from edge.detect.engines import load_model
from edge.detect.model import Model
from edge.errors import BundleError
from edge.types import Array, Window
from tests.support.audio import noise
from tests.support.backends import FixedBackend
from tests.support.bundles import LABELS, SPEC, tiny_bundle, tone


def window(samples: Array) -> Window:
    return Window(
        start_sample=80,
        end_sample=80 + len(samples),
        samples=samples,
        sample_rate_hz=SPEC.sample_rate_hz,
    )


def test_a_known_sound_is_named(bundle: Bundle) -> None:
    p = load_model(bundle).predict(window(tone(3000, 1)))
    assert p.label == p.nearest == p.top[0].label == "high_peeper"
    assert p.score == p.top[0].score > 0.9
    assert p.novelty < 0.5
    assert (p.start_sample, p.end_sample) == (80, 8080)
    assert p.embedding.shape == (SPEC.n_mels,)
    assert p.scores.shape == (len(LABELS),)


def test_an_unknown_sound_is_rejected_and_compared(bundle: Bundle) -> None:
    p = load_model(bundle).predict(window(noise(1)))
    assert p.label is None
    assert p.nearest == p.top[0].label
    assert p.novelty > 0.5


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_gated_window_is_not_shown_to_the_network(bundle: Bundle, level: float) -> None:
    class Counting(FixedBackend):
        """Counts, and passes the self-test."""

        def infer(self, features: Array) -> tuple[Array, Array]:
            self.calls += 1
            return bundle.golden.embedding[None], bundle.golden.logits[None]

    backend = Counting(channels=1, n_mels=SPEC.n_mels, labels=len(LABELS))
    model = Model(bundle, backend)
    before = backend.calls
    p = model.predict(window(np.full(SPEC.window_samples, level, np.float32)))
    assert backend.calls == before
    assert (p.label, p.nearest, p.score, p.novelty, p.top) == (None, None, 0.0, 1.0, ())


def test_a_bundle_that_answers_differently_on_its_golden_window_is_refused(tmp_path: Path) -> None:
    spoiled = tiny_bundle(tmp_path / "spoiled", golden_error=1e-3)
    with pytest.raises(
        BundleError,
        match=r"golden window embedding differs by 0\.001, more than its tolerance 0\.0001",
    ):
        load_model(spoiled)


def test_a_backend_of_another_shape_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="embedding has shape"):
        Model(
            bundle, FixedBackend(channels=1, n_mels=SPEC.n_mels, labels=len(LABELS), dimensions=5)
        )


def test_a_graph_that_does_not_load_is_a_bundle_error(bundle: Bundle, tmp_path: Path) -> None:
    from edge.backends.onnx import OnnxBackend

    broken = tmp_path / "model.onnx"
    broken.write_bytes(bundle.model_path.read_bytes()[:100])
    with pytest.raises(BundleError, match=r"model\.onnx"):
        OnnxBackend(broken)


def test_best_labels_first_and_ties_in_order() -> None:
    labels = tuple("abcdefg")
    top = best(labels, np.array([0.1, 0.4, 0.1, 0.1, 0.2, 0.05, 0.05], np.float32))
    assert [s.label for s in top] == ["b", "e", "a", "c", "d"]
    assert len(top) == TOP
