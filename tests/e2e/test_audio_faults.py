"""A recorder whose sound server dies and freezes: it goes on, and its ledger has the time lost."""

from __future__ import annotations

import random
import time
from functools import partial
from pathlib import Path

import pytest

from tests.support.audio import write_audio
from tests.support.bundles import tone
from tests.support.daemons import until
from tests.support.live import LiveRecorder, live_recorder
from tests.support.soundserver import RATE_HZ, SoundServer

pytestmark = pytest.mark.audio

# READY comes about 0.1 s after the first sample, which has to be little against the 1 % that the
# ledger may be off by.
ENOUGH_S = 20.0


def has_opened(recorder: LiveRecorder, times: int) -> bool:
    """Return whether the recorder has opened its microphone so often."""
    return recorder.log.count("listening to recorder") >= times


def assert_accounts_for(recorder: LiveRecorder, elapsed_s: float) -> None:
    """The ledger has every second once, and its rows follow on one another."""
    rows = recorder.ledger()
    assert [row["start_sample"] for row in rows] == [0, *(row["end_sample"] for row in rows[:-1])]
    assert recorder.total_s() == pytest.approx(
        rows[-1]["end_sample"] / rows[-1]["sample_rate_hz"], abs=0.001
    )
    assert recorder.total_s() == pytest.approx(elapsed_s, rel=0.01), recorder.log


def test_a_sound_server_killed_ten_times(server: SoundServer, tmp_path: Path) -> None:
    dice = random.Random(3)
    down_s = 0.0
    with live_recorder(tmp_path, environ=server.environ) as recorder:
        ready_s = recorder.ready(60)
        for opened in range(1, 11):
            time.sleep(dice.uniform(0.3, 1.0))
            server.kill()
            killed_s = time.monotonic()
            time.sleep(dice.uniform(0.3, 1.0))
            server.start()
            down_s += time.monotonic() - killed_s
            until(partial(has_opened, recorder, opened + 1), 60)
            recorder.wait_for_audio()
        elapsed_s = recorder.stop() - ready_s
        assert_accounts_for(recorder, elapsed_s)
        assert recorder.total_s("lost") > 0.9 * down_s


def test_what_a_frozen_sound_server_keeps_to_itself_is_lost(
    server: SoundServer, tmp_path: Path
) -> None:
    wav = Path(write_audio(tmp_path / "whistler.wav", tone(1000, 60, RATE_HZ), RATE_HZ))
    with live_recorder(tmp_path, environ=server.environ) as recorder:
        ready_s = recorder.ready(60)
        with server.play(wav) as player:
            until(lambda: recorder.detections("new"), 60)
            server.freeze()
            frozen_s = time.monotonic() - ready_s
            time.sleep(3.5)
            server.thaw()
            until(lambda: len(recorder.detections("new")) > 1, 60)
            until(lambda: time.monotonic() > ready_s + ENOUGH_S, 60)
            elapsed_s = recorder.stop() - ready_s
            player.kill()
        assert_accounts_for(recorder, elapsed_s)
        assert recorder.total_s("lost") > 3.0
        # The tone never ended, and nothing bridges what was not heard of it.
        before, *after = [(event["start_s"], event["end_s"]) for event in recorder.detections()]
        assert before[1] < frozen_s + 0.5
        assert after
        assert all(start_s > frozen_s + 3.0 for start_s, _ in after)
