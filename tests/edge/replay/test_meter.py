"""What a replay counts of a recording adds up, whatever the windows say of it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.replay.meter import ReplayMeter
from edge.types import AudioBlock, Prediction, SignalHealth

RATE_HZ = 10
WINDOW = 50

Kind = Literal["judged", "dead", "stuck"]


def _block(start: int, samples: int) -> AudioBlock:
    return AudioBlock(
        start_sample=start, samples=np.zeros(samples, np.float32), sample_rate_hz=RATE_HZ
    )


def _prediction(start: int, kind: Kind) -> Prediction:
    health = SignalHealth(
        rms_dbfs=-20.0,
        peak_dbfs=-10.0,
        clip_ratio=0.0,
        dc=0.0,
        dead=kind == "dead",
        stuck=kind == "stuck",
    )
    nothing = np.empty(0, np.float32)
    return Prediction(
        start_sample=start,
        end_sample=start + WINDOW,
        sample_rate_hz=RATE_HZ,
        label=None,
        nearest=None,
        score=0.0,
        novelty=1.0,
        top=(),
        health=health,
        scores=nothing,
        embedding=nothing,
    )


@given(kinds=st.lists(st.sampled_from(["judged", "dead", "stuck"])), hop=st.integers(1, WINDOW))
def test_every_sample_has_one_fate_and_a_judged_window_decides_it(
    kinds: list[Kind], hop: int
) -> None:
    meter = ReplayMeter(duration_s=None, progress=lambda share: None)
    starts = [i * hop for i in range(len(kinds))]
    samples = starts[-1] + WINDOW if starts else WINDOW - 1
    meter.block(_block(0, samples))
    for start, kind in zip(starts, kinds, strict=True):
        meter.prediction(_prediction(start, kind))
    meter.close()

    expected = np.full(samples, "short", object)
    for start, kind in zip(starts, kinds, strict=True):
        window = expected[start : start + WINDOW]
        window[window != "judged" if kind == "judged" else window == "short"] = kind
    for fate in ("judged", "dead", "stuck", "short"):
        assert meter.samples[fate] == int((expected == fate).sum()), fate


def test_what_lies_between_two_gaps_and_is_too_short_for_a_window_is_counted() -> None:
    meter = ReplayMeter(duration_s=None, progress=lambda share: None)
    meter.block(_block(0, WINDOW))
    meter.prediction(_prediction(0, "judged"))
    meter.block(_block(1000, WINDOW - 10))
    meter.block(_block(2000, WINDOW))
    meter.prediction(_prediction(2000, "judged"))
    meter.close()
    assert (meter.arrived, meter.end) == (3 * WINDOW - 10, 2000 + WINDOW)
    assert meter.samples["judged"] == 2 * WINDOW
    assert meter.samples["short"] == WINDOW - 10
