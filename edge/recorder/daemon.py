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
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from edge.config.config import Config, load_config
from edge.config.reload import merged, waiting_for_restart
from edge.errors import EdgeError
from edge.heads.pulling import pulling
from edge.heads.trial import TrialRules
from edge.recorder.backlog import Backlog
from edge.recorder.deliveries import Deliveries, Delivery, deliveries, start, started
from edge.recorder.live_clock import LiveClock
from edge.recorder.metrics import Metrics
from edge.recorder.metrics_server import MetricsServer
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.recorder import Recorder
from edge.recorder.sent_heads import SentHeads
from edge.recorder.signals import Command, commands_from_signals
from edge.recorder.store_place import StorePlace, sinks_of
from edge.recorder.streams import Streams
from edge.recorder.systemd import Notifier
from edge.recorder.telemetry import SYSFS, Telemetry
from edge.recorder.what_runs import log_privacy, log_what_runs, show_what_runs
from edge.sources.portaudio import AudioSystem
from edge.store.lock import sole_user

__all__ = ["Daemon", "run"]

STOP_S = 4.0  # systemd, the user and a flat battery wait no longer than 5
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
        self._page = ExitStack()
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
            self._plan = plan = self._heads.first_plan()
            self._place = StorePlace(config, self._backlog, died=self._died)
            parts.callback(self._place.close)
            self._metrics = self._measure(plan, parts)
            self._streams = Streams(self._record(plan), died=self._died)
            self._metrics.asked.watch_queue(lambda: self._streams.current.microphone.backlog_s)
            self._metrics.asked.watch_clips(lambda: self._streams.current.clips)
            running = parts.enter_context(started(self._delivered(plan)))
            parts.callback(self._stop)
            self._streams.start()
            log_what_runs(plan)
            self._heads.begin_trial(self._metrics)
            sent = pulling(config.heads, self._heads.inbox, device=plan.device, died=self._died)
            parts.enter_context(sent)
            while (command := self._next_command()) not in ("stop", "died"):
                self._obey(command, running)
            if command == "stop":
                self._heads.stopped()
        if self._killed_by is not None:
            raise self._killed_by

    def _heads_of(self, config: Config) -> SentHeads:
        heads = partial(SentHeads, config, plan_of=self._plan_of, rules=self.trial)
        boot, wake = self._clock.boot_id, partial(self.commands.put, "head")
        return heads(boot_id=boot, wake=wake, clock=self._clock.order_time)

    def _obey(self, command: Command, running: ExitStack) -> None:
        if command == "reload":
            self._reload(running)
            return
        self._look_after_store(running)
        if not self._streams.handing_over:
            self._look_after_head(running)

    def _next_command(self) -> Command:
        try:
            return self.commands.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            return "look"

    def _died(self, reason: BaseException) -> None:
        """Note what has killed a thread, and end."""
        self._killed_by = self._killed_by or reason
        self.commands.put("died")

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

    def _delivered(self, plan: RecorderPlan) -> list[Delivery]:
        store = self._delivered_from = self._place.store
        parts = self._clock, self._metrics, self._died
        return self._deliveries(plan, store, *parts, self._heads.inbox)

    def _measure(self, plan: RecorderPlan, parts: ExitStack) -> Metrics:
        metrics = Metrics(CollectorRegistry(), labels=plan.model.decision.labels)
        show_what_runs(metrics, plan)
        place = self._place
        metrics.asked.watch_history(lambda: place.store, lambda: place.quarantines)
        metrics.asked.watch_store(lambda: place.store)
        if self._heads.inbox is not None:
            metrics.asked.watch_heads(lambda: self._heads.counts)
        metrics.asked.watch_backlog(self._backlog, lambda: place.in_memory)
        Telemetry(metrics.registry, root=self._sysfs)
        parts.callback(self._page.close)
        self._open_page(metrics, plan)
        return metrics

    def _open_page(self, metrics: Metrics, plan: RecorderPlan) -> None:
        """Have the page where the configuration wants it, and nowhere else."""
        self._page.close()
        if plan.config.metrics.enabled:
            server = MetricsServer(metrics.registry, plan.config.metrics, died=self._died)
            self._page.callback(server.close)

    def _reload(self, running: ExitStack) -> None:
        """Build and test the new; only then let go of the old."""
        self._notifier.reloading()
        used = self._plan.config
        try:
            wanted = load_config(self._config_file)
            plan = self._heads.plan(merged(used, wanted))
            new = self._delivered(plan)
        except (EdgeError, OSError) as exc:
            log.error("reload refused, the old configuration stays: %s", exc)
            self._notifier.reloaded(f"reload refused: {exc}")
            return
        except Exception as exc:  # an error of ours, that a stranger's model may have found
            log.exception("reload failed, the old configuration stays")
            self._notifier.reloaded(f"reload failed: {type(exc).__name__}: {exc}")
            return
        self._use(plan, new, running)
        if plan.config.metrics != used.metrics:
            self._open_page(self._metrics, plan)
        status = f"configuration {plan.provenance.config[:12]}"
        waiting = waiting_for_restart(used, wanted)
        if waiting:
            status += f"; what changed in {', '.join(waiting)} waits for a restart"
        log.log(logging.WARNING if waiting else logging.INFO, "reloaded: %s", status)
        self._notifier.reloaded(status)

    def _use(self, plan: RecorderPlan, new: list[Delivery], running: ExitStack) -> None:
        """End the stream and the deliveries, and go on with those of `plan`, a new epoch."""
        running.pop_all().close()
        self._place.store.sinks = sinks_of(plan.config)
        self._plan = plan
        self._streams.hand_over(partial(self._record, plan), wait_s=STOP_S)
        start(new, running)
        show_what_runs(self._metrics, plan)
        log_privacy(plan)

    def _look_after_head(self, running: ExitStack) -> None:
        """Use a head that was brought, or go back from one that does not do."""
        plan = self._heads.judge(self._metrics)
        plan = plan or self._heads.take(store=self._place.store, now=self._clock.now_utc())
        if plan is not None:
            self._use(plan, self._delivered(plan), running)
            log_what_runs(plan)
            self._heads.begin_trial(self._metrics)

    def _look_after_store(self, running: ExitStack) -> None:
        """Move to another store where this one takes nothing, or where the file does again."""
        if self._streams.handing_over:
            return
        if self._delivered_from is not self._place.store:  # the pipeline took its time
            running.pop_all().close()
            start(self._delivered(self._plan), running)
        new = self._place.better_store(self._plan.config)
        if new is None:
            return
        running.pop_all().close()

        def go_on() -> Recorder:
            self._place.move_to(new, device=self._plan.device)
            return self._record(self._plan)

        self._streams.hand_over(go_on, wait_s=STOP_S)
        start(self._delivered(self._plan), running)

    def _stop(self) -> None:
        """Let the open events end and be stored, before the sinks say good-bye."""
        self._notifier.stopping()
        self._streams.stop(STOP_S)


def run(config_file: Path | None) -> None:
    """Run a recorder on this machine's microphone until SIGTERM: the command `edge run`."""
    from edge.sources.portaudio import PortAudio

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    daemon = Daemon(config_file, audio=PortAudio(), deliveries=deliveries)
    with commands_from_signals(daemon.commands):
        daemon.run()
