"""What one person says of one event, and what an answer must not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edge.bundle.labels import check_label
from edge.errors import SpecError, UserError
from edge.store.events import StoredEvent

__all__ = ["KINDS", "Answer", "Kind", "check_answer"]

# `is` names a label; `animal` is one that the person does not know; `withdrawn` is none any more.
Kind = Literal["right", "wrong", "is", "animal", "noise", "unsure", "withdrawn"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one person says of one event; `clip` is a copy below the answers' folder, or empty.

    `label` is the one that it is where the answer is `is`; `detected` is empty for an unknown one.
    `drawn` is why it was asked for, empty where the person has chosen the event. `cluster` is the
    number of that which was answered as a whole, empty where the event was answered by itself.
    """

    event: str
    who: str
    answered_utc: str
    answer: Kind
    label: str
    detected: str
    start_utc: str
    end_utc: str
    score: float
    bundle: str
    config: str
    clip: str
    start_s: float
    end_s: float
    drawn: str = ""
    cluster: str = ""

    @property
    def claim(self) -> str:
        """What it says that the event is, as `edge-train adapt` reads it; "" for unsure."""
        if self.answer == "is":
            return self.label
        return {"unsure": "", "animal": "unknown"}.get(self.answer, self.answer)


def check_answer(event: StoredEvent, kind: Kind, label: str) -> None:
    """Raise `UserError` for an answer that says nothing."""
    if kind == "is":
        try:
            check_label(label)
        except SpecError as exc:
            raise UserError(exc.fault.reason) from exc
    elif kind in ("right", "wrong") and event.label is None:
        raise UserError("an unknown sound is neither right nor wrong: say what it is")
