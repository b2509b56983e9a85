"""Orders as strangers may write them, and packed heads as a poor link may bring them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from edge.bundle import Bundle, load_bundle
from edge.bundle.order import LARGEST_ORDER_BYTES, Order, read_order
from edge.bundle.packed import LARGEST_HEAD_BYTES, pack_head, unpack_head
from edge.bundle.signature import public_key
from edge.errors import BundleError, HeadRefusedError
from edge.heads.holding import TimeNow
from edge.heads.inbox import Inbox
from tests.support.damage import CHANGES, KEPT, Changes, damaged
from tests.support.sent import Sender

NOON_S = 1_790_000_000.0


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return Sender.in_folder(tmp_path_factory.mktemp("sender"))


@pytest.fixture(scope="module")
def head(sender: Sender) -> Bundle:
    return sender.head()


@pytest.fixture(scope="module")
def signed(sender: Sender, head: Bundle) -> bytes:
    return sender.signed(sender.order(head))


class Brought:
    """An inbox, and what it did."""

    def __init__(self, sender: Sender, device: str = "pond") -> None:
        self.woken = 0
        self.time = TimeNow(now_s=NOON_S, synced=True)
        self.refused: list[str] = []
        trusted = [public_key(sender.key.text)]
        self.inbox = Inbox(
            device=device,
            trusted=trusted,
            wake=self._wake,
            refused=self.refused.append,
            clock=lambda: self.time,
        )

    def _wake(self) -> None:
        self.woken += 1


def test_an_order_comes_back_as_it_was(sender: Sender, head: Bundle, signed: bytes) -> None:
    assert read_order(signed, [public_key(sender.key.text)]) == sender.order(head)


@given(changes=CHANGES, kept=KEPT)
def test_no_damage_of_an_order_is_believed_or_breaks_anything(
    sender: Sender, signed: bytes, changes: Changes, kept: float
) -> None:
    content = damaged(signed, changes, kept)
    if content == signed:
        return
    trusted = [public_key(sender.key.text)]
    try:
        same = read_order(content, trusted)
    except HeadRefusedError:
        return
    assert same == read_order(signed, trusted)  # blanks between keys, which nobody has signed


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b"[]", b"{}", b"\xff", b"[" * 3000, b'{"order": "\\ud800"}'),
        b"x" * (LARGEST_ORDER_BYTES + 1),
    ],
)
def test_nonsense_is_refused(sender: Sender, content: bytes) -> None:
    with pytest.raises(HeadRefusedError):
        read_order(content, [public_key(sender.key.text)])


@pytest.mark.parametrize(
    "values",
    [
        {"number": 0},
        {"number": 1 << 60},
        {"number": 1.5},
        {"number": True},
        {"device": "../pond"},
        {"device": "pond/#"},
        {"device": 7},
        {"head": "../../etc"},
        {"content": "A" * 64},
        {"size": 0},
        {"size": LARGEST_HEAD_BYTES + 1},
        {"made_s": -1},
        {"made_s": 1.5},
        {"made_s": True},
        {"made_s": 2, "expires_s": 1},
        {"expires_s": 0, "made_s": 5},
        {"expires_s": 1 << 60},
        {"expires_s": "2026"},
        {"format": 1},
        {"format": 3},
        {"more": 1},
    ],
)
def test_what_no_order_can_say_is_refused_although_it_is_signed(
    sender: Sender, head: Bundle, values: dict[str, object]
) -> None:
    from edge.bundle.order import DOMAIN
    from edge.bundle.signing import signature_of

    envelope = json.loads(sender.signed(sender.order(head)))
    text = json.dumps({**json.loads(envelope["order"]), **values})
    signature = signature_of(text.encode(), sender.key.private, domain=DOMAIN)
    content = json.dumps({"order": text, **signature.as_mapping()}).encode()
    with pytest.raises(HeadRefusedError):
        read_order(content, [public_key(sender.key.text)])


def test_the_signature_of_a_manifest_is_none_of_an_order(sender: Sender, head: Bundle) -> None:
    from edge.bundle.signing import signature_of

    envelope = json.loads(sender.signed(sender.order(head)))
    signature = signature_of(envelope["order"].encode(), sender.key.private)
    content = json.dumps({"order": envelope["order"], **signature.as_mapping()}).encode()
    with pytest.raises(HeadRefusedError) as caught:
        read_order(content, [public_key(sender.key.text)])
    assert caught.value.word == "signature"


def test_a_packed_head_comes_back_as_it_was(tmp_path: Path, sender: Sender, head: Bundle) -> None:
    unpack_head(pack_head(head), tmp_path)
    back = load_bundle(f"{sender.trunk.path}+{tmp_path}", trusted=[public_key(sender.key.text)])
    assert back.digest == head.digest


@pytest.mark.parametrize(
    "line",
    [
        {"../manifest.json": 3},
        {"/etc/passwd": 3},
        {"manifest.json/..": 3},
        {"model.onnx": 3},
        {".hidden": 3},
        {"manifest.json": -1, "head.npz": 4},
        {"manifest.json": 2},
        {"manifest.json": 4},
        {"manifest.json": "3"},
        {},
    ],
)
def test_no_name_in_a_packed_head_leads_anywhere(tmp_path: Path, line: dict[str, object]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(HeadRefusedError):
        unpack_head(json.dumps(line).encode() + b"\nabc", folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_what_is_too_large_is_not_packed_and_not_unpacked(tmp_path: Path, sender: Sender) -> None:
    with pytest.raises(BundleError, match="400000 can be sent"):
        pack_head(sender.head("large", card="x" * LARGEST_HEAD_BYTES))
    with pytest.raises(HeadRefusedError):
        unpack_head(b"{}\n" + bytes(LARGEST_HEAD_BYTES), tmp_path)


def test_what_is_no_head_or_not_signed_is_not_packed(sender: Sender, head: Bundle) -> None:
    with pytest.raises(BundleError, match="no head"):
        pack_head(sender.trunk)
    with pytest.raises(BundleError, match="not signed"):
        pack_head(replace(head, signature=None))


def test_an_order_that_waits_or_was_dealt_with_is_not_believed_again(
    sender: Sender, head: Bundle, signed: bytes
) -> None:
    brought = Brought(sender)
    order = brought.inbox.believed(signed)
    assert order == brought.inbox.believed(signed)  # until it is brought
    assert order is not None
    assert brought.inbox.bring(order, pack_head(head))
    assert brought.woken == 1
    assert brought.inbox.believed(signed) is None
    sent = brought.inbox.take()
    assert sent is not None
    assert brought.inbox.believed(signed) == order  # it could not be kept, for example
    brought.inbox.dealt_with(order.number, {})
    assert brought.inbox.believed(signed) is None
    assert brought.refused == []


def test_of_several_orders_the_newest_counts(sender: Sender, head: Bundle) -> None:
    orders = [sender.order(head, number=number) for number in (3, 9, 4)]
    brought = Brought(sender)
    assert brought.inbox.believed(*map(sender.signed, orders)) == orders[1]


def test_each_refusal_is_told_once_however_often_it_comes(
    sender: Sender, head: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    brought = Brought(sender)
    other = sender.signed(sender.order(head, device="meadow"))
    for _ in range(5):
        assert brought.inbox.believed(other) is None
    assert brought.refused == ["other_device"]
    assert brought.inbox.said[1]["refused"]["reason"] == "other_device"
    assert len(caplog.messages) == 1
    for number in range(1000):
        brought.inbox.believed(b"%d" % number)
    assert len(brought.inbox._told) <= 64
    assert len(caplog.messages) == 2


def test_other_content_than_was_ordered_is_not_brought(sender: Sender, head: Bundle) -> None:
    brought, order = Brought(sender), sender.order(head)
    packed = pack_head(head)
    for content in (packed[:-1], packed + b"x", packed[:-1] + b"?"):
        assert not brought.inbox.bring(order, content)
    assert brought.inbox.take() is None
    assert set(brought.refused) == {"damaged"}


def test_a_longest_order_fits(sender: Sender) -> None:
    digest = "f" * 64
    order = Order(
        number=(1 << 53) - 1,
        device="d" * 64,
        head=digest,
        trunk=digest,
        content=digest,
        size=LARGEST_HEAD_BYTES,
        made_s=253_000_000_000,
        expires_s=253_370_764_799,
    )
    assert len(sender.signed(order)) < 1000
