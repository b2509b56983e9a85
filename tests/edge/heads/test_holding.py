"""From when until when an order holds, by clocks that are right, wrong, and not set yet."""

from __future__ import annotations

import json

import pytest

from edge.bundle import Bundle
from edge.bundle.order import DOMAIN, Order, read_order
from edge.bundle.packed import pack_head
from edge.bundle.signature import public_key
from edge.bundle.signing import signature_of
from edge.errors import HeadRefusedError
from edge.heads.holding import AHEAD_S, TimeNow, holds
from edge.heads.inbox import Inbox
from tests.support.sent import Sender

MADE_S = 1_790_000_000
EXPIRES_S = MADE_S + 30 * 86_400


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return Sender.in_folder(tmp_path_factory.mktemp("sender"))


@pytest.fixture(scope="module")
def head(sender: Sender) -> Bundle:
    return sender.head()


@pytest.fixture(scope="module")
def order(sender: Sender, head: Bundle) -> Order:
    return sender.order(head, made_s=MADE_S, expires_s=EXPIRES_S)


class Recorder:
    """An inbox with a clock that a test sets."""

    def __init__(
        self, sender: Sender, now_s: float, *, synced: bool, settled: bool = False
    ) -> None:
        self.set(now_s, synced=synced, settled=settled)
        self.refused: list[str] = []
        self.inbox = Inbox(
            device="pond",
            trusted=[public_key(sender.key.text)],
            wake=lambda: None,
            refused=self.refused.append,
            clock=lambda: self.time,
        )

    def set(self, now_s: float, *, synced: bool, settled: bool = False) -> None:
        self.time = TimeNow(now_s=now_s, synced=synced, settled=settled)


@pytest.mark.parametrize(
    ("now_s", "word"),
    [
        (MADE_S - AHEAD_S - 1, "future"),
        (MADE_S - AHEAD_S, ""),
        (MADE_S, ""),
        (EXPIRES_S, ""),
        (EXPIRES_S + 1, "expired"),
        (0, "future"),
    ],
)
def test_a_clock_that_is_set_decides(
    sender: Sender, head: Bundle, order: Order, now_s: float, word: str
) -> None:
    recorder = Recorder(sender, now_s, synced=True)
    for _ in range(3):  # it is retained, and comes again and again
        believed = recorder.inbox.believed(sender.signed(order))
        assert (believed is None) == bool(word)
    assert recorder.refused == ([word] if word else [])


def test_a_clock_that_is_not_set_is_waited_for(
    sender: Sender, head: Bundle, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(sender, 0.0, synced=False)
    believed = recorder.inbox.believed(sender.signed(order))
    assert believed == order  # its parts may come meanwhile
    assert recorder.inbox.bring(order, pack_head(head))
    for _ in range(3):
        assert recorder.inbox.take() is None
    assert caplog.messages == ["order 1 waits until the clock of this recorder is set"]
    recorder.set(MADE_S + 5, synced=True)
    taken = recorder.inbox.take()
    assert taken is not None
    assert taken.order == order
    assert recorder.inbox.take() is None
    assert recorder.refused == []


def test_what_has_expired_by_then_is_refused(sender: Sender, head: Bundle, order: Order) -> None:
    recorder = Recorder(sender, MADE_S, synced=False)
    assert recorder.inbox.believed(sender.signed(order)) == order
    assert recorder.inbox.bring(order, pack_head(head))
    recorder.set(EXPIRES_S + 1, synced=True)
    assert recorder.inbox.take() is None
    assert recorder.refused == ["expired"]
    recorder.set(MADE_S, synced=True)
    assert recorder.inbox.take() is None  # it is forgotten


@pytest.mark.parametrize(("now_s", "believed"), [(0, False), (MADE_S, True), (1 << 36, False)])
def test_a_clock_that_nothing_sets_is_believed_for_what_it_allows(
    order: Order, now_s: float, believed: bool
) -> None:
    assert holds(order, TimeNow(now_s=now_s, synced=False, settled=True)) is believed
    assert holds(order, TimeNow(now_s=now_s, synced=False)) is False


def older(sender: Sender, order: Order) -> bytes:
    """The same order as the program before sent it, without an end."""
    envelope = json.loads(sender.signed(order))
    values = json.loads(envelope["order"])
    del values["made_s"], values["expires_s"]
    text = json.dumps({**values, "format": 1}, sort_keys=True)
    signature = signature_of(text.encode(), sender.key.private, domain=DOMAIN)
    return json.dumps({"order": text, **signature.as_mapping()}).encode()


def test_an_order_of_an_older_program_is_one_clear_line(
    sender: Sender, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(sender, MADE_S, synced=True)
    recorder.inbox.dealt_with(order.number, {})
    content = older(sender, order)
    assert recorder.inbox.believed(content) is None
    assert caplog.messages == []  # it was dealt with before the update
    recorder = Recorder(sender, MADE_S, synced=True)
    assert recorder.inbox.believed(content) is None
    assert recorder.refused == ["format"]
    assert caplog.messages == [
        "a head that was sent is refused: order 1 does not say until when it holds; send it again "
        "with the present edge-deploy"
    ]


def test_an_order_of_a_newer_program_is_one_clear_line(sender: Sender, order: Order) -> None:
    envelope = json.loads(sender.signed(order))
    text = json.dumps({**json.loads(envelope["order"]), "format": 3, "more": 1})
    signature = signature_of(text.encode(), sender.key.private, domain=DOMAIN)
    content = json.dumps({"order": text, **signature.as_mapping()}).encode()
    with pytest.raises(HeadRefusedError, match="another format; update the program") as caught:
        read_order(content, [public_key(sender.key.text)])
    assert caught.value.word == "format"
