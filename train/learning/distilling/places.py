"""Where training windows are cut: what the teacher hears in every recording, looked at once.

A label says that its species is somewhere in the file. The teacher says where: windows whose own
logit is near the recording's best hold it; of a species that the teacher lacks, those where it
hears any animal best. Where it hears nothing, there is a pause.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from train.corpus.corpus import Recording
from train.corpus.species_match import Names
from train.learning.distilling.sounds import Sounds
from train.learning.distilling.teacher import Teacher
from train.windows.listening import NEAR

__all__ = ["Heard", "Places", "hear", "places_of"]

HOP_S = 1.0
AT_ONCE = 64  # windows
SURE = 0.0  # the logit from which on the teacher's word is taken
PAUSE = -3.0  # and below which there is no animal
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """W windows of all recordings: first sample (W,), number of the recording (W,), the teacher's
    logits of the labels (W, K), -inf of one that it lacks, and of the loudest animal (W,).
    """

    start: Ints
    recording: Ints
    own: Floats
    animal: Floats


@dataclass(frozen=True, kw_only=True)
class Places:
    """Windows to draw: first sample of what the teacher heard, borders of the recording, the
    position of the species (-1: none of them), and how likely each is drawn, in order, added up.
    """

    start: Ints
    first: Ints
    end: Ints
    species: Ints
    upto: NDArray[np.float64]

    def draw(
        self, rng: np.random.Generator, count: int, *, window: int, heard: int
    ) -> tuple[Ints, Ints]:
        """Return first samples (count,) of windows around what was heard, and species (count,)."""
        i = np.searchsorted(self.upto, rng.random(count), side="right").clip(max=len(self.upto) - 1)
        moved = self.start[i] - rng.integers(0, window - heard + 1, count)
        return moved.clip(self.first[i], self.end[i] - window), self.species[i]

    def middles(self, window: int, heard: int) -> Ints:
        """Return first samples of windows with what was heard in the middle."""
        return (self.start - (window - heard) // 2).clip(self.first, self.end - window)


def hear(teacher: Teacher, sounds: Sounds, own: Ints) -> Heard:
    """Return what the teacher says of every recording, each `HOP_S`.

    `own` (K,) are the positions of the labels among its own, -1 of one that it lacks.
    """
    animals = torch.tensor([i for i, label in enumerate(teacher.labels) if label.kind == "animal"])
    hop, length = round(HOP_S * sounds.rate_hz), teacher.window_samples
    starts = [
        np.arange(a, b - length + 1, hop) for a, b in zip(sounds.starts, sounds.ends, strict=True)
    ]
    flat = np.concatenate(starts)
    has = own >= 0
    columns, loudest = [], []
    for begin in range(0, len(flat), AT_ONCE):
        _, logits = teacher(sounds.cut(flat[begin : begin + AT_ONCE], length))
        loudest.append(logits[:, animals.to(logits.device)].amax(1).cpu().numpy())
        columns.append(logits[:, torch.as_tensor(own[has], device=logits.device)].cpu().numpy())
    known = np.full((len(flat), len(own)), -np.inf, np.float32)
    known[:, has] = np.concatenate(columns)
    return Heard(
        start=flat,
        recording=np.repeat(np.arange(len(starts)), [len(s) for s in starts]),
        own=known,
        animal=np.concatenate(loudest),
    )


def own_positions(teacher: Teacher, recordings: Sequence[Recording], names: Sequence[str]) -> Ints:
    """Return where each label stands among the teacher's (K,), -1 for one that it lacks."""
    first = {r.label: r for r in reversed(recordings) if r.role == "known"}
    find = Names(teacher.labels)
    return np.array([find.position(first[name]) for name in names], np.int64)


def places_of(
    heard: Heard, sounds: Sounds, recordings: Sequence[Recording], names: Sequence[str]
) -> Mapping[str, Places]:
    """Return the windows to draw of each kind: known, unknown, noise, background, quiet.

    A kind that no recording has is missing.
    """
    index = {name: k for k, name in enumerate(names)}
    species = np.array([index.get(r.label, -1) if r.role == "known" else -1 for r in recordings])
    own = species[heard.recording]
    roles = np.array(["unknown" if r.role == "known" else r.role for r in recordings])[
        heard.recording
    ]
    roles = np.where(own >= 0, "known", roles)
    level = np.where(own >= 0, heard.own[np.arange(len(own)), own.clip(0)], heard.animal)
    level = np.where(np.isfinite(level), level, heard.animal)
    best = np.full(len(recordings), -np.inf, np.float32)
    np.maximum.at(best, heard.recording, level)
    near = level >= best[heard.recording] - NEAR
    of_labels = heard.own.max(1, initial=-np.inf) >= SURE
    animal = (roles == "known") | (roles == "unknown")
    kinds = {
        "known": (roles == "known") & near,
        "unknown": (roles == "unknown") & near & ~of_labels,
        "noise": (roles == "noise") & ~of_labels,
        "background": (roles == "background") & ~of_labels,
        "quiet": animal & (heard.animal < PAUSE),
    }
    label, none = _numbered([r.label for r in recordings])[heard.recording], np.full_like(own, -1)
    groups = dict.fromkeys(kinds, label) | {"known": own, "quiet": np.zeros_like(own)}
    return {
        kind: _places(heard, sounds, mask, groups[kind], own if kind == "known" else none)
        for kind, mask in kinds.items()
        if mask.any()
    }


def _places(
    heard: Heard, sounds: Sounds, mask: NDArray[np.bool_], group: Ints, own: Ints
) -> Places:
    """Return the windows of `mask`.

    Groups are as likely as each other, recordings by the square root of their windows.
    """
    at, recording, group = np.flatnonzero(mask), heard.recording[mask], group[mask]
    windows = np.bincount(recording)[recording]
    weight = np.sqrt(windows) / windows
    share = weight / np.bincount(group, weights=weight)[group]
    upto = np.cumsum(share) / share.sum()
    return Places(
        start=heard.start[at],
        first=sounds.starts[recording],
        end=sounds.ends[recording],
        species=own[at],
        upto=upto,
    )


def _numbered(labels: Sequence[str]) -> Ints:
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], np.int64)
