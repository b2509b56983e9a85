"""One window to one prediction: health gate, features, network, head."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge.backends.base import Backend, NamedBackend
from edge.bundle import FP32, Bundle, Frontend
from edge.detect.decision import Decision
from edge.detect.signal_health import HealthConfig, signal_health
from edge.errors import BackendError, BundleError
from edge.types import Array, Frames, Prediction, Window

__all__ = ["NOTHING", "Classifier", "Model", "Verdict", "unjudged"]

NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """Of the network to one window: embedding (1, D), logits (1, K), and where it has them frames
    (1, T, K).
    """

    embedding: Array
    logits: Array
    frames: Array | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of one network and its head on one window: scores (K,), embedding (D,), how long the network
    took, and its frames.
    """

    scores: Array
    novelty: float
    accepted: bool
    embedding: Array
    network_s: float
    frames: Frames | None = None


class Classifier(Protocol):
    """Judges windows: a `Model`, or several as one. Used by one thread. `bundle` is the first of
    several.
    """

    @property
    def bundle(self) -> Bundle:
        """Whose windows and labels these are."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """In the order of the scores."""
        ...

    @property
    def decision(self) -> Decision:
        """By what labels are given."""
        ...

    @property
    def digest(self) -> str:
        """Names all that was trained."""
        ...

    @property
    def variant(self) -> str:
        """Which of the bundle's networks it is."""
        ...

    @property
    def backend_name(self) -> str:
        """What runs it, for people and for the record."""
        ...

    @property
    def passed_over(self) -> int:
        """Better engines that were tried and failed."""
        ...

    @property
    def why_not(self) -> tuple[str, ...]:
        """Why no better engine runs it."""
        ...

    def predict(self, window: Window) -> Prediction:
        """Classify one window; a dead or stuck one is not shown to the network. Raises
        `BackendError` when there is no answer.
        """
        ...


class Model:
    """One network of a bundle on a backend. Used by one thread; proves itself on the golden window
    before it judges anything.

    `backend_name` says what runs it, for people and for the record; `passed_over` better ones were
    tried and failed, and `why_not` has the reasons of these and of such as are not to be expected
    here.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        network: str = FP32,
        backend_name: str = "",
        passed_over: int = 0,
        why_not: tuple[str, ...] = (),
        limits: HealthConfig | None = None,
    ) -> None:
        self.bundle = bundle
        self.backend_name = backend_name
        self.passed_over = passed_over
        self.why_not = why_not
        self.network = bundle.networks[network]
        self.labels = tuple(label.label for label in bundle.labels)
        self.decision = Decision(labels=self.labels, thresholds=bundle.label_thresholds)
        self._backend = backend
        self._frontend = Frontend(bundle.frontend)
        self.limits = limits or HealthConfig()
        self._self_test()

    @property
    def digest(self) -> str:
        """See `Classifier.digest`."""
        return self.bundle.digest

    @property
    def variant(self) -> str:
        """See `Classifier.variant`."""
        return self.network.name

    def predict(self, window: Window) -> Prediction:
        """See `Classifier.predict`."""
        p = unjudged(window, self.limits)
        if p.health.gated:
            return p
        features, frontend_s = self.features(window.samples)
        verdict = self.verdict(features)
        p = dataclasses.replace(
            p,
            embedding=verdict.embedding,
            frontend_s=frontend_s,
            network_s=verdict.network_s,
            frames=verdict.frames,
        )
        return self.decision(
            p, scores=verdict.scores, novelty=verdict.novelty, accepted=verdict.accepted
        )

    def features(self, samples: Array) -> tuple[Array, float]:
        """What the network is shown of samples (window,), as a batch of one, and how long that took
        in seconds.
        """
        began_s = time.perf_counter()
        features = self._frontend(samples)[np.newaxis]
        return features, time.perf_counter() - began_s

    def verdict(self, features: Array) -> Verdict:
        """Of the network and its head; raises `BackendError` when there is none."""
        began_s = time.perf_counter()
        answer = self._infer(features)
        network_s = time.perf_counter() - began_s
        if not (np.isfinite(answer.embedding).all() and np.isfinite(answer.logits).all()):
            raise BackendError("the network answers with what is no number")
        verdicts = self.network.head(answer.embedding, answer.logits)
        return Verdict(
            scores=verdicts.scores[0],
            novelty=float(verdicts.novelty[0]),
            accepted=bool(verdicts.accepted[0]),
            embedding=answer.embedding[0],
            network_s=network_s,
            frames=self._frames(answer.frames),
        )

    def _frames(self, logits: Array | None) -> Frames | None:
        threshold = self.bundle.manifest.frame_threshold
        if logits is None or threshold is None:
            return None
        if not np.isfinite(logits).all():
            raise BackendError("the network answers with what is no number")
        active = self.network.head.scores(logits[0]) >= np.float32(threshold)
        return Frames(active=active, window_samples=self.bundle.frontend.window_samples)

    def _infer(self, features: Array) -> _Answer:
        if self.bundle.manifest.frame_threshold is None:
            embedding, logits = self._backend.infer(features)
            return _Answer(embedding=embedding, logits=logits)
        embedding, logits, frames = self.outputs(features, ("embedding", "logits", "frames"))
        if frames.ndim != 3 or frames.shape[2] != len(self.labels):
            raise BackendError(
                f"frames have shape {frames.shape}, not parts of the window by {len(self.labels)} "
                "labels"
            )
        return _Answer(embedding=embedding, logits=logits, frames=frames)

    def outputs(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """Named outputs of the graph; raises `BackendError` where the engine knows two only."""
        if not isinstance(self._backend, NamedBackend):
            raise BackendError(
                f"{self.backend_name or 'the engine'} runs no network with {names[-1]}"
            )
        return self._backend.infer_named(features, names)

    def _self_test(self) -> None:
        golden = self.network.golden
        features, wanted = self.features(golden.samples)[0], golden.expected
        answer = self._infer(features)
        outputs = (
            (answer.embedding, answer.logits)
            if len(wanted) == 2
            else self.outputs(features, tuple(wanted))
        )
        for (name, expected), (got,) in zip(wanted.items(), outputs, strict=True):
            if got.shape != expected.shape:
                raise BundleError(
                    f"{self.network.path}: {name} has shape {got.shape}, the golden window expects "
                    f"{expected.shape}"
                )
            difference = float(np.abs(got - expected).max())
            if not difference <= golden.tolerance:  # so that NaN fails too
                raise BundleError(
                    f"{self.network.path}: on the golden window {name} differs by "
                    f"{difference:.3g}, more than its tolerance "
                    f"{golden.tolerance:.3g}; this machine would not give the detections the model "
                    "was tested for"
                )


def unjudged(window: Window, limits: HealthConfig) -> Prediction:
    """The window before anyone has judged it, which is all there is to say of a gated one; raises
    `BackendError` for no sound.
    """
    if not np.isfinite(window.samples).all():
        raise BackendError("the sound has samples that are no numbers")
    return Prediction(
        start_sample=window.start_sample,
        end_sample=window.end_sample,
        sample_rate_hz=window.sample_rate_hz,
        label=None,
        nearest=None,
        score=0.0,
        novelty=1.0,
        top=(),
        health=signal_health(window.samples, limits),
        scores=NOTHING,
        embedding=NOTHING,
    )
