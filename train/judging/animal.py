"""The rule by which an animal stands out in a window, fitted to what a network says of windows.

Animals are all species, known, left out and unknown, where something is heard; against them stand
noise, background and, for a network that knows animals only, quiet windows. The score is calibrated
for as many windows with an animal as without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.animal import AnimalRule, features_of
from edge.bundle.unit import at_length_1
from train.judging.held_out import Fit
from train.judging.truth import BACKGROUND, KNOWN, LEFT_OUT, QUIET, UNKNOWN
from train.windows.outputs import WindowOutputs

__all__ = [
    "SHARE",
    "NetworkOutputs",
    "fit_animal",
    "is_animal_noise",
    "is_no_animal",
    "share_of_kinds",
    "threshold_at",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Of windows without an animal, so many may become unknown events; the mean over their kinds.
SHARE = 0.02
# What is recorded as noise and is an animal's all the same.
ANIMAL_WORDS = re.compile(
    r"(?<!no )(?<!without )\b(animals?|birds?|cats?|chickens?|cows?|crickets?|crows?|dogs?|frogs?"
    r"|goats?|hens?|horses?|insects?|pigs?|roosters?|sheep|toads?|turkeys?)\b"
)
SPREAD = 15.0  # of the embedding's unit length, so that one penalty suits all networks
PENALTIES = (0.001, 0.01, 0.1)  # inverse ones of the embedding's weights, to choose from
FREE = 10.0  # that of features alone
FEWEST = 20  # windows of each side
DIGITS = 6  # significant ones of a weight


@dataclass(frozen=True, kw_only=True)
class NetworkOutputs:
    """What a network says of W windows: `embedding` (W, D), `logits` (W, N) of labels of which some
    are `animals` (N,). `named` (W,) are windows in which it names an animal by itself.
    """

    embedding: NDArray[np.float32]
    logits: NDArray[np.float32]
    animals: Mask
    named: Mask

    @staticmethod
    def of_animals(outputs: WindowOutputs) -> NetworkOutputs:
        """Return those of a network whose labels are all animals'."""
        return NetworkOutputs(
            embedding=outputs.embedding,
            logits=outputs.logits,
            animals=np.ones(len(outputs.labels), bool),
            named=np.zeros(len(outputs), bool),
        )

    @property
    def knows_others(self) -> bool:
        """Whether some of its labels are no animals."""
        return not bool(self.animals.all())


def is_animal_noise(kind: str) -> bool:
    """Return whether a kind of noise is an animal's: a dog's, a rooster's."""
    return kind.startswith("noise") and bool(ANIMAL_WORDS.search(kind.replace("_", " ")))


def is_no_animal(kind: NDArray[np.str_]) -> Mask:
    """Return which windows (W,), by their kind, have no animal: noise, and background.

    There may be animals in background; nobody has said.
    """
    kinds = [
        name
        for name in np.unique(kind)
        if name == BACKGROUND or (name.startswith("noise") and not is_animal_noise(name))
    ]
    result: Mask = np.isin(kind, kinds)
    return result


def fit_animal(
    outputs: NetworkOutputs, kind: NDArray[np.str_], groups: NDArray[np.str_]
) -> AnimalRule | None:
    """Return the rule for windows of a `kind` (W,), of which those of one of the `groups` (W,) are
    alike; None where there are too few to learn from.

    Windows of background in which the network itself names an animal are left out. The threshold is
    that at which `SHARE` of the windows without an animal pass, by rules that were fitted without
    their group.
    """
    animal = np.isin(kind, [KNOWN, UNKNOWN, LEFT_OUT])
    other = is_no_animal(kind) & ~((kind == BACKGROUND) & outputs.named)
    if not outputs.knows_others:
        other |= kind == QUIET
    used = animal | other
    if animal.sum() < FEWEST or other.sum() < FEWEST:
        return None
    features = _features(outputs)
    weight = _balanced(kind, animal, other)
    fits = [
        Fit.of(x[used], animal[used], weight[used], groups[used], penalty)
        for x, penalty in _candidates(features, outputs)
    ]
    best = min(fits, key=lambda fit: fit.loss)
    score = np.zeros(len(kind))
    score[used] = best.score
    judged = other & (kind != QUIET)
    judged &= (kind != BACKGROUND) if (judged & (kind != BACKGROUND)).any() else True
    return _rule(best, tuple(features), threshold_at(score, kind, judged, share=SHARE))


def threshold_at(score: Floats, kind: NDArray[np.str_], counted: Mask, *, share: float) -> float:
    """Return the least score that at most `share` of the `counted` windows (W,) reach.

    It is the mean over their kinds.
    """
    candidates = np.unique(score[counted])
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if share_of_kinds(score > candidates[middle], kind, counted) <= share:
            high = middle
        else:
            low = middle + 1
    least = candidates[min(low, len(candidates) - 1)]
    above = score[counted & (score > least)]
    nearest = float(above.min()) if len(above) else 1.0
    return float(np.clip((least + nearest) / 2, 1e-4, 1 - 1e-4))


def share_of_kinds(mask: Mask, kind: NDArray[np.str_], counted: Mask) -> float:
    """Return which share of the `counted` windows (W,) a mask has, the mean over their kinds."""
    kinds = np.unique(kind[counted])
    return float(np.mean([mask[counted & (kind == name)].mean() for name in kinds]))


def _features(outputs: NetworkOutputs) -> dict[str, NDArray[np.float32]]:
    chosen = (
        ("best_animal", "best_other") if outputs.knows_others else ("best_animal", "all_animals")
    )
    found = features_of(outputs.logits, outputs.animals)
    return {name: found[name] for name in chosen}


def _candidates(
    features: dict[str, NDArray[np.float32]], outputs: NetworkOutputs
) -> Iterator[tuple[Floats, float]]:
    """Yield what may be looked at, with its penalty; the embedding where labels say too little."""
    plain = np.stack(list(features.values()), axis=1).astype(np.float64)
    yield plain, FREE
    if outputs.knows_others:
        return
    unit = at_length_1(outputs.embedding)
    whole = np.column_stack([plain, SPREAD * unit.astype(np.float64)])
    for penalty in PENALTIES:
        yield whole, penalty


def _balanced(kind: NDArray[np.str_], animal: Mask, other: Mask) -> Floats:
    """Return the weight (W,) of each window: animals half of all, known and unknown species alike;
    the other kinds share the rest evenly.
    """
    weight = np.zeros(len(kind))
    for side in (animal, other):
        kinds = np.unique(kind[side])
        for name in kinds:
            mine = side & (kind == name)
            weight[mine] = 1 / len(kinds) / mine.sum()
    scaled: Floats = weight * (animal | other).sum() / 2
    return scaled


def _rule(fit: Fit, names: Sequence[str], threshold: float) -> AnimalRule:
    embedding = SPREAD * fit.weights[len(names) :]
    return AnimalRule(
        weights={
            name: _rounded(float(weight))
            for name, weight in zip(names, fit.weights[: len(names)], strict=True)
        },
        bias=_rounded(fit.bias),
        threshold=round(threshold, 4),
        embedding=tuple(_rounded(float(weight)) for weight in embedding),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
