"""One window to one prediction: health gate, features, network, head."""

from __future__ import annotations

import numpy as np

from edge.backends.base import Backend
from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, Frontend, Verdicts
from edge.errors import BundleError
from edge.health import HealthLimits, signal_health
from edge.types import Array, Prediction, Score, SignalHealth, Window

__all__ = ["TOP", "Model", "best", "load_model"]

TOP = 5  # labels named with each prediction
NOTHING = np.empty(0, np.float32)


class Model:
    """A bundle on a backend. Used by one thread; proves itself on the bundle's golden window before it judges anything."""

    def __init__(self, bundle: Bundle, backend: Backend, *, limits: HealthLimits | None = None) -> None:
        self.bundle = bundle
        self.labels = tuple(label.label for label in bundle.labels)
        self._backend = backend
        self._frontend = Frontend(bundle.frontend)
        self._limits = limits or HealthLimits()
        self._self_test()

    def predict(self, window: Window) -> Prediction:
        """Judge one window; a dead or stuck one is not shown to the network."""
        health = signal_health(window.samples, self._limits)
        if health.gated:
            return _gated(window, health)
        embedding, logits = self._infer(window.samples)
        return self._judged(window, health, embedding[0], self.bundle.head(embedding, logits))

    def _infer(self, samples: Array) -> tuple[Array, Array]:
        return self._backend.infer(self._frontend(samples)[np.newaxis])

    def _judged(self, window: Window, health: SignalHealth, embedding: Array, verdicts: Verdicts) -> Prediction:
        top = best(self.labels, verdicts.scores[0])
        return Prediction(
            start_sample=window.start_sample,
            end_sample=window.end_sample,
            sample_rate_hz=window.sample_rate_hz,
            label=top[0].label if verdicts.accepted[0] else None,
            nearest=top[0].label,
            score=top[0].score,
            novelty=float(verdicts.novelty[0]),
            top=top,
            health=health,
            scores=verdicts.scores[0],
            embedding=embedding,
        )

    def _self_test(self) -> None:
        golden = self.bundle.golden
        embedding, logits = self._infer(golden.samples)
        for name, got, expected in (("embedding", embedding[0], golden.embedding), ("logits", logits[0], golden.logits)):
            if got.shape != expected.shape:
                raise BundleError(f"{self.bundle.path}: {name} has shape {got.shape}, the golden window expects {expected.shape}")
            difference = float(np.abs(got - expected).max())
            if not difference <= golden.tolerance:  # so that NaN fails too
                raise BundleError(
                    f"{self.bundle.path}: on the golden window {name} differs by {difference:.3g}, more than its tolerance "
                    f"{golden.tolerance:.3g}; this machine would not give the detections the model was tested for"
                )


def load_model(bundle: Bundle, *, threads: int = 1, limits: HealthLimits | None = None) -> Model:
    """The bundle on the backend of this machine."""
    return Model(bundle, OnnxBackend(bundle.model_path, threads=threads), limits=limits)


def best(labels: tuple[str, ...], scores: Array) -> tuple[Score, ...]:
    """The `TOP` labels of scores (K,), best first; ties in the order of the labels."""
    order = np.argsort(-scores, kind="stable")[:TOP]
    return tuple(Score(label=labels[i], score=float(scores[i])) for i in order)


def _gated(window: Window, health: SignalHealth) -> Prediction:
    return Prediction(
        start_sample=window.start_sample,
        end_sample=window.end_sample,
        sample_rate_hz=window.sample_rate_hz,
        label=None,
        nearest=None,
        score=0.0,
        novelty=1.0,
        top=(),
        health=health,
        scores=NOTHING,
        embedding=NOTHING,
    )
