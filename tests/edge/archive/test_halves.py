"""What is read in float16 is what numpy makes of it."""

from __future__ import annotations

import numpy as np

from edge.archive.halves import widened


def test_every_number_is_the_same_bit_for_bit() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = every[np.isfinite(every)].reshape(-1, 2)
    place = np.empty(halves.shape, np.float32)
    widened(halves, place)
    assert place.tobytes() == halves.astype(np.float32).tobytes()


def test_what_is_not_finite_lies_beyond_all_that_are() -> None:
    halves = np.array([[np.inf, -np.inf, np.nan]], np.float16)
    place = np.empty(halves.shape, np.float32)
    widened(halves, place)
    assert (np.abs(place) > np.finfo(np.float16).max).all()
