"""What is on its way: when an answer counts, and when its absence does."""

from __future__ import annotations

import pytest

from edge.errors import DeliveryError
from edge.mqtt.granted import Ack
from edge.mqtt.in_flight import FORGOTTEN, InFlight
from edge.mqtt.refusals import CAREFUL, HANGUPS, Message
from edge.store.outbox import OutboxRow


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def row(seq: int) -> OutboxRow:
    return OutboxRow(
        seq=seq, kind="health", key=str(seq), payload="{}", label=None, offset_us=0, stored_s=None
    )


def send(in_flight: InFlight, *mids: int) -> None:
    for mid in mids:
        in_flight.sent(mid, "t", "{}", row(mid))


def taken(mid: int) -> Ack:
    return Ack(mid=mid, refusal=None)


def test_an_acknowledged_row_is_busy_until_it_is_out_of_the_outbox() -> None:
    in_flight = InFlight()
    send(in_flight, 1, 2)
    assert in_flight.answered(taken(1)) is not None
    assert in_flight.answered(taken(1)) is None  # no answer counts twice
    assert in_flight.busy == {1, 2}
    assert in_flight.room(20) == 19
    in_flight.delivered.clear()
    assert in_flight.busy == {2}


def test_after_a_hangup_an_acknowledgement_counts_when_the_connection_lasts() -> None:
    clock = Clock()
    in_flight = InFlight(quiet_s=0.25, monotonic_s=clock)
    in_flight.refusals.ended([])
    send(in_flight, 1)
    assert in_flight.answered(taken(1)) is None
    assert in_flight.busy == {1}
    assert in_flight.room(20) == 0
    assert in_flight.wait_s == 0.25
    assert in_flight.rested() is None
    clock.now_s += 0.25
    rested = in_flight.rested()
    assert rested is not None
    assert set(in_flight.delivered) == {1}


def test_who_acknowledges_and_hangs_up_is_blamed_on_what_was_acknowledged() -> None:
    clock = Clock()
    in_flight = InFlight(quiet_s=0.25, monotonic_s=clock)
    in_flight.refusals.ended([])
    for _ in range(HANGUPS - 1):
        in_flight.begin()
        send(in_flight, 1)
        in_flight.answered(taken(1))
        assert in_flight.lost() is None
    in_flight.begin()
    send(in_flight, 1)
    in_flight.answered(taken(1))
    blamed = in_flight.lost()
    assert blamed is not None
    assert blamed.row == row(1)
    assert in_flight.refusals.waits(Message(topic="t", seq=1))


def test_a_connection_that_ends_long_after_the_last_message_blames_none() -> None:
    clock = Clock()
    in_flight = InFlight(monotonic_s=clock)
    send(in_flight, 1)
    clock.now_s += 6
    assert in_flight.lost() is None
    assert not in_flight.refusals.one_at_a_time


def test_silence_is_told_after_its_time_and_not_before() -> None:
    clock = Clock()
    in_flight = InFlight(unanswered_s=60.0, monotonic_s=clock)
    clock.now_s += 1000
    in_flight.check_answers()
    send(in_flight, 1, 2)
    clock.now_s += 59
    in_flight.answered(taken(1))
    clock.now_s += 60
    in_flight.check_answers()  # the other one was answered a minute ago
    clock.now_s += 1
    with pytest.raises(DeliveryError, match="has not acknowledged t for 120 s") as told:
        in_flight.check_answers()
    assert told.value.reason == "unanswered"
    assert not in_flight.refusals.any


def test_one_that_is_forgotten_while_others_are_answered_waits() -> None:
    clock = Clock()
    in_flight = InFlight(unanswered_s=60.0, monotonic_s=clock)
    send(in_flight, 1)
    for mid in range(2, 2 + FORGOTTEN * 2):
        send(in_flight, mid)
        clock.now_s += 30
        in_flight.answered(taken(mid))
        in_flight.check_answers()
    clock.now_s += 1
    with pytest.raises(DeliveryError):
        in_flight.check_answers()
    assert in_flight.refusals.waits(Message(topic="t", seq=1))
    assert not in_flight.refusals.waits(Message(topic="t", seq=99))


def test_one_message_at_a_time_until_the_broker_is_trusted_again() -> None:
    in_flight = InFlight()
    in_flight.refusals.ended([])
    for mid in range(CAREFUL):
        assert in_flight.room(20) == 1
        send(in_flight, mid)
        assert in_flight.room(20) == 0
        in_flight.answered(taken(mid))
        in_flight.delivered.clear()
    assert in_flight.room(20) == 20
