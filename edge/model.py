"""One window to one prediction: health gate, features, network, head."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from edge.backends.base import Backend
from edge.bundle import FP32, Bundle, Frontend, Verdicts
from edge.decision import Decision
from edge.errors import BackendError, BundleError
from edge.health import HealthLimits, signal_health
from edge.types import Array, Prediction, SignalHealth, Window

__all__ = ["NOTHING", "Model"]

NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """Of the network to one window: embedding (1, D), logits (1, K), and how long features and network took."""

    embedding: Array
    logits: Array
    frontend_s: float
    network_s: float


class Model:
    """One network of a bundle on a backend. Used by one thread; proves itself on the golden window before it judges anything.

    `backend_name` says what runs it, for people and for the record; `passed_over` better ones were tried and failed.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        network: str = FP32,
        backend_name: str = "",
        passed_over: int = 0,
        limits: HealthLimits | None = None,
    ) -> None:
        self.bundle = bundle
        self.backend_name = backend_name
        self.passed_over = passed_over
        self.network = bundle.networks[network]
        self.labels = tuple(label.label for label in bundle.labels)
        self.decision = Decision(labels=self.labels, thresholds=bundle.label_thresholds)
        self._backend = backend
        self._frontend = Frontend(bundle.frontend)
        self._limits = limits or HealthLimits()
        self._self_test()

    def predict(self, window: Window) -> Prediction:
        """Judge one window; a dead or stuck one is not shown to the network. Raises `BackendError` when there is no answer."""
        if not np.isfinite(window.samples).all():
            raise BackendError("the sound has samples that are no numbers")
        health = signal_health(window.samples, self._limits)
        if health.gated:
            return _unjudged(window, health)
        answer = self._infer(window.samples)
        if not (np.isfinite(answer.embedding).all() and np.isfinite(answer.logits).all()):
            raise BackendError("the network answers with what is no number")
        return self._judged(window, health, answer, self.network.head(answer.embedding, answer.logits))

    def _infer(self, samples: Array) -> _Answer:
        began_s = time.perf_counter()
        features = self._frontend(samples)[np.newaxis]
        between_s = time.perf_counter()
        embedding, logits = self._backend.infer(features)
        ended_s = time.perf_counter()
        return _Answer(embedding=embedding, logits=logits, frontend_s=between_s - began_s, network_s=ended_s - between_s)

    def _judged(self, window: Window, health: SignalHealth, answer: _Answer, verdicts: Verdicts) -> Prediction:
        heard = dataclasses.replace(
            _unjudged(window, health), embedding=answer.embedding[0], frontend_s=answer.frontend_s, network_s=answer.network_s
        )
        novelty, accepted = float(verdicts.novelty[0]), bool(verdicts.accepted[0])
        return self.decision(heard, scores=verdicts.scores[0], novelty=novelty, accepted=accepted)

    def _self_test(self) -> None:
        golden = self.network.golden
        answer = self._infer(golden.samples)
        pairs = (("embedding", answer.embedding[0], golden.embedding), ("logits", answer.logits[0], golden.logits))
        for name, got, expected in pairs:
            if got.shape != expected.shape:
                raise BundleError(f"{self.network.path}: {name} has shape {got.shape}, the golden window expects {expected.shape}")
            difference = float(np.abs(got - expected).max())
            if not difference <= golden.tolerance:  # so that NaN fails too
                raise BundleError(
                    f"{self.network.path}: on the golden window {name} differs by {difference:.3g}, more than its tolerance "
                    f"{golden.tolerance:.3g}; this machine would not give the detections the model was tested for"
                )


def _unjudged(window: Window, health: SignalHealth) -> Prediction:
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
