"""Many recorders in one process, of which only the sound and the network are simulated.

    python -m tests.support.simulated_recorders FOLDER PORT TRUNK KEY FIRST COUNT

Each has its own store, outbox, connection, inbox, and folder of heads, and the client code of the
program: `deliveries`, `SentHeads`, the payloads. What it hears is made up: an event every twenty
seconds or so. A head is verified by each, with its files, signatures and golden outputs; the
network itself is run once for each process and each head. The process says a line of JSON for each
head that one of its recorders takes, and ends with its standard input.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import queue
import random
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from edge.bundle import load_bundle
from edge.config.config import Config, load_config
from edge.recorder.deliveries import deliveries
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.sent_heads import SentHeads
from edge.store.effort import EffortMinute
from edge.store.store import Store
from edge.types import Detection, EventState
from edge.wire import effort_payload, health_payload, recorder_payload
from tests.support.backlog import QUIET
from tests.support.broker import unexpected
from tests.support.daemons import write_config

__all__ = ["SimulatedRecorder"]

EVENT_EVERY_S = 20.0
RATE_HZ = 22_050
STORE_BYTES = 10**7


class Plans:
    """Plans of heads, whose network is run once for all recorders of this process."""

    def __init__(self) -> None:
        self._known: dict[str, RecorderPlan] = {}

    def __call__(self, config: Config) -> RecorderPlan:
        bundle = load_bundle(str(config.model.bundle), trusted=config.model.trusted())
        if bundle.digest not in self._known:
            self._known[bundle.digest] = make_plan(config)
        plan = self._known[bundle.digest]
        return dataclasses.replace(plan, config=config, device=config.device_id())


class SimulatedRecorder:
    """All of a recorder but its microphone, pipeline and page of metrics."""

    def __init__(self, config: Config, *, plans: Plans, wake: Callable[[], None]) -> None:
        self.clock = LiveClock()
        boot = f"{self.clock.boot_id} {time.monotonic_ns()}"  # each process is a start of a machine
        self.heads = SentHeads(config, plan_of=plans, boot_id=boot, wake=wake)
        self.plan = self.heads.first_plan()
        self.store = Store(
            Path(":memory:"), sinks=("mqtt",), outbox_bytes=STORE_BYTES, history_bytes=STORE_BYTES
        )
        self._metrics = Metrics(CollectorRegistry(), labels=self.plan.model.decision.labels)
        self._dice = random.Random(self.plan.device)
        self._events = 0
        self._minute = 0
        self._begin()

    def _begin(self) -> None:
        parts = self.store, self.clock, self._metrics, unexpected
        (self._sink,) = deliveries(self.plan, *parts, self.heads.inbox)
        self._sink.start()

    def take(self) -> bool:
        """Use a head that was brought, as the daemon does; return whether there was one."""
        plan = self.heads.take(store=self.store, now=self.clock.now_utc())
        if plan is None:
            return False
        self._sink.stop()
        self.plan = plan
        self._begin()
        return True

    def hear(self) -> float:
        """Store an event; return in how many seconds the next one comes."""
        for state in ("new", "end"):
            self._record(state)
        self._events += 1
        return self._dice.expovariate(1 / EVENT_EVERY_S)

    def _record(self, state: EventState) -> None:
        start = self._events * RATE_HZ
        label = self._dice.choice(self.plan.bundle.labels).label
        event = Detection(
            id=f"{self.plan.device[:8]:0<8}{self._events:024x}",
            state=state,
            label=label,
            nearest=label,
            score=0.9,
            novelty=0.1,
            top=(),
            start_sample=start,
            end_sample=start + RATE_HZ,
            peak_sample=start,
            sample_rate_hz=RATE_HZ,
            windows=1,
            health=QUIET,
            embedding=np.zeros(4, np.float32),
        )
        sent = recorder_payload(
            event,
            device=self.plan.device,
            boot_id=self.clock.boot_id,
            site="",
            clip=None,
            clock=self.clock.at(start),
            provenance=self.plan.provenance,
        )
        self.store.record(sent, dating=self.clock.dating())

    def minute(self) -> None:
        """Store a minute of the ledger, and the health of the microphone."""
        start = self._minute * 60 * RATE_HZ
        length = 60 * RATE_HZ
        minute = EffortMinute(
            start_sample=start, end_sample=start + length, sample_rate_hz=RATE_HZ, heard=length
        )
        clock, dating = self.clock.at(start), self.clock.dating()
        about = {"device": self.plan.device, "boot_id": self.clock.boot_id}
        ledger = effort_payload(minute, **about, clock=clock)
        self.store.record_effort(minute, ledger, stream="s", dating=dating)
        health = health_payload(QUIET, **about, time=self.clock.now_utc(), clock=clock)
        self.store.record_health(health, dating=dating)
        self._minute += 1


def _configured(folder: Path, port: int, trunk: str, key: str, device: str) -> Config:
    folder.mkdir(parents=True, exist_ok=True)
    file = write_config(
        folder,
        Path(trunk),
        device={"id": device},
        model={"bundle": trunk, "trusted_keys": [key]},
        heads={"broker": True, "kept": str(folder / "heads")},
        mqtt={"host": "127.0.0.1", "port": port, "wait_for_sync_s": 0.0},
    )
    return load_config(file)


def _say(**content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def _live(recorders: dict[str, SimulatedRecorder], brought: queue.SimpleQueue[str]) -> None:
    """Hear, and take what is brought, until nobody listens any more."""
    dice = random.Random(0)
    due = {name: time.monotonic() + dice.uniform(0, EVENT_EVERY_S) for name in recorders}
    minutes = {name: time.monotonic() + dice.uniform(0, 60) for name in recorders}
    while (name := _next(brought)) != "end":
        if name and recorders[name].take():
            _say(device=name, taken=recorders[name].plan.provenance.bundle)
        now_s = time.monotonic()
        for name, recorder in recorders.items():
            if due[name] <= now_s:
                due[name] = now_s + recorder.hear()
            if minutes[name] <= now_s:
                minutes[name] = now_s + 60
                recorder.minute()


def _next(brought: queue.SimpleQueue[str]) -> str:
    try:
        return brought.get(timeout=0.2)
    except queue.Empty:
        return ""


def main() -> None:
    """See the module."""
    logging.disable()
    folder, port, trunk, key, first, count = sys.argv[1:]
    plans, brought = Plans(), queue.SimpleQueue[str]()
    recorders = {}
    for number in range(int(first), int(first) + int(count)):
        device = f"r{number:04d}"
        config = _configured(Path(folder, device), int(port), trunk, key, device)
        recorders[device] = SimulatedRecorder(
            config, plans=plans, wake=partial(brought.put, device)
        )
    _say(started=len(recorders))

    def wait_for_the_end() -> None:
        sys.stdin.read()
        brought.put("end")

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    _live(recorders, brought)
    for recorder in recorders.values():
        recorder.heads.stopped()
    _say(counts={name: dict(recorder.heads.counts) for name, recorder in recorders.items()})


if __name__ == "__main__":
    main()
