"""Predictions of one recording on disk, for the formats that want every window."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from edge.detect.model import NOTHING
from edge.detect.site import Expected
from edge.detect.smoothing import Smoothing
from edge.types import Prediction

__all__ = ["Spooled", "read_spool"]


class Spooled:
    """A smoothing that keeps on disk what it gives out, as the site has it."""

    def __init__(self, inner: Smoothing, spool: BinaryIO, site: Expected) -> None:
        self._inner = inner
        self._spool = spool
        self._site = site

    def push(self, prediction: Prediction) -> Iterator[Prediction]:
        """See `Smoothing.push`."""
        yield from self._kept(self._inner.push(prediction))

    def flush(self) -> Iterator[Prediction]:
        """See `Smoothing.flush`."""
        yield from self._kept(self._inner.flush())

    def _kept(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        for p in predictions:
            small = replace(
                self._site(p), scores=NOTHING, embedding=NOTHING, frames=None, highest=None
            )
            pickle.dump(small, self._spool)
            yield p


def read_spool(path: Path) -> Iterator[Prediction]:
    """Yield the predictions of a spool that this very program has written."""
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)
            except EOFError:
                return
