"""Several heads on one trunk, with labels of their own: the network runs once a window for all.

Each head decides on its own labels, and its labels are what the window carries where it accepts it.
Where no head does, the verdict of the trunk itself stands, if it was named too, but for labels that
are a head's: these were refused by the one that knows them best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.bundle.heads import SCORE_THRESHOLD
from edge.detect.decision import REJECTED, Decision
from edge.detect.ensemble import Ensemble, digest_of
from edge.detect.joint_calibration import Calibrated, joint_calibration
from edge.detect.joint_labels import OwnLabels, joint_bundle, own_labels
from edge.detect.judgement import Judgement
from edge.detect.layered_decision import LayerDecision, LayeredDecision
from edge.detect.model import Answer, EngineChoice, Model, TwoStepClassifier
from edge.errors import BundleError
from edge.types import Array, Prediction, Window

__all__ = ["Layered", "together"]


def together(models: Sequence[Model]) -> TwoStepClassifier:
    """Return several models as one; raises `BundleError` where they do not go together."""
    if len(models) == 1:
        return models[0]
    labels = {frozenset(model.decision.labels) for model in models}
    trunks = {model.bundle.trunk_digest for model in models}
    if len(labels) > 1 and len(trunks) == 1:
        return Layered(models)
    return Ensemble(models)


class _Layer:
    """Models with the same labels, averaged where they are several, and which labels are theirs."""

    def __init__(self, models: Sequence[Model], own: OwnLabels) -> None:
        self.own = own
        self.is_trunk = any(model.bundle.trunk is None for model in models)
        self._models = tuple(models)
        self._ensemble = Ensemble(models) if len(models) > 1 else None
        self.all = (self._ensemble or models[0]).decision  # how it decides on all of its labels

    def decision(self, start: int) -> LayerDecision:
        """Return how it decides on its own labels, which begin at `start` of all."""
        end = start + len(self.own.labels)
        thresholds = self.all.thresholds
        decision = Decision(
            labels=tuple(label.label for label in self.own.labels),
            thresholds=None if thresholds is None else thresholds[self.own.places],
            leaves_room=self.all.leaves_room,
        )
        return LayerDecision(decision=decision, start=start, end=end, is_trunk=self.is_trunk)

    @property
    def calibrated(self) -> Calibrated:
        """How likely its own labels are right."""
        return Calibrated(
            calibration=self.all.calibration,
            labels=[self.all.labels[place] for place in self.own.places],
            names=[label.label for label in self.own.labels],
        )

    def judgement(self, answer: Answer, *, overheard: bool) -> Judgement:
        """Judge the one answer of the network to B windows."""
        each = [model.judgement([answer], overheard=overheard) for model in self._models]
        if self._ensemble is None:
            return each[0]
        return self._ensemble.averaged(each, overheard=overheard)

    def novelty(self, judged: Judgement) -> NDArray[np.float64]:
        """Return how novel windows (B,) are to it, above 0.5 where it rejects or must not name one.

        Where a window carries one label, that is the best: as one that is another layer's, it is as
        novel here as it is familiar.
        """
        novelty = judged.novelties[:, 0]
        found = np.where(judged.accepted, novelty, np.maximum(novelty, REJECTED))
        if self.all.thresholds is None:
            foreign = ~np.isin(judged.scores.argmax(1), self.own.places) & judged.accepted
            found = np.where(foreign, np.maximum(1.0 - novelty, REJECTED), found)
        return found


class Layered:
    """Models of one network as one classifier. Used by one thread, like a model.

    Of models with the same labels the scores are averaged (`Ensemble`). A label that several know
    is that of the first that is listed; the trunk comes after all heads. Raises `BundleError` where
    a head has no label left.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        self._members = tuple(members)
        # The trunk itself, where it is one of them: only it has its network say more than a head's.
        plain = [model for model in members if model.bundle.trunk is None]
        self._asked = plain[0] if plain else members[0]
        groups = _groups(members)
        trunk = self._asked.bundle.trunk or self._asked.bundle
        own = own_labels([group[0].bundle for group in groups], trunk)
        layers = [_Layer(group, part) for group, part in zip(groups, own, strict=True)]
        for group, layer in zip(groups, layers, strict=True):
            _refuse_needless(group[0].bundle, layer)
        self._layers = [layer for layer in layers if layer.own.labels]
        self.bundle = joint_bundle([m.bundle for m in members], self._asked.bundle, own)
        self.decision = _decision(self._layers, self.bundle)

    @property
    def digest(self) -> str:
        """sha256 of the members' digests, in their order."""
        return digest_of(self._members)

    @property
    def engine(self) -> EngineChoice:
        """What runs the network."""
        return self._asked.engine

    def predict(self, window: Window) -> Prediction:
        """See `Classifier.predict`."""
        return self.judged(*self.ask(window))

    def ask(self, window: Window) -> tuple[Prediction, tuple[Answer, ...]]:
        """See `TwoStepClassifier.ask`."""
        return self._asked.ask(window)

    def judged(self, p: Prediction, answers: Sequence[Answer]) -> Prediction:
        """See `TwoStepClassifier.judged`."""
        return self.judgement(answers).prediction(p, 0, self.decision) if answers else p

    def judgement(self, answers: Sequence[Answer], *, overheard: bool = True) -> Judgement:
        """See `TwoStepClassifier.judgement`: scores and novelties of all layers."""
        (answer,) = answers
        layers = self._layers
        each = [layer.judgement(answer, overheard=overheard) for layer in layers]
        heard = [judged.overheard for judged in each if judged.overheard is not None]
        own = [
            np.take(judged.scores, layer.own.places, axis=1)
            for layer, judged in zip(layers, each, strict=True)
        ]
        novelties = [layer.novelty(judged) for layer, judged in zip(layers, each, strict=True)]
        return Judgement(
            scores=np.concatenate(own, axis=1),
            novelties=np.column_stack(novelties),
            accepted=np.min(novelties, axis=0) <= 0.5,
            embedding=answer.embedding,
            animal=next((judged.animal for judged in each if judged.animal is not None), None),
            overheard=np.max(heard, axis=0) if heard else None,
            active=self._active(each),
            window_samples=self.bundle.frontend.window_samples,
        )

    def _active(self, each: Sequence[Judgement]) -> NDArray[np.bool_] | None:
        """Return when each label is present, by the frames of the trunk, which heads lack."""
        active = next((judged.active for judged in each if judged.active is not None), None)
        if active is None:
            return None
        places = np.concatenate([layer.own.in_trunk for layer in self._layers])
        return np.take(active, places, axis=2) & (places >= 0)


def _groups(members: Sequence[Model]) -> list[list[Model]]:
    """Return the models by their labels, in their order, but the trunk's last."""
    groups: dict[frozenset[str], list[Model]] = {}
    for model in members:
        groups.setdefault(frozenset(model.decision.labels), []).append(model)
    return sorted(groups.values(), key=lambda g: any(m.bundle.trunk is None for m in g))


def _refuse_needless(bundle: Bundle, layer: _Layer) -> None:
    if not layer.own.labels and not layer.is_trunk:
        raise BundleError(
            f"{bundle.path}: each of its labels is one of a head that is listed before it",
            suggestion="name it before the other, or leave it out",
        )


def _decision(layers: Sequence[_Layer], joint: Bundle) -> LayeredDecision:
    parts, start = [], 0
    for layer in layers:
        parts.append(layer.decision(start))
        start = parts[-1].end
    several = len(layers) > 2 or any(part.decision.thresholds is not None for part in parts)
    several = several or not any(layer.is_trunk for layer in layers)
    weighed = [np.full(len(layer.own.labels), layer.is_trunk) for layer in layers]
    trunk = next((layer for layer in layers if layer.is_trunk), None)
    return LayeredDecision(
        labels=tuple(label.label for label in joint.labels),
        thresholds=np.concatenate([_thresholds(part) for part in parts]) if several else None,
        animals=np.array([label.kind == "animal" for label in joint.labels], bool),
        margin=None if trunk is None else trunk.all.margin,
        weighed=np.concatenate(weighed),
        layers=tuple(parts),
        calibration=joint_calibration([layer.calibrated for layer in layers]),
        animal_threshold=_strictest(layer.all.animal_threshold for layer in layers),
    )


def _strictest(thresholds: Iterable[float | None]) -> float | None:
    return max((threshold for threshold in thresholds if threshold is not None), default=None)


def _thresholds(layer: LayerDecision) -> Array:
    """Return what the score of each label has to reach, of one alone that of half of all."""
    found = layer.decision.thresholds
    return np.full(layer.end - layer.start, SCORE_THRESHOLD, np.float32) if found is None else found
