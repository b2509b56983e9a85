"""The plan that a recorder runs, with its stream and its deliveries, and how another follows it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from edge.recorder.deliveries import Delivery, start
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.recorder.recorder import Recorder
from edge.recorder.store_place import StorePlace, sinks_of
from edge.recorder.streams import Streams
from edge.recorder.what_runs import log_privacy, log_what_runs, show_what_runs
from edge.store.store import Store
from edge.threads import Died

__all__ = ["RunningPlan"]

STOP_S = 4.0  # systemd, the user and a flat battery wait no longer than 5


class RunningPlan:
    """Runs one plan after another, from the store in use. Every method is the main thread's.

    `record` makes the stream of a plan, on the pipeline's thread but for the first; `deliver` makes
    its deliveries from a store, not yet started.
    """

    def __init__(
        self,
        plan: RecorderPlan,
        *,
        place: StorePlace,
        metrics: Metrics,
        record: Callable[[RecorderPlan], Recorder],
        deliver: Callable[[RecorderPlan, Store], list[Delivery]],
        died: Died,
    ) -> None:
        self.plan = plan
        self._place = place
        self._metrics = metrics
        self._record = record
        self._deliver = deliver
        self._streams = Streams(record(plan), died=died)
        self._started = ExitStack()
        self._delivered_from = place.store
        self._moving_to: Store | None = None

    @property
    def current(self) -> Recorder:
        """The stream at work; any thread may ask for it."""
        return self._streams.current

    @property
    def handing_over(self) -> bool:
        """Whether a stream has been asked to end for the next, and has not yet."""
        return self._streams.handing_over

    def start_deliveries(self) -> None:
        """Start the deliveries of the plan."""
        start(self.deliveries(self.plan), self._started)

    def stop_deliveries(self) -> None:
        """Let each delivery say good-bye and end."""
        self._started.pop_all().close()

    def start_stream(self) -> None:
        """Start the stream of the plan."""
        self._streams.start()
        log_what_runs(self.plan)

    def stop_stream(self) -> None:
        """Let the open events end and be stored."""
        self._streams.stop(STOP_S)
        new, self._moving_to = self._moving_to, None
        if new is not None:  # the stream took its time
            new.close()

    def deliveries(self, plan: RecorderPlan) -> list[Delivery]:
        """Return the deliveries of a plan from the store in use, not yet started."""
        store = self._delivered_from = self._place.store
        return self._deliver(plan, store)

    def use(self, plan: RecorderPlan, deliveries: list[Delivery]) -> None:
        """End the stream and the deliveries, and go on with those of `plan`, a new epoch."""
        self.stop_deliveries()
        for store in (self._place.store, self._moving_to):
            if store is not None:
                store.sinks = sinks_of(plan.config)
        self.plan = plan
        self._streams.hand_over(self._go_on, wait_s=STOP_S)
        start(deliveries, self._started)
        show_what_runs(self._metrics, plan)
        log_privacy(plan)

    def look_after_store(self) -> None:
        """Move to another store where this one takes nothing, or where the file does again."""
        if self.handing_over:
            return
        if self._delivered_from is not self._place.store:  # the pipeline took its time
            self.stop_deliveries()
            self.start_deliveries()
        new = self._place.better_store(self.plan.config)
        if new is None:
            return
        self.stop_deliveries()
        self._moving_to = new
        self._streams.hand_over(self._go_on, wait_s=STOP_S)
        self.start_deliveries()

    def _go_on(self) -> Recorder:
        """Return the stream of the plan, in the store that is moved to; on the pipeline's thread.

        A reload may come before the stream has ended that a move waits for.
        """
        new, self._moving_to = self._moving_to, None
        if new is not None:
            self._place.move_to(new, device=self.plan.device)
        return self._record(self.plan)
