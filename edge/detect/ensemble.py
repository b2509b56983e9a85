"""Several bundles as one: each judges every window, and what they say is averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, FrontendSpec, ListMargin
from edge.bundle.digest import sha256_of
from edge.detect.decision import weighted
from edge.detect.judgement import Judgement
from edge.detect.model import Answer, EngineChoice, Model, unjudged
from edge.errors import BackendError, BundleError
from edge.types import Array, Prediction, Window

__all__ = ["Ensemble", "digest_of", "on_network_of"]


class Ensemble:
    """Averages its members. Used by one thread, like a model.

    Scores are the power average sqrt(mean p^2) (Shugayev et al. 2021), novelty is the mean, and so
    is how surely an animal stands out, where all can tell. Each counts by the weight that its
    bundle has (section 3 there: 0.7 and 0.3). The embedding is that of the first. There are no
    frames: those of members need not be of one length.

    Members know the same labels and judge the same windows, each with features of its own; equal
    frontends are computed once, and a network that several have is asked once. Raises `BundleError`
    where two do not go together.
    """

    def __init__(self, members: Sequence[Model]) -> None:
        first = members[0]
        for member in members[1:]:
            _go_together(first.bundle, member.bundle)
        self._members = tuple(members)
        labels = first.decision.labels
        # For each member, the first one whose frontend is the same, and where its labels stand in
        # the order of the first one's.
        frontends = [member.bundle.frontend for member in members]
        self._frontends = [frontends.index(frontend) for frontend in frontends]
        # The same for the network.
        backends = [id(member.backend) for member in members]
        self._networks = [backends.index(backend) for backend in backends]
        self._orders = [_order_of(member.decision.labels, labels) for member in members]
        self._weights = [member.bundle.manifest.weight for member in members]
        self.bundle = first.bundle
        self.decision = dataclasses.replace(
            first.decision,
            thresholds=self._thresholds(),
            margin=self._margin(),
            leaves_room=all(member.decision.leaves_room for member in members),
            calibration=None,  # that of one is not that of their average
            animal_threshold=self._mean(member.decision.animal_threshold for member in members),
        )

    @property
    def digest(self) -> str:
        """sha256 of the members' digests, in their order."""
        return digest_of(self._members)

    @property
    def engine(self) -> EngineChoice:
        """What runs the members: every backend, and the variants where they differ."""
        engines = [member.engine for member in self._members]
        variants = [engine.variant for engine in engines]
        reasons = (reason for engine in engines for reason in engine.why_not)
        return EngineChoice(
            backend="+".join(dict.fromkeys(engine.backend for engine in engines)),
            variant=variants[0] if len(set(variants)) == 1 else ",".join(variants),
            passed_over=sum(engine.passed_over for engine in engines),
            why_not=tuple(dict.fromkeys(reasons)),
        )

    def predict(self, window: Window) -> Prediction:
        """See `Classifier.predict`."""
        return self.judged(*self.ask(window))

    def ask(self, window: Window) -> tuple[Prediction, tuple[Answer, ...]]:
        """See `TwoStepClassifier.ask`."""
        p = unjudged(window, self._members[0].limits)
        if p.health.gated:
            return p, ()
        features: dict[int, tuple[Array, float]] = {}
        answers: dict[int, Answer] = {}
        for k, member in enumerate(self._members):
            frontend, network = self._frontends[k], self._networks[k]
            if frontend not in features:
                features[frontend] = member.features(window)
            if network not in answers:
                answers[network] = member.answer(features[frontend][0])
        p = dataclasses.replace(
            p,
            frontend_s=sum(seconds for _, seconds in features.values()),
            network_s=sum(answer.network_s for answer in answers.values()),
        )
        return p, tuple(answers.values())

    def judged(self, p: Prediction, answers: Sequence[Answer]) -> Prediction:
        """See `TwoStepClassifier.judged`."""
        return self.judgement(answers).prediction(p, 0, self.decision) if answers else p

    def judgement(self, answers: Sequence[Answer], *, overheard: bool = True) -> Judgement:
        """See `TwoStepClassifier.judgement`: what the members say together."""
        of = dict(zip(dict.fromkeys(self._networks), answers, strict=True))
        each = [
            member.judgement([of[network]], overheard=overheard)
            for member, network in zip(self._members, self._networks, strict=True)
        ]
        return self.averaged(each, overheard=overheard)

    def averaged(self, each: Sequence[Judgement], *, overheard: bool) -> Judgement:
        """Return what the members say together, of what each of them says."""
        pairs = zip(each, self._orders, strict=True)
        scores = [np.take(judged.scores, order, axis=1) for judged, order in pairs]
        weighing = zip(each, self._weights, strict=True)
        powers = [np.square(one, dtype=np.float64) for one in scores]
        novelties = np.column_stack([judged.novelties for judged in each])
        novelty = np.average(novelties, axis=1, weights=self._weights)
        power = np.average(powers, axis=0, weights=self._weights)
        return Judgement(
            scores=np.sqrt(power).astype(np.float32),
            novelties=novelty[:, np.newaxis],
            accepted=novelty <= 0.5,
            embedding=each[0].embedding,
            animal=weighted([(judged.animal, weight) for judged, weight in weighing]),
            overheard=_highest(scores, each) if overheard else None,
        )

    def _mean(self, values: Iterable[float | None]) -> float | None:
        """Return the weighted mean; None where a member has no such value."""
        return weighted(list(zip(values, self._weights, strict=True)))

    def _thresholds(self) -> Array | None:
        given = [
            (member.decision.thresholds[order], weight)
            for member, order, weight in zip(
                self._members, self._orders, self._weights, strict=True
            )
            if member.decision.thresholds is not None
        ]
        if not given:
            return None
        thresholds, weights = zip(*given, strict=True)
        return np.average(thresholds, axis=0, weights=weights).astype(np.float32)

    def _margin(self) -> ListMargin | None:
        """Return the mean of the members' margins, None where one of them has none."""
        margins = [member.decision.margin for member in self._members]
        given = [margin for margin in margins if margin is not None]
        if len(given) < len(margins):
            return None
        return ListMargin(
            threshold=float(np.average([m.threshold for m in given], weights=self._weights)),
            scale=float(np.average([m.scale for m in given], weights=self._weights)),
        )


def on_network_of(loaded: Model, bundle: Bundle) -> Model:
    """Return the model of a bundle that has the network of one that is `loaded`, and shares it.

    Raises `BundleError` where it fails on the golden window.
    """
    if bundle is loaded.bundle:
        return loaded
    try:
        return Model(bundle, loaded.backend, engine=loaded.engine, limits=loaded.limits)
    except BackendError as exc:
        raise BundleError(f"{bundle.path}: {exc}") from exc


def digest_of(members: Sequence[Model]) -> str:
    """Return the digest that names several models in their order."""
    return sha256_of("\n".join(member.digest for member in members).encode())


def _highest(scores: Sequence[Array], each: Sequence[Judgement]) -> Array:
    """Return the best score of each label (B, K); of heads, of each label of their trunk."""
    overheard = [judged.overheard for judged in each if judged.overheard is not None]
    highest: Array = np.max(overheard or scores, axis=0)
    return highest


def _order_of(labels: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.intp]:
    """Return where each of the `wanted` labels stands among `labels`: (K,)."""
    return np.array([labels.index(label) for label in wanted], np.intp)


def _go_together(first: Bundle, other: Bundle) -> None:
    """Raise `BundleError` in one line where the two cannot be averaged."""
    ours, theirs = ({label.label for label in bundle.labels} for bundle in (first, other))
    below = [[label.label for label in bundle.heard_labels] for bundle in (first, other)]
    if (first.trunk or other.trunk) and (ours != theirs or below[0] != below[1]):
        raise BundleError(
            f"{other.path}: stands on another network than {first.path}; heads that judge together "
            "need one trunk"
        )
    if ours != theirs:
        parts = []
        if ours - theirs:
            parts.append(f"it lacks {_few(ours - theirs)}")
        if theirs - ours:
            parts.append(f"{first.path} lacks {_few(theirs - ours)}")
        raise BundleError(
            f"{other.path}: its labels differ from those of {first.path}: {' and '.join(parts)}; "
            "an ensemble needs the same labels, or heads of one network"
        )
    x, y = first.frontend, other.frontend
    if (x.window_samples, x.sample_rate_hz) != (y.window_samples, y.sample_rate_hz):
        raise BundleError(
            f"{other.path}: takes {_window(y)}, but {first.path} {_window(x)}; an ensemble needs "
            "the same windows"
        )
    if (first.label_thresholds is None) != (other.label_thresholds is None):
        one, several = (other, first) if other.label_thresholds is None else (first, other)
        raise BundleError(
            f"{several.path}: gives several labels a window, but {one.path} one; they cannot be "
            "averaged"
        )


def _few(labels: set[str]) -> str:
    return ", ".join(sorted(labels)[:3])


def _window(spec: FrontendSpec) -> str:
    return f"{spec.window_s:g} s at {spec.sample_rate_hz} Hz"
