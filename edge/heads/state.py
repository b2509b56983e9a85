"""What a recorder remembers of the heads that it was sent: one small file, whole or not there."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import one_line
from edge.files import write_whole
from edge.section import Section

__all__ = ["HeadState", "LastOrder", "Trial", "read_state", "write_state"]

Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
Count = Annotated[int, Field(ge=0)]
Outcome = Literal["taken", "proven", "refused", "went_back", "left"]
log = logging.getLogger(__name__)


class Trial(Section):
    """The first hour of a head, which is not over.

    `boot_id` and `stopped` are of the last start of the program: under which start of the machine,
    and whether it was asked to end. Above `most_events` the head gives too many; None where there
    is no day before to compare with.
    """

    boot_id: str
    starts: Count = 1
    stopped: bool = False
    most_events: Count | None = None


class LastOrder(Section):
    """What became of an order: `reason` is a word, and `text` says more to a person.

    A head is `left` where a person has configured another bundle.
    """

    number: Count
    head: Digest
    outcome: Outcome
    reason: str = ""
    text: str = ""

    @classmethod
    def of(
        cls, number: int, head: str, outcome: Outcome, reason: str = "", text: str = ""
    ) -> LastOrder:
        """Return what became of the order with that number, to use `head`."""
        return cls(number=number, head=head, outcome=outcome, reason=reason, text=text)


class HeadState(Section):
    """Which head is used, by its digest; empty: the bundle of the configuration as it is.

    `number` is that of the last order that was dealt with; `trying` of the one that is being tried
    for the `tries`th time. `configured` is the digest of the
    configuration's bundle when `chosen` was taken, `before` the head that it took the place of.
    """

    number: Count = 0
    trying: Count = 0
    tries: Count = 0
    configured: Digest = ""
    chosen: Digest = ""
    before: Digest = ""
    trial: Trial | None = None
    last: LastOrder | None = None

    def said(self) -> dict[str, Any]:
        """Return what others are told of it, as plain JSON types."""
        last = None if self.last is None else self.last.model_dump()
        return {
            "digest": self.chosen or None,
            "number": self.number,
            "trial": self.trial is not None,
            "last": last,
        }


def read_state(file: Path, copy: Path) -> HeadState:
    """Return what is in `file`, else what is in its `copy`, else the state of a new recorder.

    A card that damages files must not keep a recorder from listening, and an order that was dealt
    with is not taken again where one of the two is lost or was put back from a backup.
    """
    state, other = _state_in(file), _state_in(copy)
    if state is None:
        if other is not None:
            log.warning("%s is lost or damaged: what %s says is used", file, copy)
        return other or HeadState()
    number = max(state.number, other.number if other else 0)
    return state.model_copy(update={"number": number})


def _state_in(file: Path) -> HeadState | None:
    try:
        return HeadState.model_validate(read_json(file))
    except FileNotFoundError:
        return None
    except NotJsonError as exc:
        reason = str(exc)
    except ValidationError as exc:
        reason = f"{file}: {one_line(str(exc.errors(include_url=False)[0]['msg']))}"
    log.error("%s", reason)
    return None


def write_state(file: Path, copy: Path, state: HeadState) -> None:
    """Replace `file`, on the disk when this returns; raises OSError.

    The copy comes after it, so that it never knows of an order which the file does not. It is not
    worth a head: where it cannot be written, the log says so.
    """
    content = state.model_dump_json()
    write_whole(file, content, durable=True)
    try:
        if copy.parent.is_dir():
            write_whole(copy, content, durable=True)
    except OSError as exc:
        log.error("%s: %s; there is no copy of what became of heads", copy, exc.strerror)
