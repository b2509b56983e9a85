"""What every window of `WindowOutputs` should have been called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.bundle.windows import BACKGROUND, KNOWN, LEFT_OUT, QUIET, UNKNOWN
from edge.errors import UserError
from train.corpus.corpus import Corpus, Recording
from train.windows.outputs import WindowOutputs

__all__ = ["BACKGROUND", "KNOWN", "LEFT_OUT", "QUIET", "UNKNOWN", "Truth", "truth_of"]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What W windows are.

    `species` (W,) is the position in the system's labels, -1 for everything else; `kind` (W,) is in
    words; `origin` (W,) is the kind of the recording, which differs from `kind` where the window is
    quiet.
    """

    species: NDArray[np.int64]
    kind: NDArray[np.str_]
    origin: NDArray[np.str_]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Which windows have a known species in them (W,)."""
        known: NDArray[np.bool_] = self.kind == KNOWN
        return known

    @cached_property
    def unknown(self) -> NDArray[np.bool_]:
        """Which windows have an unknown species in them (W,)."""
        unknown: NDArray[np.bool_] = self.kind == UNKNOWN
        return unknown

    @cached_property
    def noise(self) -> NDArray[np.bool_]:
        """Which windows are noise, speech or background (W,)."""
        noise: NDArray[np.bool_] = ~np.isin(self.kind, [KNOWN, UNKNOWN, LEFT_OUT, QUIET])
        return noise

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that occur.

        Knowns come first, then unknown species, the noises by name, and what is counted apart.
        """
        first, last = (KNOWN, UNKNOWN), (BACKGROUND, LEFT_OUT, QUIET)
        present = set(np.unique(self.kind).tolist())
        middle = sorted(present - {*first, *last})
        return tuple(kind for kind in (*first, *middle, *last) if kind in present)


def truth_of(corpus: Corpus, outputs: WindowOutputs) -> Truth:
    """Return the truth of every window of `outputs`.

    Their recordings are positions in `corpus.recordings`; raises `UserError` for another corpus's.
    """
    if len(outputs) and not 0 <= outputs.recording.min() <= outputs.recording.max() < len(
        corpus.recordings
    ):
        raise UserError(
            "these window outputs belong to another prepared corpus; run 'edge-train fit' on this "
            "one"
        )
    positions = {label: i for i, label in enumerate(outputs.labels)}
    animals = np.array([r.role in ("known", "unknown") for r in corpus.recordings], bool)
    species = np.array(
        [positions.get(r.label, -1) if r.role == "known" else -1 for r in corpus.recordings],
        np.int64,
    )
    kinds = np.array([_kind(r, positions) for r in corpus.recordings], np.str_)
    quiet = animals[outputs.recording] & ~outputs.active
    return Truth(
        species=np.where(quiet, -1, species[outputs.recording]),
        kind=np.where(quiet, QUIET, kinds[outputs.recording]),
        origin=kinds[outputs.recording],
    )


def _kind(recording: Recording, labels: dict[str, int]) -> str:
    match recording.role:
        case "known":
            return KNOWN if recording.label in labels else LEFT_OUT
        case "unknown":
            return UNKNOWN
        case "background":
            return BACKGROUND
        case _:
            return f"noise: {recording.label.replace('_', ' ')}"
