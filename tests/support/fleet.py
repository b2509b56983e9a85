"""A recorder with every trouble that there is an alert for, watched by a real Prometheus.

Prometheus evaluates a copy of the shipped rules in which minutes are seconds: `hastened` makes it,
and replaces only durations and the least numbers of events that make a share. What the shipped
durations do is tested by `promtool test rules`.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge.bundle.signing import sign_bundle
from edge.errors import StoreError
from edge.files import write_whole
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.recorder.live_clock import LiveClock
from edge.store.store import Store
from tests.support.audio import noise
from tests.support.broker import Broker, free_port
from tests.support.bundles import SPEC, tiny_bundle, tone
from tests.support.daemons import HandWorld, RealTimeAudio, running, until, write_config
from tests.support.disk import fill, small_disk
from tests.support.faults import Watch
from tests.support.keys import key_pair
from tests.support.prometheus import Prometheus, prometheus
from tests.support.store import SYNCED, payload, spoil_newest
from tests.support.sysfs import orin

__all__ = ["ALERTS", "Fleet", "alerts", "hastened", "troubled_recorder"]

ALERTS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "edge-alerts.yml"
HASTENED = {"5m": "4s", "10m": "4s", "15m": "5s", "30m": "6s", "1h": "8s", "1d": "30s"}
LEAST = {">= 30": ">= 1", ">= 50": ">= 1"}


def alerts(file: Path = ALERTS) -> dict[str, dict[str, Any]]:
    """The alerts of a file of rules, by name."""
    (group,) = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return {rule["alert"]: rule for rule in group["rules"] if "alert" in rule}


def hastened(text: str) -> str:
    """Rules in which minutes are seconds; raises KeyError for a duration that has no short one."""
    content = yaml.safe_load(text)
    for group in content["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            rule["expr"] = re.sub(
                r"(?<=[\[ ])\d+[smhd]\b", lambda found: HASTENED[found.group()], rule["expr"]
            )
            for many, few in LEAST.items():
                rule["expr"] = rule["expr"].replace(many, few)
            if "for" in rule:
                rule["for"] = "1s"
    return yaml.safe_dump(content, allow_unicode=True)


@dataclass
class Fleet:
    """What became of the recorder: the alerts that fired, in calm and in trouble.

    `at_s` is the time at which it had the most metrics.
    """

    prometheus: Prometheus
    calm: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    fired: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    ailing: dict[str, str] = field(default_factory=dict)
    at_s: float = 0.0

    def wait_for(self, *names: str) -> None:
        """Wait until each of these alerts has fired."""

        def have_fired() -> bool:
            for name, found in self.prometheus.firing().items():
                self.fired.setdefault(name, []).extend(found)
            self.ailing |= self.prometheus.ailing()
            return set(names) <= set(self.fired)

        try:
            until(have_fired, 60)
        except AssertionError as exc:
            raise AssertionError(
                f"did not fire: {sorted(set(names) - set(self.fired))}; {self.ailing}"
            ) from exc


@contextmanager
def troubled_recorder(folder: Path) -> Iterator[Fleet]:
    """Give what became of a recorder with troubles, which is gone; Prometheus still answers."""
    rules, port = folder / "rules.yml", free_port()
    rules.write_text(hastened(ALERTS.read_text(encoding="utf-8")), encoding="utf-8")
    with ExitStack() as parts:
        disk = parts.enter_context(small_disk(folder / "disk", megabytes=24))
        broker = parts.enter_context(Broker(folder / "broker", mortal=False))
        fleet = Fleet(
            parts.enter_context(prometheus(folder / "prometheus", scrapes=port, rules=rules))
        )
        _Life(folder, disk=disk, port=port, broker=broker, fleet=fleet).live()
        fleet.wait_for("EdgeDown")
        yield fleet


class _Life:
    """The life of the recorder, from calm to its last trouble."""

    def __init__(
        self, folder: Path, *, disk: Path, port: int, broker: Broker, fleet: Fleet
    ) -> None:
        self.disk = disk
        self.port = port
        self.broker = broker
        self.fleet = fleet
        self.folder = folder
        self.watch = Watch(port)
        self.world = HandWorld(synced=False)
        self.board = orin(folder / "sys")
        self.key = key_pair(folder)
        self.audio = RealTimeAudio(_calls(tone(300, 1.0)))

    def live(self) -> None:
        well = tiny_bundle(self.folder / "well", variant_errors={"int8-cpu": 0.0}).path
        spoiled = tiny_bundle(self.folder / "spoiled", variant_errors={"int8-cpu": 1.0}).path
        for bundle in (well, spoiled):
            sign_bundle(bundle, self.key.private)
        daemon = Daemon(
            self._configure(well, self.broker.port),
            audio=self.audio,
            deliveries=deliveries,
            clock=LiveClock(world=self.world),
            sysfs=self.board.root,
        )
        self.spoiled, self.commands = spoiled, daemon.commands
        with running(daemon):
            self._calm()
            self._configure(spoiled, free_port())
            daemon.commands.put("reload")
            self.watch.until("edge_engine_fallbacks")  # the sink that had a broker is gone
            self._of_board_and_delivery()
            self._of_sound()
            self._of_disk()

    def _configure(self, bundle: Path, broker_port: int) -> Path:
        return write_config(
            self.folder,
            bundle,
            model={"bundle": str(bundle), "hop_s": 0.1, "trusted_keys": [self.key.text]},
            heads={
                "folder": str(self.folder / "sent"),
                "every_s": 1.0,
                "kept": str(self.folder / "heads"),
            },
            tracker={"cooldown_s": 0.1, "longest_s": 5.0, "update_s": 0.2},
            store={
                "path": str(self.disk / "edge.db"),
                "ballast_mb": 0.0,
                "outbox_mb": 0.1,
                "history_mb": 100.0,
            },
            clips={
                "folder": str(self.disk / "clips"),
                "reserve_mb": 1.0,
                "format": "wav",
                "budget_mb": 0.6,
                "padding_s": 0.1,
            },
            mqtt={
                "host": "127.0.0.1",
                "port": broker_port,
                "wait_for_sync_s": 0.0,
                "rate_per_s": 1000.0,
            },
            metrics={"port": self.port},
        )

    def _calm(self) -> None:
        """Have known calls delivered until the recorder has an earlier day to compare with.

        The clock is not set yet. Clips fill their budget in small steps.
        """
        self.watch.until('edge_messages_sent_total{kind="detection"}', 10)
        self.watch.until('edge_detections_total{label="low_hummer"}', 5)
        until(lambda: self.fleet.prometheus.asked("instance:edge_unknown_events:share1d"), 60)
        self.fleet.calm = self.fleet.prometheus.firing()

    def _of_board_and_delivery(self) -> None:
        _flood(self.disk / "edge.db")
        write_whole(self.folder / "sent" / "pond.json", b"a stranger's head")
        self.board.write("class/thermal/thermal_zone2/temp", 96_500)
        self.audio.samples = _calls(noise(1.0))
        self.fleet.wait_for(
            "EdgeHot",
            "EdgeEngineFallback",
            "EdgeUnknownRateJump",
            "EdgeOutboxGrowing",
            "EdgeOutboxDropping",
            "EdgeHeadNotUsed",
        )
        spoil_newest(self.disk / "edge.db")
        self._configure(self.spoiled, self.broker.port)
        self.commands.put("reload")
        self.fleet.wait_for("EdgeMessagesSetAside")
        self._configure(self.spoiled, free_port())
        self.commands.put("reload")
        self.fleet.wait_for("EdgeDiskBudget")
        self.fleet.at_s = time.time()

    def _of_sound(self) -> None:
        self.audio.samples = np.zeros(SPEC.sample_rate_hz, np.float32)
        self.fleet.wait_for("EdgeNoAudio", "EdgeMicrophoneFault")
        self.audio.present = False
        self.fleet.wait_for("EdgeAudioLost")
        self.audio.samples, self.audio.present = _calls(tone(300, 1.0)), True

    def _of_disk(self) -> None:
        fill(self.disk)
        # until there is no free page left in the database either
        with contextlib.suppress(StoreError):
            _flood(self.disk / "edge.db", first=1000, count=100_000)
        self.fleet.wait_for("EdgeClipsRefused", "EdgeStoreFailing")


def _calls(sound: Any) -> Any:
    """A sound again and again, with silence between."""
    return np.concatenate([sound, np.zeros(round(1.2 * SPEC.sample_rate_hz), np.float32)])


def _flood(path: Path, *, first: int = 0, count: int = 250) -> None:
    """Store more events than the outbox takes; the recorder finds them at its next write."""
    with Store(path, outbox_bytes=10**9, history_bytes=10**9) as store:
        for number in range(first, first + count):
            store.record(payload(number, label="low_hummer"), dating=SYNCED)
