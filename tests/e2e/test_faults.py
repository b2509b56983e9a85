"""Faults of every kind in a whole recorder: each is survived, and each metric is moved by one.

Four recorders live through them, each with a module-scoped fixture; what a test needs of one it
finds in its `Life`.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edge.backoff import Backoff
from edge.bundle import Bundle
from edge.mqtt.reasons import ERROR_REASONS
from edge.recorder.backlog import Backlog
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.recorder.live_clock import LiveClock
from edge.store.effort import EffortMinute
from edge.store.store import Store
from tests.support.audio import noise
from tests.support.broker import Broker, free_port
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import (
    HandWorld,
    RealTimeAudio,
    StalledBackend,
    breakable,
    running,
    stallable,
    until,
    write_config,
)
from tests.support.disk import fill, small_disk
from tests.support.faults import Impostor, Watch
from tests.support.hostile import Hostile
from tests.support.hostile import mute as stuck
from tests.support.lives import (
    BRIEF,
    FAR,
    NO_SENSORS,
    RATE_HZ,
    Life,
    calls,
    no_deliveries,
    silence,
)
from tests.support.store import SYNCED, health, payload, spoil_newest
from tests.support.sysfs import Tree, orin

pytestmark = [pytest.mark.broker, pytest.mark.mount, pytest.mark.promtool]

FATES = ("heard_s", "lost_s", "gated_s", "dropped_s", "private_s")
IN_A_STREAM = f"{' + '.join(FATES)} > 0"  # else it is time between two
TOTALS = f"""
SELECT {", ".join(f"sum({fate})" for fate in FATES)}, sum(end_sample - start_sample) / 8000.0
FROM effort WHERE {IN_A_STREAM}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


def under_load(board: Tree) -> None:
    """Every sensor has another value."""
    board.write("devices/platform/17000000.gpu/load", 990)
    for number in range(3):
        board.write(f"class/thermal/thermal_zone{number}/temp", 88_500)
        board.write(f"class/hwmon/hwmon0/curr{number + 1}_input", 2000)


@pytest.fixture(scope="module")
def of_sound(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """A microphone that does all that microphones do, a store that was damaged, clips without room,
    a clock that is set late.
    """
    folder = tmp_path_factory.mktemp("sound")
    (folder / "edge.db").write_bytes(b"what a failing card makes of a database" * 100)
    port = free_port()
    life = Life(Watch(port), folder / "edge.db")

    quick = tiny_bundle(folder / "quick", variant_errors={"int8-cpu": 0.0})
    spoiled = tiny_bundle(folder / "spoiled", variant_errors={"int8-cpu": 1.0})

    def configure(budget_mb: float, hop_s: float = 0.5, bundle: Bundle = quick) -> Path:
        clips = {
            "folder": str(folder / "clips"),
            "reserve_mb": 1.0,
            "format": "wav",
            "budget_mb": budget_mb,
            "padding_s": 0.5,
        }
        model = {"bundle": str(bundle.path), "hop_s": hop_s}
        return write_config(
            folder, bundle.path, metrics={"port": port}, tracker=BRIEF, clips=clips, model=model
        )

    audio = RealTimeAudio(calls(), gains=(1.0, 1.0))
    world, watch, broken = HandWorld(synced=False), life.watch, threading.Event()
    board = orin(folder / "sys")
    daemon = Daemon(
        configure(0.08),
        audio=audio,
        deliveries=no_deliveries,
        clock=LiveClock(world=world),
        plan_of=breakable(broken),
        sysfs=board.root,
    )
    with running(daemon):
        watch.until("edge_clock_synced", 0.0)
        under_load(board)
        for label in ("low_hummer", "mid_whistler", "high_peeper", "unknown"):
            watch.until(f'edge_detections_total{{label="{label}"}}')
        watch.until('edge_clips_total{outcome="removed"}')
        world.synced = True
        watch.until("edge_clock_synced")
        audio.samples = silence(1)
        watch.until('edge_microphone_fault{fault="dead"}')
        audio.samples = np.full(RATE_HZ, 0.5, np.float32)
        watch.until('edge_microphone_fault{fault="stuck"}')
        audio.samples = np.clip(tone(300, 1, level=1.05), -1, 1)
        watch.until("edge_microphone_clip_ratio", 0.01)
        audio.samples = np.full(RATE_HZ, np.nan, np.float32)
        watch.until("edge_invalid_samples_total", RATE_HZ)
        audio.samples, audio.gains = calls(), (1.0, -1.0)
        watch.until('edge_microphone_fault{fault="cancelled"}')
        audio.gains = (1.0, 1.0)
        broken.set()
        watch.until('edge_windows_total{outcome="failed"}', 2)
        broken.clear()
        audio.samples, audio.present = calls(), False
        watch.until("edge_capture_faults_total")
        audio.present = True
        watch.until('edge_audio_seconds_total{fate="lost"}', 0.1)
        configure(0.0, hop_s=0.25, bundle=spoiled)
        daemon.commands.put("reload")
        watch.until('edge_clips_total{outcome="refused"}')
        watch.until("edge_engine_fallbacks")
        life.facts["judged"] = watch.look()['edge_windows_total{outcome="judged"}']
        watch.until('edge_windows_total{outcome="judged"}', life.facts["judged"] + 1)
    return life


@pytest.fixture(scope="module")
def of_privacy(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Life:
    """A low hum that counts as speech, of which nothing is to be kept."""
    folder, port = tmp_path_factory.mktemp("privacy"), free_port()
    people = {"speech": "drop_window", "labels": ["low_hummer"], "threshold": 0.3}
    config = write_config(
        folder, bundle.path, metrics={"port": port}, tracker=BRIEF, privacy=people
    )
    life = Life(Watch(port), folder / "edge.db")
    with running(Daemon(config, audio=RealTimeAudio(calls()), deliveries=no_deliveries)):
        life.watch.until('edge_windows_total{outcome="private"}')
        life.watch.until('edge_clips_total{outcome="withheld"}')
        life.watch.until('edge_audio_seconds_total{fate="private"}', 0.1)
    return life


@pytest.fixture(scope="module")
def of_lateness(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Life:
    """A model that stalls for longer than the buffer: 1 kHz when that is overwritten, 3 kHz when it
    is not.
    """
    folder, port = tmp_path_factory.mktemp("late"), free_port()
    life, backends = Life(Watch(port), folder / "edge.db"), list[StalledBackend]()
    config = write_config(
        folder, bundle.path, metrics={"port": port}, tracker=BRIEF, audio={"buffer_s": 10.0}
    )
    audio, watch = RealTimeAudio(tone(300, 1)), life.watch
    with running(
        Daemon(
            config,
            audio=audio,
            deliveries=no_deliveries,
            plan_of=stallable(backends),
            sysfs=NO_SENSORS,
        )
    ):
        watch.until('edge_windows_total{outcome="judged"}', 3)
        began_s = time.monotonic()
        backends[0].go.clear()
        assert backends[0].waiting.wait(20)
        memory_bytes = watch.look()["edge_resident_memory_bytes"]
        for hz, seconds in ((1000, 1.0), (3000, 11.5)):
            audio.samples, played = tone(hz, 1), audio.played
            until(lambda due=played + seconds * RATE_HZ: audio.played >= due, 60)  # type: ignore[misc]
        life.facts["grown_bytes"] = watch.look()["edge_resident_memory_bytes"] - memory_bytes
        life.facts["stalled_s"] = time.monotonic() - began_s
        watch.until("edge_queue_seconds", 9.0)  # also while nothing reads it
        backends[0].go.set()
        watch.until('edge_windows_total{outcome="dropped"}')
        until(lambda: watch.look()["edge_queue_seconds"] < 1.0, 60)
        judged = watch.look()['edge_windows_total{outcome="judged"}']
        watch.until('edge_windows_total{outcome="judged"}', judged + 4)
    life.facts["played_s"] = audio.played / RATE_HZ
    return life


@pytest.fixture(scope="module")
def of_delivery(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Life:
    """Brokers that are away, strangers, mute, mad, choosy, and die; and an outbox that was filled
    while there was more room.
    """
    folder, port = tmp_path_factory.mktemp("delivery"), free_port()
    life = Life(Watch(port), folder / "edge.db")
    watch = life.watch
    with Store(life.store, outbox_bytes=FAR, history_bytes=FAR) as store:
        store.record_health(health(), dating=SYNCED)
        minute = EffortMinute(
            start_sample=0, end_sample=60 * RATE_HZ, sample_rate_hz=RATE_HZ, heard=60 * RATE_HZ
        )
        store.record_effort(
            minute, {"start_utc": "2024-05-01T05:30:00.000000Z"}, stream="s", dating=SYNCED
        )
        for number in range(150):
            store.record(payload(number, label="low_hummer"), dating=SYNCED)
    spoil_newest(life.store)

    def configure(broker_port: int, **more: object) -> Path:
        mqtt = {"host": "127.0.0.1", "port": broker_port, "wait_for_sync_s": 0.0, **more}
        kept = {"path": str(life.store), "ballast_mb": 1.0, "outbox_mb": 0.1}
        return write_config(
            folder, bundle.path, metrics={"port": port}, tracker=BRIEF, mqtt=mqtt, store=kept
        )

    def reload(reason: str, broker_port: int, **more: object) -> None:
        configure(broker_port, **more)
        daemon.commands.put("reload")
        watch.until(f'edge_mqtt_errors_total{{reason="{reason}"}}')

    (folder / "no-certificate").write_text("of nobody\n")
    audio = RealTimeAudio(np.concatenate([tone(300, 1.5), silence(1.0)]))
    hasty = partial(deliveries, unanswered_s=2.0)
    daemon = Daemon(configure(free_port()), audio=audio, deliveries=hasty, sysfs=NO_SENSORS)
    choosy = ("allow_anonymous true", f"acl_file {folder / 'acl'}")
    (folder / "acl").write_text(
        "".join(
            f"topic readwrite edge/pond/{topic}\n"
            for topic in ("status", "info", "health", "effort", "detection/low_hummer")
        )
    )
    with (
        Impostor(b"\x20\x03\0\0\x05") as mad,  # a CONNACK whose properties end before they begin
        Impostor() as mute,
        Hostile(stuck) as pinging,
        Broker(folder / "small", "allow_anonymous true", "max_packet_size 900") as small,
        Broker(folder / "strict", "allow_anonymous false") as strict,
        Broker(folder / "choosy", *choosy) as broker,
        running(daemon),
    ):
        watch.until('edge_mqtt_errors_total{reason="unreachable"}')
        for kind in ("health", "effort", "detection"):
            watch.until(f'edge_outbox_dropped_total{{kind="{kind}"}}')
        reload("tls", broker.port, tls=True, ca_file=str(folder / "no-certificate"))
        reload("credentials", broker.port, username_file=str(folder / "nowhere"))
        reload("protocol", mad.port)
        reload("refused", strict.port)
        reload("timeout", mute.port)
        reload("unanswered", pinging.port)
        reload("too_large", small.port)
        for why in ("too_large", "unsendable"):
            watch.until(f'edge_messages_set_aside_total{{reason="{why}"}}')
        configure(broker.port)
        daemon.commands.put("reload")
        for kind in ("health", "effort", "detection"):
            watch.until(f'edge_messages_sent_total{{kind="{kind}"}}', seconds=90)  # one a minute
        audio.samples = noise(2.0)  # an unknown, which this broker does not take
        watch.until('edge_mqtt_errors_total{reason="puback"}')
        audio.samples = silence(1.0)
        watch.until("edge_mqtt_connected")
        broker.kill()
        watch.until('edge_mqtt_errors_total{reason="lost"}')
        until(lambda: watch.look()["edge_mqtt_connected"] == 0, 60)
    return life


@pytest.fixture(scope="module")
def of_disk(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> Iterator[Life]:
    """A disk without ballast that is full for longer than detections can wait, while a broker takes
    what is there.
    """
    folder, port = tmp_path_factory.mktemp("disk"), free_port()
    with (
        small_disk(folder / "disk", megabytes=24) as disk,
        Broker(folder / "broker", mortal=False) as broker,
    ):
        life = Life(Watch(port), disk / "edge.db")
        config = write_config(
            folder,
            bundle.path,
            model={"bundle": str(bundle.path), "hop_s": 0.02},
            tracker={"cooldown_s": 0.1, "longest_s": 1.0, "update_s": 0.001},
            store={"path": str(life.store), "ballast_mb": 0.0},
            clips={"enabled": False},
            mqtt={
                "host": "127.0.0.1",
                "port": broker.port,
                "rate_per_s": 1000.0,
                "wait_for_sync_s": 0.0,
            },
            metrics={"port": port},
        )
        watch = life.watch
        # There is hardly room to wait in, so some is lost before the store is kept in memory.
        backlog = Backlog(
            most_detections=4,
            patience_s=FAR,
            file_backoff=Backoff(first_s=0.5, longest_s=1.0),
        )
        with running(
            Daemon(
                config,
                audio=RealTimeAudio(calls()),
                deliveries=deliveries,
                sysfs=NO_SENSORS,
                backlog=backlog,
            )
        ):
            watch.until('edge_messages_sent_total{kind="detection"}')
            broker.freeze()
            watch.until("edge_outbox_rows", 3)
            neighbour = fill(disk)
            watch.until("edge_store_errors_total")
            broker.thaw()
            watch.until('edge_mqtt_errors_total{reason="store"}')
            watch.until("edge_detections_lost_total")
            watch.until("edge_store_in_memory")
            neighbour.unlink()
            until(lambda: watch.look()["edge_store_in_memory"] == 0, 60)
            sent = watch.look()['edge_messages_sent_total{kind="detection"}']
            watch.until('edge_messages_sent_total{kind="detection"}', sent + 100)
        yield life


# No trouble moves them (tests/edge/recorder/test_outcomes.py, tests/edge/detect/test_precision.py).
OF_OTHER_BUNDLES = {
    *(f'edge_judged_windows_total{{outcome="{outcome}"}}' for outcome in ("other", "nothing")),
    "edge_events_left_out_total",
}


def test_every_metric_is_moved_by_a_fault(
    of_sound: Life, of_privacy: Life, of_lateness: Life, of_delivery: Life, of_disk: Life
) -> None:
    lives = (of_sound, of_privacy, of_lateness, of_delivery, of_disk)
    watches = [life.watch for life in lives]
    series = set[str]().union(*(watch.series for watch in watches))
    moved = set[str]().union(*(watch.moved for watch in watches))
    assert series >= {f'edge_mqtt_errors_total{{reason="{kind}"}}' for kind in ERROR_REASONS}
    assert series - moved == OF_OTHER_BUNDLES
    # A metric whose label has never had a value shows no series at all.
    families = {name for watch in watches for name in watch.families}
    seen = {watch.family(name) for watch in watches for name in watch.moved}
    assert families - seen == {"edge_events_left_out_total"}


def test_promtool_has_nothing_to_say_of_a_recorder_in_trouble(
    of_sound: Life, of_delivery: Life, of_disk: Life
) -> None:
    for life in (of_sound, of_delivery, of_disk):
        checked = subprocess.run(
            ["promtool", "check", "metrics"],
            input=life.watch.text,
            capture_output=True,
            check=False,
        )
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_every_second_of_a_troubled_microphone_is_in_the_ledger(of_sound: Life) -> None:
    ((*known_s, elapsed_s),) = of_sound.rows(TOTALS)
    assert sum(known_s) == pytest.approx(elapsed_s, abs=1e-3)
    heard_s, lost_s, gated_s, dropped_s, _ = known_s
    assert min(heard_s, lost_s, gated_s) > 0
    # two windows and more in a row that the model failed on: nobody heard what lay between
    assert dropped_s > 0


def test_when_inference_is_late_the_oldest_audio_is_dropped_and_the_rest_is_heard(
    of_lateness: Life,
) -> None:
    labels = {p["label"] for p in of_lateness.payloads()}
    assert "high_peeper" in labels
    assert "mid_whistler" not in labels
    ((*known_s, elapsed_s),) = of_lateness.rows(TOTALS)
    assert sum(known_s) == pytest.approx(elapsed_s, abs=1e-3)
    _, _, _, dropped_s, _ = known_s
    assert 1.0 < dropped_s < of_lateness.facts["stalled_s"]
    assert elapsed_s == pytest.approx(of_lateness.facts["played_s"], abs=2.0)
    assert of_lateness.facts["grown_bytes"] < 4e6
