"""A head in parts over a poor connection: what is asked for, what is kept, what is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from edge.bundle.digest import sha256_of
from edge.bundle.order import PART_BYTES, Order
from edge.mqtt.heads import DEAF_S, HeadListener, order_topic, part_topic
from edge.mqtt.session import Session

PACKED = bytes(range(256)) * 600  # of three parts
ORDER = Order(
    number=5,
    device="",
    head="a" * 64,
    trunk="b" * 64,
    content=sha256_of(PACKED),
    size=len(PACKED),
    made_s=1,
    expires_s=1 << 37,
)


class Asked:
    """A connection that notes what is asked for."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def subscribe(self, topic: str, *, qos: int = 0) -> None:
        assert qos == 1
        self.topics.append(topic)

    def unsubscribe(self, topic: str) -> None:
        self.topics[:] = [asked for asked in self.topics if asked != topic]


class Known:
    """An inbox that believes what it is told to."""

    def __init__(self) -> None:
        self.orders = {b"order": ORDER}
        self.brought: list[bytes] = []

    def believed(self, *contents: bytes) -> Order | None:
        return self.orders.get(contents[0])

    def bring(self, order: Order, packed: bytes) -> bool:
        self.brought.append(packed)
        return packed == PACKED

    @property
    def said(self) -> tuple[int, dict[str, Any]]:
        return 0, {}


class Listening:
    """A listener, its inbox, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.inbox = Known()
        self.listener = HeadListener(
            self.inbox, prefix="edge", device="pond", monotonic_s=lambda: self.now_s
        )

    def connect(self) -> list[str]:
        asked = Asked()
        self.listener.begin(cast(Session, asked))
        return asked.topics

    def part(self, number: int, content: bytes | None = None) -> None:
        sent = PACKED[number * PART_BYTES : (number + 1) * PART_BYTES]
        topic = part_topic("edge", ORDER, number)
        self.listener.message(topic, sent if content is None else content)


TOPIC = order_topic("edge", "pond")
PARTS = [part_topic("edge", ORDER, number) for number in range(3)]


@pytest.fixture
def listening() -> Listening:
    return Listening()


def test_parts_are_asked_for_when_the_order_is_believed(listening: Listening) -> None:
    topics = listening.connect()
    assert topics == [TOPIC]
    listening.listener.message(TOPIC, b"forged")
    assert topics == [TOPIC]
    listening.listener.message(TOPIC, b"order")
    assert topics == [TOPIC, *PARTS]
    for number in (2, 0, 1):
        listening.part(number)
    assert listening.inbox.brought == [PACKED]
    assert topics == [TOPIC]


def test_what_has_come_is_kept_when_the_connection_breaks(listening: Listening) -> None:
    listening.connect()
    listening.listener.message(TOPIC, b"order")
    listening.part(1)
    assert listening.connect() == [TOPIC, PARTS[0], PARTS[2]]
    listening.part(0)
    assert listening.connect() == [TOPIC, PARTS[2]]
    listening.part(2)
    assert listening.inbox.brought == [PACKED]
    assert listening.connect() == [TOPIC]


def test_parts_that_do_not_come_are_asked_for_again(listening: Listening) -> None:
    topics = listening.connect()
    listening.listener.message(TOPIC, b"order")
    listening.part(0)
    listening.listener.step()
    assert topics == [TOPIC, *PARTS]
    listening.now_s = 61.0
    listening.listener.step()
    assert topics == [TOPIC, *PARTS, *PARTS[1:]]


def test_parts_that_are_not_what_was_ordered_are_asked_for_more_and_more_seldom(
    listening: Listening,
) -> None:
    topics = listening.connect()
    listening.listener.message(TOPIC, b"order")
    for pause_s in (240.0, 960.0, 3600.0, 3600.0):
        for number in range(3):
            listening.part(number, b"damaged")
        del topics[1:]
        listening.now_s += pause_s - 1
        listening.listener.step()
        assert topics == [TOPIC]
        listening.now_s += 1
        listening.listener.step()
        assert topics == [TOPIC, *PARTS]
    for number in range(3):
        listening.part(number)
    assert listening.inbox.brought[-1] == PACKED
    assert topics == [TOPIC]


def test_another_order_takes_the_place_of_what_is_half_there(listening: Listening) -> None:
    topics = listening.connect()
    listening.listener.message(TOPIC, b"order")
    listening.part(0)
    newer = Order(**{**vars(ORDER), "number": 6, "content": "c" * 64})
    listening.inbox.orders[b"newer"] = newer
    listening.listener.message(TOPIC, b"newer")
    assert topics == [TOPIC, *(part_topic("edge", newer, number) for number in range(3))]
    for number in range(3):
        listening.part(number)
    assert listening.inbox.brought == []


def test_what_nobody_asked_for_is_passed_over(listening: Listening) -> None:
    listening.connect()
    listening.part(0)  # before there is an order
    listening.listener.message(TOPIC, b"")  # somebody took it back
    listening.listener.message(TOPIC, b"order")
    listening.part(3, b"more")
    listening.part(0, bytes(PART_BYTES + 1))
    listening.listener.message("edge/head.parts/../../etc", b"x")
    for number in (1, 2):
        listening.part(number)
    assert listening.inbox.brought == []
    listening.part(0)
    assert listening.inbox.brought == [PACKED]


def test_after_a_flood_nothing_is_asked_for_an_hour(listening: Listening) -> None:
    listening.connect()
    listening.listener.flooded()
    assert listening.connect() == []
    listening.listener.message(TOPIC, b"order")
    listening.listener.step()
    listening.now_s = DEAF_S + 1
    assert listening.connect() == [TOPIC, *PARTS]


def test_no_recorder_has_the_topic_of_parts(tmp_path: Path) -> None:
    from edge.bundle.order import DEVICE

    assert DEVICE.fullmatch(PARTS[0].split("/")[1]) is None
