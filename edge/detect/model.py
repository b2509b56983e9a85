"""One window to one prediction: health gate, features, network, head."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import OUTPUTS, Backend
from edge.bundle import FP32, Bundle
from edge.bundle.overlap import FrameMemory
from edge.detect.classifier import (
    Answer,
    Classifier,
    EngineChoice,
    TwoStepClassifier,
)
from edge.detect.decision import Decision
from edge.detect.judgement import Judgement
from edge.detect.proof import not_finite, refuse_another_answer, refuse_what_is_not_finite
from edge.detect.signal_health import HealthConfig
from edge.detect.streamed import Streamed
from edge.detect.unjudged import NOTHING, unjudged
from edge.errors import BackendError, BundleError
from edge.types import Array, Prediction, Window

__all__ = [
    "NOTHING",
    "Answer",
    "Classifier",
    "EngineChoice",
    "Model",
    "TwoStepClassifier",
    "unjudged",
]


class Model:
    """One network of a bundle on a backend. Used by one thread.

    It proves itself on the golden window before it judges anything: raises `BundleError`.
    """

    def __init__(
        self,
        bundle: Bundle,
        backend: Backend,
        *,
        engine: EngineChoice | None = None,
        limits: HealthConfig | None = None,
    ) -> None:
        self.bundle = bundle
        self.engine = engine or EngineChoice(backend="", variant=FP32)
        self.network = bundle.networks[self.engine.variant]
        self.decision = Decision.of(bundle)
        self.limits = limits or HealthConfig()
        self.backend = backend
        self._frontend, self._memory = bundle.new_frontend(), FrameMemory()
        self._streamed = Streamed(backend, bundle, name=self.engine.backend)
        self._shift_samples = 0
        self._self_test()

    @property
    def digest(self) -> str:
        """See `Classifier.digest`."""
        return self.bundle.digest

    def predict(self, window: Window) -> Prediction:
        """See `Classifier.predict`."""
        return self.judged(*self.ask(window))

    def ask(self, window: Window) -> tuple[Prediction, tuple[Answer, ...]]:
        """See `TwoStepClassifier.ask`."""
        p = unjudged(window, self.limits)
        if p.health.gated:
            return p, ()
        features, frontend_s = self.features(window)
        answer = self.answer(features)
        p = dataclasses.replace(p, frontend_s=frontend_s, network_s=answer.network_s)
        return p, (answer,)

    def judged(self, p: Prediction, answers: Sequence[Answer]) -> Prediction:
        """See `TwoStepClassifier.judged`."""
        return self.judgement(answers).prediction(p, 0, self.decision) if answers else p

    def features(self, window: Window) -> tuple[Array, float]:
        """Return the network's input for a window, a batch of one, and its seconds."""
        began_s = time.perf_counter()
        memory = self._memory.begin(window.samples, start_sample=window.start_sample)
        features = self._frontend(window.samples, memory=memory)[np.newaxis]
        self._shift_samples = memory.shift_samples
        return features, time.perf_counter() - began_s

    def answer(self, features: Array) -> Answer:
        """Run the network; raises `BackendError` when there is no answer."""
        began_s = time.perf_counter()
        answer = self._infer(features)
        return dataclasses.replace(answer, network_s=time.perf_counter() - began_s)

    def judgement(self, answers: Sequence[Answer], *, overheard: bool = True) -> Judgement:
        """See `TwoStepClassifier.judgement`."""
        (answer,) = answers
        if not answer.is_finite:
            raise not_finite("the network")
        trunk = self.bundle.trunk if overheard else None
        verdicts = self.network.judge(answer.embedding, answer.logits)
        refuse_what_is_not_finite("the head", verdicts.scores, verdicts.novelty)
        animal = self.bundle.animal_score(answer.embedding, answer.logits)
        return Judgement(
            scores=verdicts.scores,
            novelties=verdicts.novelty[:, np.newaxis].astype(np.float64),
            accepted=verdicts.accepted,
            embedding=answer.embedding,
            animal=None if animal is None else animal.astype(np.float64),
            overheard=None if trunk is None else trunk.head.scores(answer.logits),
            active=self._active(answer.frames),
            window_samples=self.bundle.frontend.window_samples,
        )

    def outputs(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """Return named outputs of the graph; raises `BackendError` where there are two only."""
        shift, self._shift_samples = self._shift_samples, 0
        return self._streamed.outputs(features, names, shift_samples=shift)

    def _active(self, logits: Array | None) -> NDArray[np.bool_] | None:
        """Return which labels are present, by the logits of frames (B, T, K)."""
        threshold = self.bundle.manifest.frame_threshold
        if logits is None or threshold is None:
            return None
        refuse_what_is_not_finite("the network", logits)
        scores = self.network.head.scores(logits.reshape(-1, logits.shape[2]))
        active: NDArray[np.bool_] = scores >= np.float32(threshold)
        return active.reshape(logits.shape)

    def _infer(self, features: Array) -> Answer:
        if self.bundle.manifest.frame_threshold is None:
            embedding, logits = self.outputs(features, OUTPUTS)
            return Answer(embedding=embedding, logits=logits)
        embedding, logits, frames = self.outputs(features, ("embedding", "logits", "frames"))
        labels = len(self.decision.labels)
        if frames.ndim != 3 or frames.shape[2] != labels:
            shape = f"frames have shape {frames.shape}"
            raise BackendError(f"{shape}, not parts of the window by {labels} labels")
        return Answer(embedding=embedding, logits=logits, frames=frames)

    def _self_test(self) -> None:
        """Go the whole way of a window, from samples to a verdict, with the golden one."""
        golden, path = self.network.golden, self.network.path
        window = Window(
            start_sample=0,
            end_sample=len(golden.samples),
            samples=golden.samples,
            sample_rate_hz=self.bundle.frontend.sample_rate_hz,
        )
        try:
            features, _ = self.features(window)
            answer = self._infer(features)
            in_two = zip(OUTPUTS, self._streamed.in_two(features, OUTPUTS), strict=False)
            for name, got in (*self._all_outputs(features, answer), *in_two):
                refuse_another_answer(path, name, golden.expected[name], got[0], golden.tolerance)
            self.judged(unjudged(window, self.limits), (answer,))
        except (ValueError, IndexError, ArithmeticError) as exc:
            raise BundleError(f"{path}: cannot judge the golden window ({exc})") from exc

    def _all_outputs(self, features: Array, answer: Answer) -> list[tuple[str, Array]]:
        """Return each output that the golden window has, by name, of the window of `features`."""
        names = tuple(self.network.golden.expected)
        if len(names) == len(OUTPUTS):
            return list(zip(names, (answer.embedding, answer.logits), strict=True))
        return list(zip(names, self.outputs(features, names), strict=True))
