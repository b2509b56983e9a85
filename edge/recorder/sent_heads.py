"""Which head a recorder uses: what was sent and has proved itself, else what is configured.

A head that was sent stands on the network of the configuration's bundle, for as long as that is the
configured one: who configures another has the last word. All of it is the main thread's; threads
that bring heads put them into `inbox`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from edge.config.config import Config
from edge.errors import UserError
from edge.heads.checking import check_head, check_network
from edge.heads.configured import ConfiguredBundle, configured_bundle, trusted_keys
from edge.heads.holding import OrderClock, system_time
from edge.heads.inbox import Inbox, SentHead
from edge.heads.record import HeadRecord
from edge.heads.refusals import refusal_of
from edge.heads.shelf import shelf_of
from edge.heads.state import LastOrder, Trial
from edge.heads.trial import TrialEnd, TrialRules, TrialWatch, start_of_trial
from edge.recorder.metrics import Metrics
from edge.recorder.plan import RecorderPlan
from edge.recorder.trial_numbers import most_events, tally_of
from edge.store.store import Store

__all__ = ["SentHeads"]

PlanOf = Callable[[Config], RecorderPlan]
log = logging.getLogger(__name__)


class SentHeads:
    """Chooses the head, takes new ones, and goes back; `wake` is called when one was brought."""

    def __init__(
        self,
        config: Config,
        *,
        plan_of: PlanOf,
        boot_id: str,
        wake: Callable[[], None],
        rules: TrialRules | None = None,
        clock: OrderClock = system_time,
    ) -> None:
        self.rules = rules or TrialRules()
        self.inbox: Inbox | None = None
        self._config = config
        self._plan_of = plan_of
        self._boot_id = boot_id
        self._watch: TrialWatch | None = None
        self._trusted = trusted_keys(config)
        self._shelf = shelf_of(config)
        self._record = HeadRecord(self._shelf)
        if config.heads.wanted:
            self.inbox = self._record.inbox = Inbox(
                device=config.device_id(),
                trusted=self._trusted,
                wake=wake,
                refused=self._record.count,
                clock=clock,
            )

    @property
    def counts(self) -> Mapping[str, int]:
        """How many heads were taken, left again, or refused for which reason."""
        return self._record.counts

    def first_plan(self) -> RecorderPlan:
        """Return what to begin with; a head whose trial has ended badly meanwhile is left."""
        trial = self._shelf.state.trial
        if self.inbox is not None:
            self._shelf.remove_others()
        if self.inbox is not None and trial is not None:
            found = start_of_trial(trial, boot_id=self._boot_id, rules=self.rules)
            if isinstance(found, TrialEnd):
                self._record.leave(found)
            else:
                self._record.note(trial=found)
        return self.plan(self._config)

    def plan(self, config: Config) -> RecorderPlan:
        """Return what `config` is with the head in use.

        A head that cannot be used any more is left, for the one before or for what is configured.
        Raises what `make_plan` raises for that; then all stays as it is.
        """
        if self.inbox is None:
            return self._plan_of(config)
        trusted = trusted_keys(config)
        configured = configured_bundle(config) if self._shelf.state.chosen else None
        if configured is None or configured.digest != self._shelf.state.configured:
            plan = self._plan_of(config)
            if self._shelf.state.chosen:
                self._record.leave_for_configured()
        else:
            plan = self._plan_with_head(config, configured)
        if self._shelf.state.trial is None:
            self._watch = None
        self._config, self._trusted = config, trusted
        self.inbox.believe(trusted, device=config.device_id())
        self._record.tell()
        return plan

    def _plan_with_head(self, config: Config, configured: ConfiguredBundle) -> RecorderPlan:
        state = self._shelf.state
        reasons = []
        for head in filter(None, (state.chosen, state.before)):
            try:
                plan = self._plan_of(configured.with_head(config, self._shelf.place(head)))
                break
            except Exception as exc:  # also an error of ours, that a stranger's head may have found
                reasons.append(str(refusal_of(exc)))
        else:
            plan = self._plan_of(config)  # where that fails too, it was no head's fault
        for reason in reasons:
            self._record.leave(TrialEnd(reason="unusable", text=reason))
        return plan

    def take(self, *, store: Store, now: datetime) -> RecorderPlan | None:
        """Return the plan with a head that was brought, None where nothing else is to be used.

        It is on the disk and named there when this returns. Its events are compared with those that
        `store` has of the day before.
        """
        sent = None if self.inbox is None else self.inbox.take()
        if sent is None or sent.order.number <= self._shelf.state.number:
            return None
        try:
            self._record.count_try(sent.order)
            return self._taken(sent, lambda: most_events(store, now, self.rules))
        except Exception as exc:  # also an error of ours, that a stranger's head may have found
            self._record.refuse(sent.order, refusal_of(exc))
            return None

    def _taken(self, sent: SentHead, most_events: Callable[[], int | None]) -> RecorderPlan | None:
        order, shelf, state = sent.order, self._shelf, self._shelf.state
        configured = check_network(order, configured_bundle(self._config))

        def check(folder: Path) -> None:
            check_head(folder, order, configured, trusted=self._trusted)

        shelf.put(order.head, sent.packed, check)
        plan = self._plan_of(configured.with_head(self._config, shelf.place(order.head)))
        same = state.configured == configured.digest
        last = LastOrder.of(order.number, order.head, "taken")
        if same and state.chosen == order.head:
            self._record.note(number=order.number, last=last)
            return None
        shelf.note(  # raises: a head is not used before it is on the disk
            number=order.number,
            configured=configured.digest,
            chosen=order.head,
            before=state.chosen if same else "",
            trial=Trial(boot_id=self._boot_id, most_events=most_events()),
            last=last,
        )
        self._record.tell()
        self._record.count("taken")
        log.info("head %s was sent and has proved itself; its trial begins", order.head[:12])
        shelf.remove_others()
        return plan

    def begin_trial(self, metrics: Metrics) -> None:
        """Watch the head in use from now on, where it is on trial."""
        trial, self._watch = self._shelf.state.trial, None
        if self.inbox is not None and trial is not None:
            self._watch = TrialWatch(self.rules, tally_of(metrics), most_events=trial.most_events)

    def judge(self, metrics: Metrics) -> RecorderPlan | None:
        """Return what to go back to, None while the head in use does well; about once a second."""
        end = None if self._watch is None else self._watch.end(tally_of(metrics))
        if end is None:
            return None
        self._watch = None
        if end.proven:
            self._record.proven(end)
            return None
        self._record.leave(end)
        return self.plan(self._config)

    def stopped(self) -> None:
        """Note that the program was asked to end, so that its end is not taken for a crash."""
        trial = self._shelf.state.trial
        if self.inbox is not None and trial is not None:
            self._record.note(trial=trial.model_copy(update={"stopped": True}))

    def ended(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Take the end of the program for no crash where a person has to mend something."""
        if isinstance(exc, UserError):
            self.stopped()
