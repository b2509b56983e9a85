"""Which windows stand for a label that the trunk lacks: what its recordings have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.bundle.top import Top
from train.adapting.answers import Answers
from train.adapting.windows import holding

CALL, PASSING_CAR = np.eye(8)[:2]
WINDOWS = 4  # of each recording: the call is in the second, something of its own in the third


def answers(recordings: int) -> Answers:
    rng = np.random.default_rng(0)
    embedding = []
    for i in range(recordings):
        other = PASSING_CAR if i == 0 else rng.normal(size=8)
        embedding += [np.ones(8), CALL + 0.05 * rng.normal(size=8), other, np.ones(8)]
    active = np.tile([False, True, True, False], recordings)
    count = recordings * WINDOWS
    return Answers(
        recording=np.repeat(np.arange(recordings), WINDOWS),
        start_s=np.tile(np.arange(WINDOWS, dtype=float), recordings),
        active=active,
        embedding=np.array(embedding, np.float32),
        logits=np.zeros((count, 3), np.float16),
    )


def chosen(recordings: int) -> NDArray[np.bool_]:
    top = Top(
        weights=np.zeros((8, 1), np.float32),
        bias=np.zeros(1, np.float32),
        gain=1.0,
        own=np.array([-1]),
        others=np.arange(3),
    )
    heard = answers(recordings)
    species = np.zeros(len(heard.recording), np.int64)
    return holding(heard, species, np.ones(len(species), bool), top).reshape(recordings, WINDOWS)


def test_recordings_of_a_label_agree_on_what_it_is() -> None:
    assert chosen(5).tolist() == [[False, True, False, False]] * 5


def test_two_recordings_are_too_few_to_agree() -> None:
    assert chosen(2).tolist() == [[False, True, True, False]] * 2
