"""A wall clock that jumps while a recorder runs: order and spacing of events stay."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle
from edge.recorder.daemon import Daemon
from edge.recorder.live_clock import LiveClock
from tests.support.broker import free_port
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import HandWorld, RealTimeAudio, running, until, write_config
from tests.support.faults import Watch
from tests.support.lives import BRIEF, Life, no_deliveries, silence

DAY_S = 86_400.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def in_the_middle_of_an_event(life: Life, already: int) -> bool:
    """Whether one has begun since there were `already` rows, and not ended."""
    states = life.states()
    return len(states) > already and states[-1] == "new"


def shifted_by(life: Life, shift_s: float) -> bool:
    return abs(life.watch.look()["edge_clock_offset_seconds"] - shift_s) < 1


def test_a_jump_of_the_wall_clock_neither_reorders_nor_redates(
    tmp_path: Path, bundle: Bundle
) -> None:
    port, world = free_port(), HandWorld()
    life = Life(Watch(port), tmp_path / "edge.db")
    config = write_config(
        tmp_path, bundle.path, metrics={"port": port}, tracker=BRIEF, clips={"enabled": False}
    )
    began = datetime.fromtimestamp(world.utc_us() / 1e6).astimezone()
    sound = np.concatenate([tone(300, 2.0), silence(1.0), tone(3000, 2.0), silence(1.0)])
    daemon = Daemon(
        config, audio=RealTimeAudio(sound), deliveries=no_deliveries, clock=LiveClock(world=world)
    )
    with running(daemon):
        for shift_s in (2 * DAY_S, -3600.0):
            count = len(life.payloads()) if life.store.exists() and shift_s < 0 else 0
            until(partial(in_the_middle_of_an_event, life, count), 60)
            world.shift_s = shift_s
            until(partial(shifted_by, life, shift_s), 60)
        count = len(life.states())
        until(lambda: len(life.states()) >= count + 2 and life.states()[-1] == "end", 60)
    events = life.payloads()
    starts = [datetime.fromisoformat(e["start_utc"].replace("Z", "+00:00")) for e in events]
    zeros = [start.timestamp() - e["start_s"] for start, e in zip(starts, events, strict=True)]
    assert max(zeros) - min(zeros) < 0.1
    assert abs(zeros[0] - began.timestamp()) < 30
    news = [e for e in events if e["state"] == "new"]
    assert [e["start_utc"] for e in news] == sorted(e["start_utc"] for e in news)
    ended = [e for e in events if e["state"] == "end"]
    assert len({e["id"] for e in news}) == len(news) == len(ended) >= 3
    assert {e["id"] for e in events} == {e["id"] for e in news}
    (effort,) = life.rows("SELECT min(start_utc) FROM effort")[0]
    first = datetime.fromisoformat(effort.replace("Z", "+00:00"))
    assert abs(first.timestamp() - began.timestamp()) < 30
