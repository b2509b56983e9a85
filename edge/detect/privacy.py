"""Which windows hold what is to be withheld: people who speak and, where that is wanted, dogs.

It looks at the scores of all labels as the network and its head give them, before a threshold, a
list of species or a rule has taken any away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from edge.bundle import Label
from edge.detect.species_names import resolve_labels
from edge.section import Section, as_tuple
from edge.types import Prediction, Score

__all__ = ["Privacy", "PrivacyConfig", "PrivacyPolicy"]

PrivacyPolicy = Literal["keep", "drop_clip", "drop_window"]
# Of one label for which both policies hold, the later one counts.
STRICTER: tuple[PrivacyPolicy, ...] = ("keep", "drop_clip", "drop_window")
DOG = {"dog", "domestic_dog", "dog_bark", "dog_barking"}
DOG_SPECIES = {"canis lupus familiaris", "canis familiaris"}


class PrivacyConfig(Section):
    """What becomes of sound in which people speak, or dogs bark.

    `keep`: nothing. `drop_clip`: no clip has it. `drop_window`: nor does the window give or
    prolong an event. `speech` is for labels of the kind human and those that `labels` adds; `dog`
    for the domestic dog. A window has one of them from the score `threshold` on.
    """

    speech: PrivacyPolicy = "drop_clip"
    dog: PrivacyPolicy = "keep"
    labels: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
        BeforeValidator(as_tuple),
        Field(max_length=10_000),
    ] = ()
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.03

    @property
    def decides_events(self) -> bool:
        """Whether there are other events than without it."""
        return "drop_window" in (self.speech, self.dog)


class Privacy:
    """What of a recorder's windows is withheld, by the labels of its `bundles`.

    A label is of the kind human where any of them says so. Raises `ConfigError` naming
    `privacy.labels` for a label that they do not have.
    """

    def __init__(self, config: PrivacyConfig, bundles: Iterable[Sequence[Label]]) -> None:
        self._config = config
        first, *others = bundles
        human = {label.label for labels in (first, *others) for label in labels if _is_human(label)}
        added = resolve_labels(config.labels, first, key="privacy.labels")
        self._speech = sorted(human.union(added))
        self._dogs = sorted(label.label for label in first if _is_dog(label))
        self._labels = tuple(label.label for label in first)
        policies = self._policies()
        self._withheld = self._indices(policies, "drop_clip", "drop_window")
        self._dropped = self._indices(policies, "drop_window")

    @property
    def on(self) -> bool:
        """Whether there is a label that anything is withheld for."""
        return len(self._withheld) > 0

    def found(self, p: Prediction) -> Score | None:
        """Return the label, of those whose clips are withheld, that is loudest in a window."""
        return self._loudest(p, self._withheld)

    def drops(self, p: Prediction) -> bool:
        """Return whether a window is to give no event."""
        return self._loudest(p, self._dropped) is not None

    @property
    def summary(self) -> str:
        """What is withheld, in one line; empty where nothing is."""
        clips = [self._labels[k] for k in self._withheld if k not in self._dropped]
        windows = [self._labels[k] for k in self._dropped]
        parts = []
        if clips:
            parts.append(f"no clip with {', '.join(clips)}")
        if windows:
            parts.append(f"neither event nor clip of windows with {', '.join(windows)}")
        found = "; ".join(parts)
        return found and f"{found}, from a score of {self._config.threshold:g}"

    @property
    def warnings(self) -> list[str]:
        """What was asked for in vain, one line each: the model has no label for it."""
        chosen = (
            ("speech", self._config.speech, self._speech, "of people"),
            ("dog", self._config.dog, self._dogs, "of dogs"),
        )
        return [
            f"privacy.{key} = {policy} withholds nothing: the model has no label {what}"
            for key, policy, labels, what in chosen
            if key in self._config.model_fields_set and policy != "keep" and not labels
        ]

    def _policies(self) -> dict[str, PrivacyPolicy]:
        policies: dict[str, PrivacyPolicy] = {}
        chosen = (self._speech, self._config.speech), (self._dogs, self._config.dog)
        for labels, policy in chosen:
            for label in labels:
                before = policies.get(label, "keep")
                policies[label] = max(before, policy, key=STRICTER.index)
        return policies

    def _indices(
        self, policies: dict[str, PrivacyPolicy], *wanted: PrivacyPolicy
    ) -> NDArray[np.intp]:
        """Return where the labels with these policies stand among the scores."""
        found = [k for k, label in enumerate(self._labels) if policies.get(label) in wanted]
        return np.array(found, np.intp)

    def _loudest(self, p: Prediction, indices: NDArray[np.intp]) -> Score | None:
        if p.health.gated or not len(indices):
            return None
        scores = p.highest_scores[indices]
        k = int(scores.argmax())
        if not scores[k] >= np.float32(self._config.threshold):
            return None
        return Score(label=self._labels[indices[k]], score=float(scores[k]))


def _is_human(label: Label) -> bool:
    return label.kind == "human"


def _is_dog(label: Label) -> bool:
    return label.label in DOG or label.scientific_name.casefold() in DOG_SPECIES
