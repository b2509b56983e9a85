"""Which head a recorder uses: what was sent and has proved itself, else what is configured.

A head that was sent stands on the network of the configuration's bundle, for as long as that is the
configured one: who configures another has the last word. All of it is the main thread's; threads
that bring heads put them into `inbox`.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from edge.bundle import load_bundle
from edge.bundle.bundle import SIGNATURE
from edge.bundle.order import REFUSALS, Order
from edge.bundle.signature import read_signature, refuse_foreign
from edge.bundle.verified import manifest_content
from edge.config.config import Config
from edge.errors import BundleError, HeadRefusedError, UserError
from edge.heads.configured import ConfiguredBundle, configured_bundle, trusted_keys
from edge.heads.holding import OrderClock, system_time
from edge.heads.inbox import Inbox, SentHead
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
MOST_TRIES = 3  # a power cut may be why one has ended
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
        self.counts: Counter[str] = Counter(dict.fromkeys(("taken", "went_back", *REFUSALS), 0))
        self._counting = threading.Lock()
        self.inbox: Inbox | None = None
        self._config, self._plan_of, self._boot_id = config, plan_of, boot_id
        self._watch: TrialWatch | None = None
        self._trusted, self._shelf = trusted_keys(config), shelf_of(config)
        if config.heads.wanted:
            inbox = partial(Inbox, trusted=self._trusted, clock=clock)
            self.inbox = inbox(device=config.device_id(), wake=wake, refused=self._count)

    def _count(self, outcome: str) -> None:
        with self._counting:  # threads that bring heads count, too
            self.counts[outcome] += 1

    def first_plan(self) -> RecorderPlan:
        """Return what to begin with; a head whose trial has ended badly meanwhile is left."""
        trial = self._shelf.state.trial
        if self.inbox is not None:
            self._shelf.remove_others()
        if self.inbox is not None and trial is not None:
            found = start_of_trial(trial, boot_id=self._boot_id, rules=self.rules)
            self._leave(found) if isinstance(found, TrialEnd) else self._note(trial=found)
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
                self._leave_for_configured()
        else:
            plan = self._plan_with_head(config, configured)
        if self._shelf.state.trial is None:
            self._watch = None
        self._config, self._trusted = config, trusted
        self.inbox.believe(trusted, device=config.device_id())
        self._tell()
        return plan

    def _leave_for_configured(self) -> None:
        state, text = self._shelf.state, "another bundle is configured than the head was sent to"
        log.warning("the head that was sent is not used: %s", text)
        last = LastOrder.of(state.number, state.chosen, "left", "configured", text)
        self._note(chosen="", before="", trial=None, configured="", last=last)

    def _plan_with_head(self, config: Config, configured: ConfiguredBundle) -> RecorderPlan:
        state, reasons = self._shelf.state, []
        for head in filter(None, (state.chosen, state.before)):
            try:
                plan = self._plan_of(configured.with_head(config, self._shelf.place(head)))
                break
            except Exception as exc:  # also an error of ours, that a stranger's head may have found
                reasons.append(str(refusal_of(exc)))
        else:
            plan = self._plan_of(config)  # where that fails too, it was no head's fault
        for reason in reasons:
            self._leave(TrialEnd(reason="unusable", text=reason))
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
            self._count_try(sent.order)
            return self._taken(sent, lambda: most_events(store, now, self.rules))
        except Exception as exc:  # also an error of ours, that a stranger's head may have found
            self._refuse(sent.order, refusal_of(exc))
            return None

    def _count_try(self, order: Order) -> None:
        """Count how often a head is tried: one may end the program before it can be refused."""
        state = self._shelf.state
        tries = state.tries + 1 if state.trying == order.number else 1
        if tries > MOST_TRIES:
            text = f"{MOST_TRIES} times the recorder has ended while it tried this head"
            raise HeadRefusedError("self_test", text)
        self._shelf.note(trying=order.number, tries=tries)

    def _taken(self, sent: SentHead, most_events: Callable[[], int | None]) -> RecorderPlan | None:
        order, shelf, state = sent.order, self._shelf, self._shelf.state
        configured = configured_bundle(self._config)
        if configured is None or order.trunk != configured.network:
            here = "several bundles judge" if configured is None else configured.network[:12]
            text = f"the head is for the network {order.trunk[:12]}, and here it is {here}"
            raise HeadRefusedError("other_trunk", text)
        shelf.put(order.head, sent.packed, lambda place: self._check(place, order, configured))
        plan = self._plan_of(configured.with_head(self._config, shelf.place(order.head)))
        same = state.configured == configured.digest
        last = LastOrder.of(order.number, order.head, "taken")
        if same and state.chosen == order.head:
            self._note(number=order.number, last=last)
            return None
        shelf.note(  # raises: a head is not used before it is on the disk
            number=order.number,
            configured=configured.digest,
            chosen=order.head,
            before=state.chosen if same else "",
            trial=Trial(boot_id=self._boot_id, most_events=most_events()),
            last=last,
        )
        self._tell()
        self._count("taken")
        log.info("head %s was sent and has proved itself; its trial begins", order.head[:12])
        shelf.remove_others()
        return plan

    def _check(self, place: Path, order: Order, configured: ConfiguredBundle) -> None:
        """Raise unless the folder holds the head of the order, signed by whom this one trusts."""
        content = manifest_content(place)
        try:
            refuse_foreign(place, content, read_signature(place / SIGNATURE), self._trusted)
        except BundleError as exc:
            raise HeadRefusedError("signature", exc.fault.reason) from exc
        head = load_bundle(f"{configured.trunk}+{place}", trusted=self._trusted)
        if head.digest != order.head:
            raise HeadRefusedError("damaged", f"the order is for another head than {head.digest}")

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
        state = self._shelf.state
        if not end.proven:
            self._leave(end)
            return self.plan(self._config)
        last = LastOrder.of(state.number, state.chosen, "proven", text=end.text)
        log.info("head %s has passed its trial: %s", state.chosen[:12], end.text)
        self._note(trial=None, last=last)
        return None

    def stopped(self) -> None:
        """Note that the program was asked to end, so that its end is not taken for a crash."""
        trial = self._shelf.state.trial
        if self.inbox is not None and trial is not None:
            self._note(trial=trial.model_copy(update={"stopped": True}))

    def ended(self, kind: object, exc: BaseException | None, trace: object) -> None:
        """Take the end of the program for no crash where a person has to mend something."""
        if isinstance(exc, UserError):
            self.stopped()

    def _leave(self, end: TrialEnd) -> None:
        """Go back to the head before, or to what is configured."""
        state, before = self._shelf.state, self._shelf.state.before
        last = LastOrder.of(state.number, state.chosen, "went_back", end.reason, end.text)
        to = f"head {before[:12]}" if before else "the configured bundle"
        log.error("going back from head %s to %s: %s", state.chosen[:12], to, end.text)
        self._note(chosen=before, before="", trial=None, last=last)
        self._count("went_back")

    def _refuse(self, order: Order, refusal: HeadRefusedError) -> None:
        assert self.inbox is not None
        self.inbox.refuse(refusal, order=order, about=str(order))
        if refusal.word == "storage":  # that may go well another time
            self._note(trying=0, tries=0)
            return
        last = LastOrder.of(order.number, order.head, "refused", refusal.word, str(refusal))
        self._note(number=order.number, last=last)

    def _note(self, **changes: object) -> None:
        """Remember and tell; where the disk takes nothing, until the next start."""
        try:
            self._shelf.note(**changes)
        except OSError as exc:
            log.error("%s: %s; this is forgotten at the next start", exc.filename, exc.strerror)
            self._shelf.state = self._shelf.state.model_copy(update=changes)
        self._tell()

    def _tell(self) -> None:
        if self.inbox is not None:
            self.inbox.dealt_with(self._shelf.state.number, self._shelf.state.said())
