"""Predictions that are rows of arrays: what is costly to make is made when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.detect.decision import Decision, Mask, best
from edge.detect.judgement import Judgement
from edge.detect.unjudged import NOTHING
from edge.signal import SignalHealth
from edge.types import Prediction

__all__ = ["Row", "Rows", "Windows"]

Samples = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows (N,) before they are judged, in their order, of recordings that follow each other.

    `start` and `end` are in samples, `recording` numbers the recordings, `health` has the fields of
    `SignalHealth` by their names. Behind a window, sound goes on at each of its `breaks`.
    """

    start: Samples
    end: Samples
    recording: NDArray[np.int64]
    sample_rate_hz: int
    health: dict[str, NDArray[Any]]
    breaks: dict[int, list[int]]

    @cached_property
    def gated(self) -> Mask:
        """Which of them carry no sound, so that no model was asked."""
        gated: Mask = self.health["dead"] | self.health["stuck"]
        return gated

    @cached_property
    def overlap(self) -> Samples:
        """Samples (N - 1,) that each window shares with the next of its recording."""
        ends = np.minimum(self.end[1:], self.end[:-1])
        starts = np.maximum(self.start[1:], self.start[:-1])
        joined = self.recording[1:] == self.recording[:-1]
        return np.where(joined, np.maximum(ends - starts, 0), 0)

    @cached_property
    def starts(self) -> list[int]:
        """Where they start, to be looked up one by one."""
        starts: list[int] = self.start.tolist()
        return starts

    @cached_property
    def ends(self) -> list[int]:
        """Where they end, to be looked up one by one."""
        ends: list[int] = self.end.tolist()
        return ends

    def part(self, first: int, end: int) -> Windows:
        """Return the windows from `first` to before `end`."""
        chosen = slice(first, end)
        return Windows(
            start=self.start[chosen],
            end=self.end[chosen],
            recording=self.recording[chosen],
            sample_rate_hz=self.sample_rate_hz,
            health={name: column[chosen] for name, column in self.health.items()},
            breaks={i - first: at for i, at in self.breaks.items() if first <= i < end},
        )

    def gated_prediction(self, i: int) -> Prediction:
        """Return window `i`, which is gated."""
        return Prediction(
            start_sample=int(self.start[i]),
            end_sample=int(self.end[i]),
            sample_rate_hz=self.sample_rate_hz,
            label=None,
            nearest=None,
            score=0.0,
            novelty=1.0,
            top=(),
            health=self.signal_health(i),
            scores=NOTHING,
            embedding=NOTHING,
        )

    def signal_health(self, i: int) -> SignalHealth:
        """Return the state of the signal in window `i`."""
        return SignalHealth(**{name: column[i].item() for name, column in self.health.items()})


class Row(Prediction):
    """The prediction of a window that was not gated; what it lacks, it takes from `Rows`."""

    @property
    def gated(self) -> bool:
        """See `Prediction.gated`."""
        return False

    def score_of(self, k: int) -> float:
        """See `Prediction.score_of`."""
        rows = self.__dict__.get("_rows")
        if rows is None:  # it was made of another row, with scores of its own
            return super().score_of(k)
        score: float = rows.judged.scores.item(self.__dict__["_i"], k)
        return score

    def __getattr__(self, name: str) -> Any:
        rows, i = self.__dict__["_rows"], self.__dict__["_i"]
        value = self.__dict__[name] = rows.value(name, i)
        return value


class Rows:
    """Windows with what was said of them, of which `decision` makes predictions."""

    def __init__(self, windows: Windows, judged: Judgement, decision: Decision) -> None:
        self.windows = windows
        self.judged = judged
        self._decision = decision

    def bare(self, i: int) -> Row:
        """Return window `i` without a label, whatever its scores are."""
        row = Row.__new__(Row)
        row.__dict__.update(
            _rows=self,
            _i=i,
            start_sample=self.windows.starts[i],
            end_sample=self.windows.ends[i],
            sample_rate_hz=self.windows.sample_rate_hz,
            label=None,
            score=0.0,
        )
        return row

    def quiet(self, i: int) -> Row:
        """Return window `i`, in which there is nothing."""
        row = self.bare(i)
        row.__dict__["stands_out"] = False
        return row

    def prediction(self, i: int) -> Prediction:
        """Return what the decision makes of window `i`."""
        if self._decision.gives_one:
            return self._one(i)
        row = self.bare(i)
        row.__dict__.update(nearest=None, novelty=1.0, top=(), frames=self.judged.frames(i))
        return self.judged.decided(row, i, self._decision)

    def value(self, name: str, i: int) -> Any:
        """Return a field of window `i` that is seldom asked for."""
        match name:
            case "scores":
                return self.judged.scores[i]
            case "embedding":
                return self.judged.embedding[i]
            case "health":
                return self.windows.signal_health(i)
            case "top":
                return best(self._decision.labels, self.judged.scores[i])
            case _:
                raise AttributeError(name)

    def _one(self, i: int) -> Row:
        """Return window `i` by a decision that gives the best label or none."""
        nearest = self._decision.labels[self.places.item(i)]
        row = self.bare(i)
        row.__dict__.update(
            label=nearest if self.judged.accepted.item(i) else None,
            nearest=nearest,
            score=self.strengths.item(i),
            novelty=self.judged.novelties.item(i, 0),
        )
        if self.judged.animal is not None:
            animal = self.judged.animal.item(i)
            row.__dict__.update(animal=animal, stands_out=self._decision.stands_out(animal))
        if self.judged.active is not None:
            row.__dict__["frames"] = self.judged.frames(i)
        return row

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """The place of each window's best label (N,)."""
        places: NDArray[np.int64] = self.judged.scores.argmax(1)
        return places

    @cached_property
    def strengths(self) -> NDArray[np.float32]:
        """The score of each window's best label (N,)."""
        best: NDArray[np.float32] = self.judged.scores[np.arange(len(self.places)), self.places]
        return best
