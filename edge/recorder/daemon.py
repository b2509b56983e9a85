"""The composition root of `edge run`: builds the parts, starts them, stops them in reverse.

Threads: PortAudio's callback, the pipeline, one for each delivery, the metrics server; this one
waits for signals. Each of the others is watched: one that dies ends the daemon with its reason, so
that the service manager starts it anew.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry

from edge.config.config import Config, load_config
from edge.config.reload import merged, waiting_for_restart
from edge.errors import EdgeError
from edge.heads.pulling import pulling
from edge.heads.trial import TrialRules
from edge.recorder.backlog import Backlog
from edge.recorder.deliveries import Deliveries, Delivery, deliveries
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.metrics_server import MetricsPage
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.recorder import Recorder
from edge.recorder.running_plan import RunningPlan
from edge.recorder.sent_heads import SentHeads
from edge.recorder.signals import Command, commands_from_signals
from edge.recorder.store_place import StorePlace
from edge.recorder.systemd import Notifier
from edge.recorder.telemetry import SYSFS, Telemetry
from edge.recorder.what_runs import log_what_runs, show_what_runs
from edge.sources.portaudio import AudioSystem
from edge.store.lock import sole_user
from edge.store.store import Store

__all__ = ["Daemon", "run"]

LOOK_EVERY_S = 1.0
log = logging.getLogger(__name__)


class Daemon:
    """A recorder that runs until it is stopped.

    `commands` is where signals are put; `run` belongs to the main thread. `trial` is what the first
    hour of a head that was sent is judged by.
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
        backlog: Backlog | None = None,
    ) -> None:
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._config_file = config_file
        self._audio = audio
        self._deliveries = deliveries
        self._clock = clock or LiveClock()
        self._notifier = notifier or Notifier()
        self._plan_of = plan_of
        self._sysfs = sysfs
        self._backlog = backlog if backlog is not None else Backlog()
        self.trial = TrialRules()
        self._killed_by: BaseException | None = None

    def run(self) -> None:
        """Build, start, wait, stop.

        Raises `UserError` for what a person must mend, and whatever has killed a thread.
        """
        config = load_config(self._config_file)
        with ExitStack() as parts:
            parts.callback(self._notifier.close)
            parts.enter_context(sole_user(config.store.path))
            self._heads = self._heads_of(config)
            parts.push(self._heads.ended)
            plan = self._heads.first_plan()
            self._place = StorePlace(config, self._backlog, died=self._died)
            parts.callback(self._place.close)
            self._metrics = self._measure(plan)
            self._page = MetricsPage(self._metrics.registry, died=self._died)
            parts.callback(self._page.close)
            self._page.show(plan.config.metrics)
            self._running = self._running_plan(plan)
            parts.callback(self._running.stop_deliveries)
            self._running.start_deliveries()
            parts.callback(self._stop)
            self._running.start_stream()
            self._heads.begin_trial(self._metrics)
            inbox = self._heads.inbox
            parts.enter_context(pulling(config.heads, inbox, device=plan.device, died=self._died))
            while (command := self._next_command()) not in ("stop", "died"):
                self._obey(command)
            if command == "stop":
                self._heads.stopped()
        if self._killed_by is not None:
            raise self._killed_by

    def _heads_of(self, config: Config) -> SentHeads:
        return SentHeads(
            config,
            plan_of=self._plan_of,
            boot_id=self._clock.boot_id,
            wake=lambda: self.commands.put("head"),
            rules=self.trial,
            clock=self._clock.order_time,
        )

    def _measure(self, plan: RecorderPlan) -> Metrics:
        metrics = Metrics(CollectorRegistry(), labels=plan.model.decision.labels)
        show_what_runs(metrics, plan)
        place = self._place
        metrics.asked.watch_history(lambda: place.store, lambda: place.quarantines)
        metrics.asked.watch_store(lambda: place.store)
        if self._heads.inbox is not None:
            metrics.asked.watch_heads(lambda: self._heads.counts)
        metrics.asked.watch_backlog(self._backlog, lambda: place.in_memory)
        Telemetry(metrics.registry, root=self._sysfs)
        return metrics

    def _running_plan(self, plan: RecorderPlan) -> RunningPlan:
        running = RunningPlan(
            plan,
            place=self._place,
            metrics=self._metrics,
            record=self._record,
            deliver=self._deliver,
            died=self._died,
        )
        self._metrics.asked.watch_queue(lambda: running.current.microphone.backlog_s)
        self._metrics.asked.watch_clips(lambda: running.current.clips)
        return running

    def _record(self, plan: RecorderPlan) -> Recorder:
        return Recorder(
            plan,
            audio=self._audio,
            store=self._place.store,
            clock=self._clock,
            notifier=self._notifier,
            metrics=self._metrics,
            backlog=self._backlog,
        )

    def _deliver(self, plan: RecorderPlan, store: Store) -> list[Delivery]:
        return self._deliveries(
            plan, store, self._clock, self._metrics, self._died, self._heads.inbox
        )

    def _died(self, reason: BaseException) -> None:
        """Note what has killed a thread, and end."""
        self._killed_by = self._killed_by or reason
        self.commands.put("died")

    def _next_command(self) -> Command:
        try:
            return self.commands.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            return "look"

    def _obey(self, command: Command) -> None:
        if command == "reload":
            self._reload()
            return
        self._running.look_after_store()
        if not self._running.handing_over:
            self._look_after_head()

    def _reload(self) -> None:
        """Build and test the new; only then let go of the old."""
        self._notifier.reloading()
        used = self._running.plan.config
        try:
            wanted = load_config(self._config_file)
            plan = self._heads.plan(merged(used, wanted))
            new = self._running.deliveries(plan)
        except (EdgeError, OSError) as exc:
            log.error("reload refused, the old configuration stays: %s", exc)
            self._notifier.reloaded(f"reload refused: {exc}")
            return
        except Exception as exc:  # an error of ours, that a stranger's model may have found
            log.exception("reload failed, the old configuration stays")
            self._notifier.reloaded(f"reload failed: {type(exc).__name__}: {exc}")
            return
        self._running.use(plan, new)
        if plan.config.metrics != used.metrics:
            self._page.show(plan.config.metrics)
        status = f"configuration {plan.provenance.config[:12]}"
        waiting = waiting_for_restart(used, wanted)
        if waiting:
            status += f"; what changed in {', '.join(waiting)} waits for a restart"
        log.log(logging.WARNING if waiting else logging.INFO, "reloaded: %s", status)
        self._notifier.reloaded(status)

    def _look_after_head(self) -> None:
        """Use a head that was brought, or go back from one that does not do."""
        plan = self._heads.judge(self._metrics)
        plan = plan or self._heads.take(store=self._place.store, now=self._clock.now_utc())
        if plan is not None:
            self._running.use(plan, self._running.deliveries(plan))
            log_what_runs(plan)
            self._heads.begin_trial(self._metrics)

    def _stop(self) -> None:
        """Let the open events end and be stored, before the sinks say good-bye."""
        self._notifier.stopping()
        self._running.stop_stream()


def run(config_file: Path | None) -> None:
    """Run a recorder on this machine's microphone until SIGTERM: the command `edge run`."""
    from edge.sources.portaudio import PortAudio

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    daemon = Daemon(config_file, audio=PortAudio(), deliveries=deliveries)
    with commands_from_signals(daemon.commands):
        daemon.run()
