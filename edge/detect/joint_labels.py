"""The labels of several heads on one trunk as one list, in which each belongs to one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle import FP32, Bundle, Label
from edge.bundle.occurrence import Occurrence

__all__ = ["OwnLabels", "joint_bundle", "own_labels"]

Ints = NDArray[np.int64]
EVERYWHERE = 100.0  # a logit: what a trunk does not know may live anywhere
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class OwnLabels:
    """The labels that a bundle decides on: `labels`, which stand at `places` (K,) among all of its.

    `in_trunk` (K,) are their places among the trunk's, -1 for one that it lacks.
    """

    labels: tuple[Label, ...]
    places: Ints
    in_trunk: Ints


def own_labels(bundles: Iterable[Bundle], trunk: Bundle) -> list[OwnLabels]:
    """Return for each bundle the labels that none before it has; all stand on `trunk`.

    Two labels are one that have the same scientific name, or are the same word, or the same label
    of the trunk. Those of one bundle are never one. A label has the names of the trunk's in
    languages that it lacks.
    """
    taken: set[object] = set()
    by_name = {name: k for k, label in enumerate(trunk.labels) if (name := _scientific(label))}
    found = []
    for bundle in bundles:
        everywhere = _in_trunk(bundle, by_name)
        labels = list(zip(bundle.labels, everywhere, strict=True))
        own = [k for k, pair in enumerate(labels) if taken.isdisjoint(_keys(*pair))]
        taken.update(key for k in own for key in _keys(*labels[k]))
        found.append(
            OwnLabels(
                labels=tuple(_named(label, k, trunk) for label, k in (labels[k] for k in own)),
                places=np.array(own, np.int64),
                in_trunk=everywhere[own],
            )
        )
    return found


def _in_trunk(bundle: Bundle, by_name: dict[str, int]) -> Ints:
    """Return where each label of a bundle stands among those of its trunk, -1 for nowhere."""
    top = bundle.networks[FP32].top
    if top is None:
        return np.arange(len(bundle.labels))
    pairs = zip(top.own.tolist(), bundle.labels, strict=True)
    places = [own if own >= 0 else by_name.get(_scientific(label), -1) for own, label in pairs]
    return np.array(places, np.int64)


def _keys(label: Label, in_trunk: int) -> set[object]:
    """Return by what a label is known: any of them in common, and two labels are one."""
    keys: set[object] = {("word", label.label)}
    if name := _scientific(label):
        keys.add(("name", name))
    return keys | ({("trunk", int(in_trunk))} if in_trunk >= 0 else set())


def _scientific(label: Label) -> str:
    return label.scientific_name.casefold()


def _named(label: Label, in_trunk: int, trunk: Bundle) -> Label:
    if in_trunk < 0:
        return label
    names = {**trunk.labels[in_trunk].names, **label.names}
    return dataclasses.replace(label, names=names)


def joint_bundle(bundles: Sequence[Bundle], base: Bundle, own: Sequence[OwnLabels]) -> Bundle:
    """Return what `bundles` are together, for people and lists: `base` with the labels of all.

    Nothing can be judged with it. It knows of places what `base` does; a label that the trunk lacks
    may live anywhere. What the trunk calls a label stays a name of it.
    """
    labels = tuple(label for part in own for label in part.labels)
    in_trunk = np.concatenate([part.in_trunk for part in own])
    occurrence = base.occurrence
    if occurrence is not None:
        occurrence = _for_labels(occurrence, in_trunk)
    trunk = base if base.trunk is None else base.trunk
    pairs = [(x, trunk.labels[k]) for x, k in zip(labels, in_trunk, strict=True) if k >= 0]
    manifest = dataclasses.replace(
        base.manifest,
        name="+".join(bundle.manifest.name for bundle in bundles)[:LONGEST_NAME],
        labels=labels,
        label_thresholds={},
    )
    return dataclasses.replace(
        base,
        manifest=manifest,
        occurrence=occurrence,
        synonyms=tuple(
            Label(label=label.label, common_name=name)
            for label, known_as in pairs
            for name in (known_as.label, known_as.common_name)
            if label.label != known_as.label
        ),
    )


def _for_labels(occurrence: Occurrence, places: Ints) -> Occurrence:
    """Return the same knowledge for labels at `places` of it; -1 is everywhere."""
    *hidden, (weights, biases) = occurrence.layers
    known = places >= 0
    last = (
        np.where(known[:, np.newaxis], weights[places], 0).astype(np.float32),
        np.where(known, biases[places], EVERYWHERE).astype(np.float32),
    )
    return dataclasses.replace(occurrence, layers=(*hidden, last))
