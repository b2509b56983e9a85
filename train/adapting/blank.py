"""A top before it has learnt anything: what its trunk knows of a study's labels."""

from __future__ import annotations

import dataclasses

import numpy as np

from edge.bundle import Bundle, Label
from edge.bundle.top import Top
from train.corpus.corpus import Corpus, Recording
from train.corpus.species_match import Names

__all__ = ["blank_top"]


def blank_top(trunk: Bundle, corpus: Corpus) -> tuple[Top, tuple[Label, ...]]:
    """Return the top that knows what its trunk has and nothing else, and the head's labels."""
    names = Names(trunk.labels)
    first = {r.label: r for r in reversed(corpus.of(role="known"))}
    own = [_own(names, first[label.label]) for label in corpus.labels]
    labels = tuple(
        _called(label, trunk.labels[k] if k >= 0 else None)
        for label, k in zip(corpus.labels, own, strict=True)
    )
    animals = {k for k, label in enumerate(trunk.labels) if label.kind == "animal"}
    sounds = set(range(len(trunk.labels))) - animals - set(own)
    dimensions = len(trunk.golden.embedding)
    return (
        Top(
            weights=np.zeros((dimensions, len(own)), np.float32),
            bias=np.zeros(len(own), np.float32),
            gain=1.0,
            own=np.array(own, np.int64),
            others=np.array(sorted(animals - set(own)), np.int64),
            sounds=np.array(sorted(sounds), np.int64),
        ),
        labels,
    )


def _own(names: Names, recording: Recording) -> int:
    """Return where a recording's species stands among the trunk's labels, -1 where it does not.

    Of species that nobody tells apart, "Genus one/other", the first that is there stands for all.
    """
    found = names.position(recording)
    genus, _, epithets = recording.scientific_name.partition(" ")
    for epithet in epithets.split("/") if "/" in epithets and found < 0 else ():
        one = dataclasses.replace(recording, scientific_name=f"{genus} {epithet}")
        if (found := names.position(one)) >= 0:
            break
    return found


def _called(label: Label, same: Label | None) -> Label:
    """Return a label with the names that the trunk has for the same species."""
    if same is None:
        return label
    plain = label.common_name in ("", label.label)
    return dataclasses.replace(
        label,
        common_name=same.common_name if plain else label.common_name,
        scientific_name=label.scientific_name or same.scientific_name,
        names=same.names if "/" not in label.scientific_name else {},
    )
