"""Who is heard where: test and dev, and the folds of dev.

No system is judged on a recordist that it trained on, unless a plan asks for that. Bins are
numbered 0 = test, 1 + f = fold f of dev; fold 0 is validation unless said otherwise. The laws,
whatever the recordings:

- A recordist (`recordist_key`; without one, a recording) of known or unknown species is in one bin.
- An unknown species is in one bin, so that a rejection rule chosen on some is tested on others; a
  recording that cannot have both is left out (split "unused").
- Every known species is in a fold that trains; one or two groups are too few for the rest, and the
  species is named.
- Noise is dealt by recording within its label; background in runs of consecutive recordings, since
  neighbours sound alike.

The same recordings, parameters and seed give the same split.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from train.corpus.annealing import anneal_counts
from train.corpus.corpus import Recording, Role, recordist_key

__all__ = ["SplitPlan", "Unit", "group_of", "split_recordings", "unsplittable"]

Unit = Literal["recordist", "recording"]
TEST = 0
USES = ("test", "validation", "training")
# Of unknown species: the open-set numbers are only as good as the variety of what is rejected.
UNKNOWN_TEST_SHARE = 1 / 3
# Stretches of the day that a bin gets, so that it is neither all night nor all noon.
BACKGROUND_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """How to draw the split.

    It holds the share of known recordings in test, the number of folds of the rest, and the seed.
    `by` recording, a recordist may be in several bins, as in the papers that draw clips at random:
    a network then also knows people and places again, and looks better than it is.
    """

    test_share: float = 0.2
    folds: int = 5
    seed: int = 0
    by: Unit = "recordist"

    def __post_init__(self) -> None:
        if not 0 <= self.test_share < 1:
            raise ConfigError(f"test share {self.test_share}: needs 0 <= share < 1")
        if self.folds < 2:
            raise ConfigError(
                f"{self.folds} folds: needs at least 2, one to validate and one to train"
            )

    def targets(self, test_share: float) -> NDArray[np.float64]:
        """Return the wanted share of each bin (1 + folds,)."""
        return np.array([test_share] + [(1 - test_share) / self.folds] * self.folds)


def group_of(recording: Recording, by: Unit = "recordist") -> str:
    """Return the name of what must not be torn apart.

    A species has its recordist's; a noise, what has no recordist, and `by` recording all have their
    recording's.
    """
    animal = recording.role in ("known", "unknown")
    person = recordist_key(recording.recordist) if animal and by == "recordist" else ""
    if person:
        return f"recordist {person}"
    return f"recording {recording.recording or recording.path.as_posix()}"


def split_recordings(recordings: Sequence[Recording], plan: SplitPlan) -> tuple[Recording, ...]:
    """Return the same recordings, in the same order, with `split` and `fold` filled in."""
    rng = np.random.default_rng(plan.seed)
    by_role: dict[Role, list[int]] = {"known": [], "unknown": [], "noise": [], "background": []}
    for i, recording in enumerate(recordings):
        by_role[recording.role].append(i)
    bins = np.full(len(recordings), -1)
    people = _place_known(recordings, by_role["known"], by_role["unknown"], plan, rng)
    for i in by_role["known"]:
        bins[i] = people[group_of(recordings[i], plan.by)]
    _place_unknown(recordings, by_role["unknown"], people, plan, rng, bins)
    _deal_noise(recordings, by_role["noise"], plan, rng, bins)
    _cut_background(recordings, by_role["background"], plan, rng, bins)
    return tuple(_in_bin(recording, int(b)) for recording, b in zip(recordings, bins, strict=True))


def unsplittable(recordings: Sequence[Recording]) -> dict[str, str]:
    """Return known labels that are not in test, validation and training, each with the reason."""
    groups: dict[str, set[str]] = defaultdict(set)
    places: dict[str, set[str]] = defaultdict(set)
    for r in recordings:
        if r.role == "known":
            groups[r.label].add(group_of(r))
            places[r.label].add(_use(r))
    reasons = {}
    for label in sorted(groups):
        absent = [use for use in USES if use not in places[label]]
        if absent:
            count = len(groups[label])
            few = f"only {count} recordist{'s' * (count > 1)}"
            why = few if count < 3 else f"its {count} recordists were needed elsewhere"
            reasons[label] = f"not in {' or '.join(absent)}: {why}"
    return reasons


def _use(recording: Recording) -> str:
    if recording.split == "test":
        return "test"
    return "validation" if recording.fold == 0 else "training"


def _in_bin(recording: Recording, b: int) -> Recording:
    if b < 0:
        return dataclasses.replace(recording, split="unused", fold=-1)
    return dataclasses.replace(recording, split="test" if b == TEST else "dev", fold=b - 1)


def _numbered(keys: Sequence[Hashable]) -> tuple[list[Hashable], NDArray[np.int64]]:
    """Return distinct keys in order of appearance, and the number of each key."""
    order = list(dict.fromkeys(keys))
    numbers = {key: i for i, key in enumerate(order)}
    return order, np.array([numbers[key] for key in keys], np.int64)


def _place_known(
    recordings: Sequence[Recording],
    known: list[int],
    unknown: list[int],
    plan: SplitPlan,
    rng: np.random.Generator,
) -> dict[str, int]:
    """Return the bin of every group with a known recording.

    Two more classes keep the whole in proportion: all known recordings together, else the wish to
    test every species takes a third of the corpus from training, and the groups' unknown
    recordings, of which the test needs its share.
    """
    if not known:
        return {}
    groups, group = _numbered([group_of(recordings[i], plan.by) for i in known])
    labels, label = _numbered([recordings[i].label for i in known])
    counts = np.zeros((len(groups), len(labels) + 2), np.int64)
    np.add.at(counts, (group, label), 1)
    counts[:, -2] = counts.sum(axis=1)
    numbers = {key: i for i, key in enumerate(groups)}
    for i in unknown:
        if (key := group_of(recordings[i], plan.by)) in numbers:
            counts[numbers[key], -1] += 1
    targets = np.tile(plan.targets(plan.test_share), (counts.shape[1], 1))
    targets[-1] = plan.targets(UNKNOWN_TEST_SHARE)
    bins = anneal_counts(counts, targets, extra_classes=2, rng=rng)
    return {str(key): int(b) for key, b in zip(groups, bins, strict=True)}


def _place_unknown(
    recordings: Sequence[Recording],
    unknown: list[int],
    people: dict[str, int],
    plan: SplitPlan,
    rng: np.random.Generator,
    bins: NDArray[np.int64],
) -> None:
    """Fill the bins of unknown species.

    Each species goes where most of its recordings can, then where recordings lack.
    """
    wanted = plan.targets(UNKNOWN_TEST_SHARE) * len(unknown)
    kept = np.zeros(len(wanted))
    people = dict(people)
    species: dict[str, list[int]] = defaultdict(list)
    for i in unknown:
        species[recordings[i].label].append(i)
    group = {i: group_of(recordings[i], plan.by) for i in unknown}
    order = [list(species)[j] for j in rng.permutation(len(species))]
    # Species tied to one bin come first: the free ones then even out what those left.
    order.sort(key=lambda label: not all(group[i] in people for i in species[label]))
    for label in order:
        tied = Counter(people[group[i]] for i in species[label] if group[i] in people)
        free = sum(group[i] not in people for i in species[label])
        keeps = np.array([tied[b] + free for b in range(len(wanted))])
        lack = (wanted - kept) / np.maximum(wanted, 1e-9)
        b = int(np.lexsort((-lack, -keeps))[0])
        for i in species[label]:
            if people.setdefault(group[i], b) == b:
                bins[i] = b
                kept[b] += 1


def _deal_noise(
    recordings: Sequence[Recording],
    noise: list[int],
    plan: SplitPlan,
    rng: np.random.Generator,
    bins: NDArray[np.int64],
) -> None:
    """Deal groups of each label, largest first, to the bin that lacks most of that label."""
    targets = plan.targets(plan.test_share)
    groups: dict[str, list[int]] = defaultdict(list)
    for i in noise:
        groups[group_of(recordings[i])].append(i)
    totals = Counter(recordings[i].label for i in noise)
    dealt: dict[str, NDArray[np.float64]] = {label: np.zeros(len(targets)) for label in totals}
    shuffled = [list(groups.values())[j] for j in rng.permutation(len(groups))]
    for members in sorted(shuffled, key=len, reverse=True):
        label = recordings[members[0]].label
        lack = targets * totals[label] - dealt[label]
        b = int(np.argmax(lack + rng.uniform(0, 1e-3, len(lack)) * (targets > 0)))
        bins[members] = b
        for i in members:
            dealt[recordings[i].label][b] += 1


def _cut_background(
    recordings: Sequence[Recording],
    background: list[int],
    plan: SplitPlan,
    rng: np.random.Generator,
    bins: NDArray[np.int64],
) -> None:
    """Cut each recorder's sequence into `BACKGROUND_ROUNDS` rounds.

    In each round every bin has one contiguous run, in another order.
    """
    recorders: dict[tuple[str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i in background:
        r = recordings[i]
        recorders[r.label, r.recordist][group_of(r)].append(i)
    targets = plan.targets(plan.test_share)
    for sequence in recorders.values():
        names = sorted(sequence)
        for half in np.array_split(np.arange(len(names)), min(BACKGROUND_ROUNDS, len(names))):
            order = rng.permutation(len(targets))
            edges = np.round(np.cumsum(targets[order]) * len(half)).astype(int)
            for place, j in enumerate(half):
                bins[sequence[names[j]]] = order[int(np.searchsorted(edges, place, side="right"))]
