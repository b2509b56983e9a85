"""What flows between the stages: frozen values, a unit on every number, a shape on every array.

AudioBlock -> Window -> Prediction (one per window) -> Detection (one per event)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Array",
    "AudioBlock",
    "Detection",
    "EventState",
    "Frames",
    "Gap",
    "Prediction",
    "Score",
    "SignalHealth",
    "Window",
]

Array = NDArray[np.float32]
EventState = Literal["new", "update", "end"]


@dataclass(frozen=True, kw_only=True)
class AudioBlock:
    """Consecutive mono samples (n,) float32, full scale 1; `start_sample` counts from the start of
    the stream.

    A jump of `start_sample` past the previous block's end is lost audio. `last` says that the
    recording ends with this block.
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
    """Samples that nobody heard: `lost` by the sound card or its server, or `dropped` by us,
    because inference was late.
    """

    start_sample: int
    end_sample: int
    reason: Literal["lost", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """What the model hears at once: samples (window,) float32, never across lost audio; the
    receiver owns the array.

    `end_sample` is the end of the audio heard: for a recording shorter than a window, which is
    looped, it is the recording's end.
    """

    start_sample: int
    end_sample: int
    samples: Array
    sample_rate_hz: int


@dataclass(frozen=True, kw_only=True)
class SignalHealth:
    """State of the signal in one window. Levels in dB re full scale, `dc` in full scales,
    `clip_ratio` in 0..1 of the samples.

    `dead`: nothing but silence. `stuck`: a constant offset, or railed at full scale. Either one
    gates the window.
    """

    rms_dbfs: float
    peak_dbfs: float
    clip_ratio: float
    dc: float
    dead: bool
    stuck: bool

    @property
    def gated(self) -> bool:
        """Whether the signal cannot carry a sound, so that the model is not asked."""
        return self.dead or self.stuck


@dataclass(frozen=True, kw_only=True)
class Score:
    """A label and its score in 0..1; a score is not a probability."""

    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Frames:
    """When in a window each label is heard: `active` (T, K), whether it is in each of T equal parts
    of `window_samples`.
    """

    active: NDArray[np.bool_]
    window_samples: int

    def span(self, k: int) -> tuple[int, int] | None:
        """First sample of the first part and end of the last with label `k`, from the start of the
        window; None without one.
        """
        parts, count = np.flatnonzero(self.active[:, k]), len(self.active)
        if not len(parts):
            return None
        return int(parts[0]) * self.window_samples // count, (
            int(parts[-1]) + 1
        ) * self.window_samples // count


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model says of one window. `label` is None when rejected; `nearest` is then the label
    it resembles most.

    A bundle that gives several labels at once puts the best first, as `label`, and the `others`
    after it, best first. `score` in 0..1 belongs to `nearest`; `novelty` in 0..1 is above 0.5 when
    rejected; `top` are the best labels, best first. A gated window has neither label nor nearest,
    score 0, novelty 1 and empty arrays. `scores` (K,), `embedding` (D,) float32. `open_novelty` is
    what the open-set rule alone said, where `novelty` says that no label reached its threshold;
    else None. `frontend_s` and `network_s` are the time that features and network took; they belong
    to this run, not to the sound.
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
    frames: Frames | None = field(default=None, repr=False, compare=False)
    open_novelty: float | None = field(default=None, repr=False, compare=False)
    frontend_s: float = field(default=0.0, repr=False, compare=False)
    network_s: float = field(default=0.0, repr=False, compare=False)

    @property
    def rule_novelty(self) -> float:
        """Of the open-set rule alone: what windows are averaged by."""
        return self.novelty if self.open_novelty is None else self.open_novelty

    @property
    def accepted(self) -> tuple[Score, ...]:
        """All labels that the window carries, best first."""
        return (
            (Score(label=self.label, score=self.score), *self.others)
            if self.label is not None
            else ()
        )

    def carrying(self, accepted: tuple[Score, ...]) -> Prediction:
        """The same window with these labels only, of which there must be one."""
        first, *others = accepted
        return replace(
            self, label=first.label, nearest=first.label, score=first.score, others=tuple(others)
        )

    @property
    def start_s(self) -> float:
        """Start in seconds from the start of the stream."""
        return self.start_sample / self.sample_rate_hz

    @property
    def end_s(self) -> float:
        """End in seconds from the start of the stream."""
        return self.end_sample / self.sample_rate_hz


@dataclass(frozen=True, kw_only=True)
class Detection:
    """An event: consecutive windows that agree. One `id` through its states new, update, end.

    Score, novelty, nearest, top, health and embedding are those of its peak window, which starts at
    `peak_sample`: the one with the highest score of a species, or with the highest novelty of an
    unknown (`label` None). Start and end are those of its windows, or within them, where the bundle
    hears in frames; the start may move with the states then.
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

    @property
    def start_s(self) -> float:
        """Start in seconds from the start of the stream."""
        return self.start_sample / self.sample_rate_hz

    @property
    def end_s(self) -> float:
        """End in seconds from the start of the stream."""
        return self.end_sample / self.sample_rate_hz
