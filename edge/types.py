"""The values between the stages: frozen, with a unit on every number, a shape on every array.

AudioBlock -> Window -> Prediction (one per window) -> Detection (one per event)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.frames import Frames
from edge.signal import SignalHealth

__all__ = [
    "Array",
    "AudioBlock",
    "Detection",
    "EventState",
    "Frames",
    "Gap",
    "Novelties",
    "Outcome",
    "Prediction",
    "Score",
    "SignalHealth",
    "Window",
]

Array = NDArray[np.float32]
Novelties = NDArray[np.float64]
EventState = Literal["new", "update", "end"]
# An animal of the labels, one that is none of them, another sound with a label, or neither.
Outcome = Literal["label", "unknown", "other", "nothing"]


@dataclass(frozen=True, kw_only=True)
class AudioBlock:
    """Consecutive mono samples (n,) float32, full scale 1.

    `start_sample` counts from the start of the stream; a jump past the previous block's end is lost
    audio. `last` says that the recording ends with this block, or one of the stretches that it
    consists of: what a trigger has recorded, or what is whole between two places of damage.
    """

    start_sample: int
    samples: Array
    sample_rate_hz: int
    last: bool = False

    @property
    def end_sample(self) -> int:
        """Index of the sample after the last."""
        return self.start_sample + len(self.samples)


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Samples that are missing from the stream.

    They were `lost` by the sound card or its server, or `dropped` here because inference was late.
    """

    start_sample: int
    end_sample: int
    reason: Literal["lost", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """What the model judges at once: samples (window,) float32, never across lost audio.

    The receiver owns the array. `end_sample` is the end of the audio in it: that of the recording
    where this is shorter than a window and repeated to fill it.
    """

    start_sample: int
    end_sample: int
    samples: Array
    sample_rate_hz: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """A label and its score in 0..1; a score is not a probability."""

    label: str
    score: float


class _Lasting:
    """What lasts from a sample to another."""

    start_sample: int
    end_sample: int
    sample_rate_hz: int

    @property
    def start_s(self) -> float:
        """Start in seconds from the start of the stream."""
        return self.start_sample / self.sample_rate_hz

    @property
    def end_s(self) -> float:
        """End in seconds from the start of the stream."""
        return self.end_sample / self.sample_rate_hz


@dataclass(frozen=True, kw_only=True)
class Prediction(_Lasting):
    """What the model says about one window; `label` is None when it is rejected.

    `nearest` is the label that the window resembles most, and `score` in 0..1 is that label's;
    `novelty` in 0..1 is above 0.5 when the window is rejected; `top` are the best labels, best
    first. A bundle that gives several labels at once puts the best first, as `label`, and the
    `others` after it, best first. A gated window has neither label nor nearest, score 0, novelty 1
    and empty arrays. `scores` (K,) and `embedding` (D,) are float32; where several networks judge
    together, `highest` (K,) is the best score of any of them, and of a head (N,) what its trunk
    says of all that it knows. `animal` in 0..1 says how surely an animal stands out, None where the
    bundle cannot tell; `stands_out` whether it is sure enough that a window without a label is
    unknown, and not nothing. `open_novelty` is the result of the open-set rule alone where
    `novelty` says that no label reached its threshold, else None; of several heads that decide on
    labels of their own, `novelties` (L,) are the results of each one's rule. `frontend_s` and
    `network_s` are the time that they took in this run.
    """

    start_sample: int
    end_sample: int
    sample_rate_hz: int
    label: str | None
    nearest: str | None
    score: float
    novelty: float
    top: tuple[Score, ...]
    health: SignalHealth
    scores: Array = field(repr=False, compare=False)
    embedding: Array = field(repr=False, compare=False)
    others: tuple[Score, ...] = ()
    animal: float | None = None
    stands_out: bool = True
    frames: Frames | None = field(default=None, repr=False, compare=False)
    open_novelty: float | None = field(default=None, repr=False, compare=False)
    novelties: Novelties | None = field(default=None, repr=False, compare=False)
    highest: Array | None = field(default=None, repr=False, compare=False)
    frontend_s: float = field(default=0.0, repr=False, compare=False)
    network_s: float = field(default=0.0, repr=False, compare=False)

    @property
    def gated(self) -> bool:
        """Whether the signal cannot carry a sound, so that no model was asked."""
        return self.health.gated

    @property
    def rule_novelties(self) -> Novelties:
        """Novelty by each open-set rule alone (L,), which is what is averaged over windows."""
        if self.novelties is not None:
            return self.novelties
        return np.array([self.novelty if self.open_novelty is None else self.open_novelty])

    @property
    def highest_scores(self) -> Array:
        """Scores (K,), of several networks the best of any, of a head those of its trunk (N,)."""
        return self.scores if self.highest is None else self.highest

    def score_of(self, k: int) -> float:
        """Return the score of label `k`."""
        return float(self.scores[k])

    @property
    def is_nothing(self) -> bool:
        """Whether the window has no label, and no animal stands out in it either."""
        return self.label is None and not self.stands_out

    @property
    def strength(self) -> float:
        """How well it shows what it is, among the windows of an event: the score of its label, or
        how surely an unknown one is an animal, or else how novel it is.
        """
        if self.label is not None:
            return self.score
        return self.novelty if self.animal is None else self.animal

    @property
    def accepted(self) -> tuple[Score, ...]:
        """All labels that the window carries, best first."""
        if self.label is None:
            return ()
        return (Score(label=self.label, score=self.score), *self.others)

    def carrying(self, accepted: tuple[Score, ...]) -> Prediction:
        """Return the same window with these labels only, of which there must be one."""
        first, *others = accepted
        return replace(
            self, label=first.label, nearest=first.label, score=first.score, others=tuple(others)
        )


@dataclass(frozen=True, kw_only=True)
class Detection(_Lasting):
    """An event: consecutive windows that agree, with one `id` through the states new, update, end.

    Score, novelty, nearest, top, health and embedding are those of its peak window, which starts at
    `peak_sample`: the one with the highest score of a species; of an unknown (`label` None) the one
    in which an animal stands out most (`animal`) or, where the bundle cannot tell, the most novel.
    Start and end are those of its windows, or within them where frames or overlapping windows tell
    more; they may then move, and each is off by about its uncertainty at most. The peak window may
    begin before the event.
    """

    id: str
    state: EventState
    label: str | None
    nearest: str
    score: float
    novelty: float
    top: tuple[Score, ...]
    start_sample: int
    end_sample: int
    peak_sample: int
    sample_rate_hz: int
    windows: int
    health: SignalHealth
    embedding: Array = field(repr=False, compare=False)
    start_uncertainty_s: float | None = None
    end_uncertainty_s: float | None = None
    animal: float | None = None
