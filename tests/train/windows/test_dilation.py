"""Time dilation of every window without repeated edges, and recordings repeated to a minimum."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge.errors import SpecError
from tests.train.numbered import SPEC, recording, training_windows
from tests.train.tiny import TINY
from train.recipe.load import parse_recipe
from train.windows.cache import ComponentCache
from train.windows.dilation import dilated
from train.windows.frames import frame_times

FRAMES = 200


STEP_DB = 0.0625  # of which float16 holds every multiple up to here


def numbered(total: int) -> NDArray[np.float16]:
    """Components (1, 1, total) whose level is the number of the frame."""
    return (STEP_DB * np.arange(total))[np.newaxis, np.newaxis].astype(np.float16)


def numbers(power: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(power[0, 0].astype(np.float64)) / STEP_DB)


@pytest.mark.parametrize("factor", [0.95, 1.0, 1.05])
@pytest.mark.parametrize("start", [0, 150, 400])
def test_a_window_is_of_more_or_less_of_its_recording(factor: float, start: int) -> None:
    power = dilated(numbered(600), start=start, frames=FRAMES, factor=factor)
    first = min(start, 599 - (FRAMES - 1) * factor)
    np.testing.assert_allclose(numbers(power), first + factor * np.arange(FRAMES), atol=0.01)


def test_a_recording_of_one_window_goes_on_from_its_beginning() -> None:
    power = dilated(numbered(FRAMES), start=0, frames=FRAMES, factor=1.05)
    assert numbers(power)[-1] == pytest.approx((FRAMES - 1) * 1.05 - FRAMES, abs=0.01)


def test_every_window_that_is_drawn_is_dilated(tmp_path: Path) -> None:
    windows = training_windows(
        tmp_path,
        [recording("a1", 8), recording("b1", 8), recording("c1", 8), recording("n1", 8, "noise")],
        dilation=0.05,
    )
    rng = np.random.default_rng(0)
    drawn = [
        *(windows.known(rng, 0) for _ in range(20)),
        *(windows.labelled(rng, 1).power for _ in range(20)),
        *(windows.outlier(rng) for _ in range(20)),
    ]
    # Band 0 rises by 0.01 dB a frame, and begins anew after 1000 of them.
    rises = [np.median(np.diff(10 * np.log10(power[0, 0]))) / 0.01 for power in drawn]
    assert len(np.unique(np.round(rises, 6))) == len(rises)
    assert 0.9 < min(rises) < 0.97
    assert 1.03 < max(rises) < 1.1


def test_a_recipe_says_how_much(tmp_path: Path) -> None:
    recipe = parse_recipe({**TINY, "augment": {"dilation": 0.05}}, where="r")
    assert recipe.augment.dilation == 0.05
    with pytest.raises(SpecError, match=r"dilation: 0.9 is outside 0..0.5"):
        parse_recipe({**TINY, "augment": {"dilation": 0.9}}, where="r")
    with pytest.raises(SpecError, match=r"least_s: 100 is outside 0..90"):
        parse_recipe({**TINY, "least_s": 100}, where="r")


def test_a_short_recording_is_repeated_to_the_least_that_a_recipe_asks_for(tmp_path: Path) -> None:
    audio = tmp_path / "a1.wav"
    soundfile.write(audio, 0.1 * np.random.default_rng(0).standard_normal(24_000), 8000)
    short = dataclasses.replace(recording("a1", 3.0), path=audio)
    plain = ComponentCache(folder=tmp_path / "cache", spec=SPEC)
    repeated = dataclasses.replace(plain, least_s=10.0)
    assert plain.load(short).shape[2] == 301
    components = repeated.load(short)
    assert components.shape[2] == 1001
    np.testing.assert_allclose(
        components[0, :, 20:280].astype(float), components[0, :, 320:580].astype(float), atol=0.1
    )
    times = frame_times(short, SPEC, components.shape[2])
    assert times.max() < 3
    assert times[350] == pytest.approx(0.5)
    assert frame_times(short, SPEC, 301).max() == 3, "what is not repeated keeps its times"
