"""What a recorder does when its store is damaged, or cannot be written for a while."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from edge.bundle import Bundle
from edge.config.config import load_config
from edge.errors import StoreError
from edge.recorder.daemon import Daemon
from edge.recorder.live_clock import LiveClock, SystemWorld, WallState
from edge.recorder.metrics import Metrics
from edge.recorder.plan import make_plan
from edge.recorder.recorder import Recorder
from edge.recorder.systemd import Notifier
from edge.store.effort import EffortMinute
from edge.store.store import Dating, Store
from tests.edge.recorder.test_daemon import rows
from tests.support.audio import soundscape
from tests.support.bundles import tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

FAR = 10**9
SPAN: dict[str, Any] = {"start_sample": FAR, "end_sample": FAR + 60, "sample_rate_hz": 1}


class LateWorld(SystemWorld):
    """This machine, with a clock that nobody vouches for at first."""

    synced = False

    def wall_state(self, call: object = None) -> WallState:
        return WallState(synced=self.synced, uncertainty_s=0.01)


def test_a_damaged_store_is_set_aside_and_the_recorder_goes_on(
    tmp_path: Path, bundle: Bundle
) -> None:
    (tmp_path / "edge.db").write_bytes(b"what a failing card makes of a database" * 100)
    config = write_config(tmp_path, bundle.path)
    recorder = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=lambda *parts: [])
    with running(recorder):
        until((tmp_path / "edge.db-wal").exists)
        until(lambda: rows(tmp_path, "SELECT state FROM detections"), 60)
        assert recorder._metrics.registry.get_sample_value("edge_store_quarantined_total") == 1
    assert len(list(tmp_path.glob("edge.db.damaged-*"))) == 1


def test_minutes_and_the_right_time_wait_while_the_disk_fails(
    tmp_path: Path, bundle: Bundle
) -> None:
    """The clock is set once; a disk that is full at that moment ends nothing and forgets
    nothing.
    """

    class FailingStore(Store):
        failing = True
        asked = 0

        def record_effort(self, *args: object, **more: object) -> bool:
            if self.failing:
                raise StoreError("no space left on device")
            return super().record_effort(*args, **more)  # type: ignore[arg-type]

        def redate(self, dating: Dating) -> int:
            self.asked += 1
            if self.failing:
                raise StoreError("no space left on device")
            return super().redate(dating)

    world = LateWorld()
    config = load_config(write_config(tmp_path, bundle.path, clips={"enabled": False}))
    store = FailingStore(tmp_path / "edge.db", sinks=(), outbox_bytes=10**6, history_bytes=10**6)
    with store:
        recorder = Recorder(
            make_plan(config),
            audio=RealTimeAudio(soundscape()),
            store=store,
            clock=LiveClock(world=world),
            notifier=Notifier(environ={}),
            metrics=Metrics(CollectorRegistry(), labels=[]),
        )
        thread = threading.Thread(target=recorder.run, daemon=True)
        thread.start()
        try:
            until(lambda: recorder.effort.total_s("heard") > 0)
            world.synced = True
            until(lambda: store.asked >= 2, 60)
            recorder.keeper.ledger.keep([EffortMinute(**SPAN, lost=60)])
            store.failing = False
            until(lambda: not recorder.keeper.redate_due and not recorder.keeper.backlog.rows, 60)
        finally:
            recorder.stop()
            thread.join(10)
    assert rows(tmp_path, f"SELECT lost_s FROM effort WHERE start_sample = {FAR}") == [(60.0,)]
