"""The composition root of `edge run`: builds the parts, starts them in order, stops them in
reverse, and answers signals.

Threads: PortAudio's callback, the pipeline, one per sink, the metrics server; this one only waits
for signals.
"""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry

from edge.config.config import Config, load_config
from edge.errors import EdgeError, UserError
from edge.mqtt.sink import MqttSink
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics, MetricsServer
from edge.recorder.recorder import Recorder, RecorderPlan, make_plan
from edge.recorder.systemd import Notifier
from edge.recorder.telemetry import SYSFS, Telemetry
from edge.sources.portaudio import AudioSystem
from edge.store.store import Store
from edge.wire import info_payload

__all__ = ["Command", "Daemon", "Delivery", "commands_from_signals", "run"]

Command = Literal["stop", "reload", "died"]
STOP_S = 4.0  # systemd, the user and a flat battery wait no longer than 5
log = logging.getLogger(__name__)


class Delivery(Protocol):
    """What carries the store's rows to the outside on a thread of its own."""

    def start(self) -> None:
        """Begin; must not wait for the network."""
        ...

    def stop(self) -> None:
        """Say good-bye and end within 3 s."""
        ...


Deliveries = Callable[[RecorderPlan, Store, LiveClock, Metrics], list[Delivery]]


class Daemon:
    """A recorder that runs until told to stop. `commands` is where signals are put; `run` belongs
    to the main thread.
    """

    def __init__(
        self,
        config_file: Path | None,
        *,
        audio: AudioSystem,
        deliveries: Deliveries,
        clock: LiveClock | None = None,
        notifier: Notifier | None = None,
        plan_of: Callable[[Config], RecorderPlan] = make_plan,
        sysfs: Path = SYSFS,
    ) -> None:
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._config_file = config_file
        self._audio = audio
        self._deliveries = deliveries
        self._clock = clock or LiveClock()
        self._notifier = notifier or Notifier()
        self._make_plan = plan_of
        self._sysfs = sysfs
        self._swap = threading.Lock()  # over which recorder is at work and which is next
        self._next: Recorder | None = None
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Build, start, wait, stop. Raises `UserError` for what a person must mend, and whatever
        ended the pipeline.
        """
        plan = self._make_plan(load_config(self._config_file))
        with ExitStack() as parts:
            parts.callback(self._notifier.close)
            store = parts.enter_context(open_store(plan.config))
            self._metrics = self._measure(plan, store, parts)
            self._recorder = self._record(plan, store)
            self._metrics.watch_queue(lambda: self._recorder.microphone.backlog_s)
            self._metrics.watch_clips(lambda: self._recorder.clips)
            sinks = parts.enter_context(
                _started(self._deliveries(plan, store, self._clock, self._metrics))
            )
            pipeline = threading.Thread(target=self._hear, name="pipeline", daemon=True)
            parts.callback(self._stop, pipeline)
            pipeline.start()
            log.info(
                "device %s, bundle %s on %s/%s, configuration %s",
                plan.device,
                plan.provenance.bundle[:12],
                plan.provenance.backend,
                plan.provenance.variant,
                plan.provenance.config[:12],
            )
            while self.commands.get() == "reload":
                self._reload(store, sinks)
        if self._failure is not None:
            raise self._failure

    def _record(self, plan: RecorderPlan, store: Store) -> Recorder:
        return Recorder(
            plan,
            audio=self._audio,
            store=store,
            clock=self._clock,
            notifier=self._notifier,
            metrics=self._metrics,
        )

    def _measure(self, plan: RecorderPlan, store: Store, parts: ExitStack) -> Metrics:
        metrics = Metrics(CollectorRegistry(), labels=plan.model.labels)
        _tell(metrics, plan)
        if store.quarantined is not None:
            metrics.store_quarantined()
        metrics.watch_history(store)
        if plan.config.mqtt.enabled:
            metrics.watch_store(store)
        Telemetry(metrics.registry, root=self._sysfs)
        if plan.config.metrics.enabled:
            chosen = plan.config.metrics
            parts.callback(
                MetricsServer(metrics.registry, address=chosen.address, port=chosen.port).close
            )
        return metrics

    def _hear(self) -> None:
        """The pipeline's thread: one stream after another, as reloads hand them over."""
        try:
            recorder: Recorder | None = self._recorder
            while recorder is not None:
                recorder.run()
                with self._swap:
                    recorder, self._next = self._next, None
                    self._recorder = recorder or self._recorder
        except Exception as exc:
            self._failure = exc
        finally:
            self.commands.put("died")

    def _reload(self, store: Store, sinks: ExitStack) -> None:
        """Build and test the new; only then let go of the old. Store and place of the clips change
        with a restart only.
        """
        self._notifier.reloading()
        try:
            plan = self._make_plan(load_config(self._config_file))
            recorder = self._record(plan, store)
            deliveries = self._deliveries(plan, store, self._clock, self._metrics)
        except (EdgeError, OSError) as exc:
            log.error("reload refused, the old configuration stays: %s", exc)
            self._notifier.reloaded(f"reload refused: {exc}")
            return
        sinks.pop_all().close()
        with self._swap:
            self._next = recorder
            self._recorder.stop()
        _start(deliveries, sinks)
        _tell(self._metrics, plan)
        log.info("reloaded: configuration %s", plan.provenance.config[:12])
        self._notifier.reloaded(f"configuration {plan.provenance.config[:12]}")

    def _stop(self, pipeline: threading.Thread) -> None:
        """Let the open events end and be stored, before the sinks say good-bye."""
        self._notifier.stopping()
        with self._swap:
            self._next = None
            self._recorder.stop()
        pipeline.join(STOP_S)
        if pipeline.is_alive():
            log.error("the pipeline did not end within %g s; what it had open is lost", STOP_S)


@contextmanager
def _started(deliveries: list[Delivery]) -> Iterator[ExitStack]:
    with ExitStack() as running:
        _start(deliveries, running)
        yield running


def _start(deliveries: list[Delivery], running: ExitStack) -> None:
    for delivery in deliveries:
        delivery.start()
        running.callback(delivery.stop)


def open_store(config: Config) -> Store:
    """The store of the configuration, with an outbox for each sink that is enabled."""
    sinks = ("mqtt",) if config.mqtt.enabled else ()
    path = Path(config.store.path)
    if not path.parent.is_dir():
        raise UserError(f"store.path: the folder of {path} does not exist")
    chosen = config.store
    return Store(
        path,
        sinks=sinks,
        outbox_bytes=chosen.outbox_bytes,
        history_bytes=chosen.history_bytes,
        ballast_bytes=chosen.ballast_bytes,
    )


@contextmanager
def commands_from_signals(commands: queue.SimpleQueue[Command]) -> Iterator[None]:
    """SIGTERM and SIGINT stop, SIGHUP reloads, until the block ends. Main thread only."""
    wanted: dict[signal.Signals, Command] = {
        signal.SIGTERM: "stop",
        signal.SIGINT: "stop",
        signal.SIGHUP: "reload",
    }
    # SimpleQueue.put is reentrant, which is what a signal handler needs.
    before = {
        number: signal.signal(number, lambda *_, c=command: commands.put(c))
        for number, command in wanted.items()
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(config_file: Path | None) -> None:
    """`edge run`: until SIGTERM."""
    from edge.sources.portaudio import PortAudio

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    daemon = Daemon(config_file, audio=PortAudio(), deliveries=deliveries)
    with commands_from_signals(daemon.commands):
        daemon.run()


def deliveries(
    plan: RecorderPlan, store: Store, clock: LiveClock, metrics: Metrics
) -> list[Delivery]:
    """The sinks that the configuration enables."""
    config = plan.config
    if not config.mqtt.enabled:
        return []
    info = info_payload(
        device=plan.device,
        site=config.device.site,
        boot_id=clock.boot_id,
        version=program_version(),
        provenance=plan.provenance,
        started=clock.now_utc(),
    )
    return [MqttSink(config.mqtt, device=plan.device, store=store, info=info, meter=metrics)]


def _tell(metrics: Metrics, plan: RecorderPlan) -> None:
    metrics.digests(**digests(plan))
    p = plan.provenance
    metrics.engine(backend=p.backend, variant=p.variant, passed_over=plan.model.passed_over)


def digests(plan: RecorderPlan) -> dict[str, str]:
    """What runs, for the metrics."""
    p = plan.provenance
    return {
        "bundle": p.bundle,
        "config": p.config,
        "code": p.code,
        "version": program_version(),
        "device": plan.device,
    }


def program_version() -> str:
    """Of the installed package; a bare checkout has none."""
    try:
        return version("edge-monitor")
    except PackageNotFoundError:
        return "0"
