"""The composition root of `edge run`: builds the parts, starts them, stops them in reverse.

Threads: PortAudio's callback, the pipeline, one for each delivery, the metrics server; this one
waits for signals. Each of the others is watched: one that dies ends the daemon with its reason, so
that the service manager starts it anew.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from edge.config.config import Config, load_config
from edge.errors import EdgeError, UserError
from edge.recorder.deliveries import Deliveries, Delivery, deliveries, program_version
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.metrics_server import MetricsServer
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.recorder import Recorder
from edge.recorder.signals import Command, commands_from_signals
from edge.recorder.systemd import Notifier
from edge.recorder.telemetry import SYSFS, Telemetry
from edge.sources.portaudio import AudioSystem
from edge.store.store import Store
from edge.threads import WatchedThread

__all__ = ["Daemon", "run"]

STOP_S = 4.0  # systemd, the user and a flat battery wait no longer than 5
log = logging.getLogger(__name__)


class Daemon:
    """A recorder that runs until it is stopped.

    `commands` is where signals are put; `run` belongs to the main thread.
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
        self._plan_of = plan_of
        self._sysfs = sysfs
        self._swap = threading.Lock()  # over which recorder is at work and which is next
        self._next: Recorder | None = None
        self._killed_by: BaseException | None = None

    def run(self) -> None:
        """Build, start, wait, stop.

        Raises `UserError` for what a person must mend, and whatever has killed a thread.
        """
        plan = self._plan_of(load_config(self._config_file))
        with ExitStack() as parts:
            parts.callback(self._notifier.close)
            store = parts.enter_context(open_store(plan.config))
            self._metrics = self._measure(plan, store, parts)
            self._recorder = self._record(plan, store)
            asked = self._metrics.asked
            asked.watch_queue(lambda: self._recorder.microphone.backlog_s)
            asked.watch_clips(lambda: self._recorder.clips)
            running = parts.enter_context(_started(self._delivered(plan, store)))
            pipeline = WatchedThread(self._pipeline, name="pipeline", died=self._died)
            parts.callback(self._stop, pipeline)
            pipeline.start()
            _log_what_runs(plan)
            while self.commands.get() == "reload":
                self._reload(store, running)
        if self._killed_by is not None:
            raise self._killed_by

    def _died(self, reason: BaseException) -> None:
        """Note what has killed a thread, and end; any thread."""
        self._killed_by = self._killed_by or reason
        self.commands.put("died")

    def _record(self, plan: RecorderPlan, store: Store) -> Recorder:
        return Recorder(
            plan,
            audio=self._audio,
            store=store,
            clock=self._clock,
            notifier=self._notifier,
            metrics=self._metrics,
        )

    def _delivered(self, plan: RecorderPlan, store: Store) -> list[Delivery]:
        return self._deliveries(plan, store, self._clock, self._metrics, self._died)

    def _measure(self, plan: RecorderPlan, store: Store, parts: ExitStack) -> Metrics:
        metrics = Metrics(CollectorRegistry(), labels=plan.model.decision.labels)
        _show_what_runs(metrics, plan)
        metrics.asked.watch_history(store)
        if plan.config.mqtt.enabled:
            metrics.asked.watch_store(store)
        Telemetry(metrics.registry, root=self._sysfs)
        if plan.config.metrics.enabled:
            server = MetricsServer(metrics.registry, plan.config.metrics, died=self._died)
            parts.callback(server.close)
        return metrics

    def _pipeline(self) -> None:
        """Record one stream after another, as reloads hand them over."""
        recorder: Recorder | None = self._recorder
        while recorder is not None:
            recorder.run()
            with self._swap:
                recorder, self._next = self._next, None
                self._recorder = recorder or self._recorder

    def _reload(self, store: Store, running: ExitStack) -> None:
        """Build and test the new; only then let go of the old.

        Store and place of the clips change with a restart only.
        """
        self._notifier.reloading()
        try:
            plan = self._plan_of(load_config(self._config_file))
            recorder = self._record(plan, store)
            new = self._delivered(plan, store)
        except (EdgeError, OSError) as exc:
            log.error("reload refused, the old configuration stays: %s", exc)
            self._notifier.reloaded(f"reload refused: {exc}")
            return
        except Exception as exc:  # an error of ours, that a stranger's model may have found
            log.exception("reload failed, the old configuration stays")
            self._notifier.reloaded(f"reload failed: {type(exc).__name__}: {exc}")
            return
        running.pop_all().close()
        with self._swap:
            self._next = recorder
            self._recorder.stop()
        _start(new, running)
        _show_what_runs(self._metrics, plan)
        log.info("reloaded: configuration %s", plan.provenance.config[:12])
        self._notifier.reloaded(f"configuration {plan.provenance.config[:12]}")

    def _stop(self, pipeline: WatchedThread) -> None:
        """Let the open events end and be stored, before the sinks say good-bye."""
        self._notifier.stopping()
        pipeline.expect_end()
        with self._swap:
            self._next = None
            self._recorder.stop()
        pipeline.join(STOP_S)
        if pipeline.alive:
            log.error("the pipeline did not end within %g s; what it had open is lost", STOP_S)


@contextmanager
def _started(chosen: list[Delivery]) -> Iterator[ExitStack]:
    with ExitStack() as running:
        _start(chosen, running)
        yield running


def _start(chosen: list[Delivery], running: ExitStack) -> None:
    for delivery in chosen:
        delivery.start()
        running.callback(_end, delivery)


def _end(delivery: Delivery) -> None:
    delivery.stop()
    if delivery.alive:
        log.error("%s did not end in time; what it had to send waits", type(delivery).__name__)


def open_store(config: Config) -> Store:
    """Open the store of the configuration, with an outbox for each sink that is enabled."""
    path = Path(config.store.path)
    if not path.parent.is_dir():
        reason = f"the folder of {path} does not exist"
        raise UserError(reason, key="store.path", suggestion="make it")
    chosen = config.store
    return Store(
        path,
        sinks=("mqtt",) if config.mqtt.enabled else (),
        outbox_bytes=chosen.outbox_bytes,
        history_bytes=chosen.history_bytes,
        ballast_bytes=chosen.ballast_bytes,
    )


def run(config_file: Path | None) -> None:
    """Run a recorder on this machine's microphone until SIGTERM: the command `edge run`."""
    from edge.sources.portaudio import PortAudio

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    daemon = Daemon(config_file, audio=PortAudio(), deliveries=deliveries)
    with commands_from_signals(daemon.commands):
        daemon.run()


def _log_what_runs(plan: RecorderPlan) -> None:
    what = plan.provenance
    bundle, config = what.bundle[:12], what.config[:12]
    engine = f"{what.backend}/{what.variant}"
    log.info("device %s, bundle %s on %s, configuration %s", plan.device, bundle, engine, config)


def _show_what_runs(metrics: Metrics, plan: RecorderPlan) -> None:
    what = plan.provenance
    metrics.digests(
        bundle=what.bundle,
        config=what.config,
        code=what.code,
        version=program_version(),
        device=plan.device,
    )
    metrics.engine(plan.model.engine)
