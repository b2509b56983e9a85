"""What a system with its rejection rule says of windows and recordings, beside what they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.bundle.heads import Head
from train.judging.truth import QUIET, Truth
from train.windows.outputs import WindowOutputs

__all__ = ["Judged", "by_recording", "judge_recordings", "judge_windows"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """N windows or recordings, with what they are and what was said of them.

    It holds their `recording` (N,) and `truth`, the label without rejection `closed` (N,), with it
    `opened` (N,; -1 is a rejection), the raw `novelty` (N,) that ranks them, and the `scores` (N,
    K) of the labels. Where there may be several, `given` (N, K) says which are.
    """

    recording: NDArray[np.int64]
    truth: Truth
    closed: NDArray[np.int64]
    opened: NDArray[np.int64]
    novelty: NDArray[np.float64]
    scores: NDArray[np.float64]
    given: NDArray[np.bool_] | None = None

    @property
    def accepted(self) -> NDArray[np.bool_]:
        """Which of them are not rejected (N,)."""
        accepted: NDArray[np.bool_] = self.opened >= 0
        return accepted

    @property
    def stratum(self) -> NDArray[np.int64]:
        """A number (N,) per kind of recording, for the bootstrap."""
        return np.unique(self.truth.origin, return_inverse=True)[1].astype(np.int64)


def judge_windows(outputs: WindowOutputs, truth: Truth, head: Head) -> Judged:
    """Judge every window by itself; of several labels in one the best is looked at."""
    novelty = np.asarray(head.rule.novelty(outputs.embedding, outputs.logits), np.float64)
    closed = outputs.logits.argmax(1).astype(np.int64)
    verdicts = head(outputs.embedding, outputs.logits)
    given = head.given(verdicts)
    best = np.where(given, verdicts.scores, -1).argmax(1)
    return Judged(
        recording=outputs.recording,
        truth=truth,
        closed=closed,
        opened=np.where(given.any(1), best, -1).astype(np.int64),
        novelty=novelty,
        scores=verdicts.scores.astype(np.float64),
        given=given if head.activation == "sigmoid" else None,
    )


def judge_recordings(outputs: WindowOutputs, truth: Truth, head: Head) -> Judged:
    """Judge every recording as `by_recording` does."""
    return by_recording(judge_windows(outputs, truth, head))


def by_recording(windows: Judged) -> Judged:
    """Judge every recording by its windows in which something is heard.

    Without rejection it is the label with the largest mean score; with it, the label with the
    largest summed score among the accepted windows, where they are given it. A recording none of
    whose windows is accepted is rejected. Its novelty is that of its least novel window.
    """
    truth, heard = windows.truth, heard_of(windows)
    names, position = np.unique(windows.recording[heard], return_inverse=True)
    first = np.flatnonzero(heard)[np.unique(position, return_index=True)[1]]
    scores, accepted = windows.scores[heard], windows.accepted[heard]
    mean, among_accepted = np.zeros((2, len(names), scores.shape[1]))
    np.add.at(mean, position, scores)
    given = scores if windows.given is None else np.where(windows.given[heard], scores, 0)
    np.add.at(among_accepted, position[accepted], given[accepted])
    novelty = np.full(len(names), np.inf)
    np.minimum.at(novelty, position, windows.novelty[heard])
    any_accepted = np.bincount(position, weights=accepted, minlength=len(names)) > 0
    return Judged(
        recording=names,
        truth=Truth(
            species=_species(windows)[first],
            kind=truth.origin[first],
            origin=truth.origin[first],
        ),
        closed=mean.argmax(1),
        opened=np.where(any_accepted, among_accepted.argmax(1), -1),
        novelty=novelty,
        scores=mean / np.bincount(position, minlength=len(names))[:, None],
    )


def heard_of(windows: Judged) -> NDArray[np.bool_]:
    """Return the windows (W,) by which their recording is judged: those that are not quiet.

    A recording that is quiet throughout is judged by all of its windows.
    """
    loud = windows.truth.kind != QUIET
    heard: NDArray[np.bool_] = loud | ~np.isin(windows.recording, windows.recording[loud])
    return heard


def _species(windows: Judged) -> NDArray[np.int64]:
    """Return the species (W,) of each window's recording, also where the window is quiet."""
    of_recording = np.full(windows.recording.max(initial=-1) + 1, -1)
    np.maximum.at(of_recording, windows.recording, windows.truth.species)
    return of_recording[windows.recording]
