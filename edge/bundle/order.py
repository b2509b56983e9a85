"""An order to use a head: what the sender signs, and a recorder believes before it asks for more.

It is JSON of three keys: `order`, the text that is signed, `key` and `signature`, both as base64.
The text is JSON too: who is to use which head on which network, the size and the sha256 of its
packed content, when it was made and until when it holds, and a number that only grows. So an old
order is never taken again, and one that was lost on its way is not taken years later.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle.mapping import LARGEST_NUMBER
from edge.bundle.packed import LARGEST_HEAD_BYTES
from edge.bundle.signature import PublicKey, Signature, signature_in
from edge.bundle.signing import signature_of
from edge.bundle.strictjson import NotJsonError, json_object
from edge.errors import HeadRefusedError, shown

__all__ = [
    "DEVICE",
    "LARGEST_ORDER_BYTES",
    "PART_BYTES",
    "REFUSALS",
    "Order",
    "read_order",
    "signed_order",
]

DOMAIN = b"edge-monitor order to use a head, version 1\n"
LARGEST_ORDER_BYTES = 4_000
PART_BYTES = 60_000  # of a packed head in one message: recorders read none above 65,536 bytes
FORMAT = 2
WITHOUT_END = 1  # the format before: orders without an end, of which none is taken any more
LATEST_S = 253_370_764_800  # the year 9999
SHA256 = re.compile(r"[0-9a-f]{64}")
DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Why a head is refused, in one word for a metric.
REFUSALS = (
    "damaged",
    "foreign_key",
    "signature",
    "other_device",
    "old",
    "expired",
    "future",
    "format",
    "too_large",
    "other_trunk",
    "self_test",
    "storage",
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """Use this head.

    `number` is when it was signed, in ms since 1970. `device` is who is meant; empty: whoever reads
    it. `head` is the digest of the head, `trunk` that of the network below, `content` the sha256 of
    the packed head of `size` bytes. It was made at `made_s` and holds until `expires_s`, seconds
    since 1970; an `expires_s` of 0 is that of an older sender, who said nothing of it.
    """

    number: int
    device: str
    head: str
    trunk: str
    content: str
    size: int
    made_s: int
    expires_s: int

    @property
    def parts(self) -> int:
        """In how many messages the packed head goes over a broker."""
        return -(-self.size // PART_BYTES)


def signed_order(order: Order, key_file: Path) -> bytes:
    """Return `order` as it is sent, signed with the private key in `key_file`.

    Raises `ConfigError` for a key that cannot be used.
    """
    text = json.dumps({"format": FORMAT, **dataclasses.asdict(order)}, sort_keys=True)
    signature = signature_of(text.encode(), key_file, domain=DOMAIN)
    return json.dumps({"order": text, **signature.as_mapping()}).encode()


def read_order(content: bytes, trusted: Sequence[PublicKey], *, where: str = "order") -> Order:
    """Return the order in `content`, which one of the `trusted` keys has signed.

    Raises `HeadRefusedError`; whatever the content is, nothing else.
    """
    if len(content) > LARGEST_ORDER_BYTES:
        reason = f"{where}: has {len(content)} bytes, an order at most {LARGEST_ORDER_BYTES}"
        raise HeadRefusedError("too_large", reason)
    envelope = _object(content, where)
    text, signature = envelope.get("order"), signature_in(envelope)
    if not isinstance(text, str) or signature is None or len(envelope) != 3:
        raise HeadRefusedError("damaged", f"{where}: is no signed order")
    _check_signature(_encoded(text, where), signature, trusted, where)
    return _order(_object(text.encode(), where), where)


def _encoded(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:  # half a character, which JSON can spell
        raise HeadRefusedError("damaged", f"{where}: is not text") from exc


def _check_signature(
    text: bytes, signature: Signature, trusted: Sequence[PublicKey], where: str
) -> None:
    if signature.key not in trusted:
        reason = f"{where}: is signed with the key {signature.key}, which is not trusted here"
        raise HeadRefusedError("foreign_key", reason)
    if not signature.is_of(text, domain=DOMAIN):
        raise HeadRefusedError("signature", f"{where}: its signature does not belong to it")


def _object(content: bytes, where: str) -> dict[str, Any]:
    try:
        return json_object(content, Path(where))
    except NotJsonError as exc:
        raise HeadRefusedError("damaged", exc.fault.reason) from exc


def _order(values: Mapping[str, Any], where: str) -> Order:
    """Return the order of `values`, which were signed; a newer sender may have other ones."""
    keys = {field.name for field in dataclasses.fields(Order)}
    if values.get("format") == WITHOUT_END and not {"made_s", "expires_s"} & values.keys():
        values = {**values, "format": FORMAT, "made_s": 0, "expires_s": 0}
    if values.get("format") != FORMAT or values.keys() != {"format", *keys}:
        reason = f"{where}: is an order of another format"
        raise HeadRefusedError("format", reason, suggestion="update the program")
    for key, good in _valid(values).items():
        if not good:
            reason = f"{where}: its {key} cannot be {shown(values[key])}"
            raise HeadRefusedError("damaged", reason)
    order = Order(**{key: values[key] for key in keys})
    if order.size > LARGEST_HEAD_BYTES:
        reason = f"{where}: a head of {order.size} bytes, {LARGEST_HEAD_BYTES} are the most"
        raise HeadRefusedError("too_large", reason)
    return order


def _valid(values: Mapping[str, Any]) -> dict[str, bool]:
    """Return of each value whether it is one that an order may have."""
    number, size, device = values["number"], values["size"], values["device"]
    made_s, expires_s = values["made_s"], values["expires_s"]
    without_end = made_s == expires_s == 0
    digests = {key: values[key] for key in ("head", "trunk", "content")}
    return {
        "number": type(number) is int and 0 < number < LARGEST_NUMBER,
        "size": type(size) is int and size > 0,
        "made_s": type(made_s) is int and 0 <= made_s < LATEST_S,
        "expires_s": type(expires_s) is int
        and type(made_s) is int
        and (without_end or made_s < expires_s < LATEST_S),
        "device": device == "" or (isinstance(device, str) and bool(DEVICE.fullmatch(device))),
        **{
            key: isinstance(value, str) and SHA256.fullmatch(value) is not None
            for key, value in digests.items()
        },
    }
