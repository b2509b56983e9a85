"""What becomes of the heads that are sent: remembered on the disk, counted, and told to others."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from edge.bundle.order import REFUSALS, Order
from edge.errors import HeadRefusedError
from edge.heads.inbox import Inbox
from edge.heads.shelf import Shelf
from edge.heads.state import LastOrder
from edge.heads.trial import TrialEnd

__all__ = ["HeadRecord"]

MOST_TRIES = 3  # a power cut may be why one has ended
log = logging.getLogger(__name__)


class HeadRecord:
    """Keeps the state of the shelf, and tells `inbox` of each change; None: no heads may come.

    Every method is the main thread's, but for `count`.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(("taken", "went_back", *REFUSALS), 0))
        self.inbox: Inbox | None = None
        self._shelf = shelf
        self._counting = threading.Lock()

    def count(self, outcome: str) -> None:
        """Count what became of a head; threads that bring heads count, too."""
        with self._counting:
            self.counts[outcome] += 1

    def count_try(self, order: Order) -> None:
        """Count how often a head is tried: one may end the program before it can be refused.

        Raises `HeadRefusedError` where that is too often.
        """
        state = self._shelf.state
        tries = state.tries + 1 if state.trying == order.number else 1
        if tries > MOST_TRIES:
            text = f"{MOST_TRIES} times the recorder has ended while it tried this head"
            raise HeadRefusedError("self_test", text)
        self._shelf.note(trying=order.number, tries=tries)

    def note(self, **changes: object) -> None:
        """Remember and tell; where the disk takes nothing, until the next start."""
        try:
            self._shelf.note(**changes)
        except OSError as exc:
            log.error("%s: %s; this is forgotten at the next start", exc.filename, exc.strerror)
            self._shelf.state = self._shelf.state.model_copy(update=changes)
        self.tell()

    def tell(self) -> None:
        """Say what the state is, to whom that is shown."""
        if self.inbox is not None:
            self.inbox.dealt_with(self._shelf.state.number, self._shelf.state.said())

    def proven(self, end: TrialEnd) -> None:
        """Note that the head in use has passed its trial."""
        state = self._shelf.state
        log.info("head %s has passed its trial: %s", state.chosen[:12], end.text)
        last = LastOrder.of(state.number, state.chosen, "proven", text=end.text)
        self.note(trial=None, last=last)

    def leave(self, end: TrialEnd) -> None:
        """Go back to the head before, or to what is configured."""
        state, before = self._shelf.state, self._shelf.state.before
        last = LastOrder.of(state.number, state.chosen, "went_back", end.reason, end.text)
        to = f"head {before[:12]}" if before else "the configured bundle"
        log.error("going back from head %s to %s: %s", state.chosen[:12], to, end.text)
        self.note(chosen=before, before="", trial=None, last=last)
        self.count("went_back")

    def leave_for_configured(self) -> None:
        """Use no head, since a person has configured another bundle."""
        state, text = self._shelf.state, "another bundle is configured than the head was sent to"
        log.warning("the head that was sent is not used: %s", text)
        last = LastOrder.of(state.number, state.chosen, "left", "configured", text)
        self.note(chosen="", before="", trial=None, configured="", last=last)

    def refuse(self, order: Order, refusal: HeadRefusedError) -> None:
        """Note that the head of an order is not taken, and why."""
        assert self.inbox is not None
        self.inbox.refuse(refusal, order=order, about=str(order))
        if refusal.word == "storage":  # that may go well another time
            self.note(trying=0, tries=0)
            return
        last = LastOrder.of(order.number, order.head, "refused", refusal.word, str(refusal))
        self.note(number=order.number, last=last)
