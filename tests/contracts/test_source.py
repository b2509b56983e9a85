"""What holds for every source of audio."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.sources.base import Source
from edge.sources.file import FileSource
from edge.types import Array
from tests.support.audio import noise, write_audio
from tests.support.microphones import listening
from tests.support.sources import ArraySource

RATE_HZ = 8000
Make = Callable[[Path, Array], Source]

SOURCES: dict[str, Make] = {
    "file": lambda folder, samples: FileSource(
        write_audio(folder / "a.wav", samples, RATE_HZ, subtype="FLOAT"),
        sample_rate_hz=RATE_HZ,
        block_s=0.1,
    ),
    "array": lambda folder, samples: ArraySource(
        runs=[(0, samples)], sample_rate_hz=RATE_HZ, sizes=(800,)
    ),
    "microphone": lambda folder, samples: (
        listening(samples, rate_hz=RATE_HZ, out_hz=RATE_HZ).source
    ),
}


@pytest.fixture(params=SOURCES)
def make(request: pytest.FixtureRequest) -> Make:
    return SOURCES[request.param]


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.25, 2.0])
def test_blocks_follow_each_other_and_only_the_last_says_so(
    make: Make, tmp_path: Path, seconds: float
) -> None:
    samples = noise(seconds, RATE_HZ)
    blocks = list(make(tmp_path, samples).blocks())
    assert blocks[0].start_sample == 0
    assert all(b.start_sample == a.end_sample for a, b in pairwise(blocks))
    assert [b.last for b in blocks] == [False] * (len(blocks) - 1) + [True]
    np.testing.assert_array_equal(np.concatenate([b.samples for b in blocks]), samples)


def test_blocks_are_mono_float32_at_the_rate_of_the_source(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path, noise(0.5, RATE_HZ))
    for block in source.blocks():
        assert block.samples.ndim == 1
        assert block.samples.dtype == np.float32
        assert block.sample_rate_hz == source.sample_rate_hz == RATE_HZ


def test_a_source_can_be_played_again(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path, noise(0.5, RATE_HZ))
    first, second = list(source.blocks()), list(source.blocks())
    assert [b.start_sample for b in first] == [b.start_sample for b in second]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, second, strict=True))
