"""A head on its way: packed once, and an order for each recorder, signed where the key is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.bundle import load_bundle
from edge.bundle.digest import sha256_of
from edge.bundle.order import PART_BYTES, Order, signed_order
from edge.bundle.packed import pack_head
from edge.bundle.places import named_bundle
from edge.errors import BundleError
from edge.files import write_whole
from edge.mqtt.heads import order_topic, part_topic

__all__ = ["HOLDS_DAYS", "Outgoing", "outgoing_head"]

HOLDS_DAYS = 30.0
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A packed head, and the order of each recorder that is to use it; "" is every recorder's."""

    packed: bytes
    orders: dict[str, Order]
    signed: dict[str, bytes]

    @property
    def number(self) -> int:
        """That of all orders."""
        return next(iter(self.orders.values())).number

    def messages(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Yield topics and payloads: the parts before any order that names them."""
        order = next(iter(self.orders.values()))
        for part in range(order.parts):
            content = self.packed[part * PART_BYTES : (part + 1) * PART_BYTES]
            yield part_topic(prefix, order, part), content
        for device, signed in self.signed.items():
            yield order_topic(prefix, device), signed

    def write(self, folder: Path) -> list[Path]:
        """Write the files that a recorder looks for in a folder or asks a server for."""
        order = next(iter(self.orders.values()))
        files = {folder / f"{order.content}.head": self.packed}
        files |= {folder / f"{name or 'all'}.json": text for name, text in self.signed.items()}
        for file, content in files.items():
            write_whole(file, content, durable=True)
        return list(files)


def outgoing_head(
    head: Path,
    key: Path,
    devices: Sequence[str],
    *,
    days: float = HOLDS_DAYS,
    now_s: Callable[[], float] = time.time,
) -> Outgoing:
    """Return `head`, verified, for these recorders, each with an order signed with `key`.

    The number of an order is the time: whoever sends later is obeyed. It holds for `days`. Raises
    `BundleError` and `ConfigError`.
    """
    bundle = load_bundle(named_bundle(head))
    packed = pack_head(bundle)
    made = now_s()
    number = round(made * 1000)
    orders = {
        device: Order(
            number=number,
            device=device,
            head=bundle.digest,
            trunk=bundle.manifest.trunk,
            content=sha256_of(packed),
            size=len(packed),
            made_s=int(made),
            expires_s=int(made + days * DAY_S) + 1,
        )
        for device in devices
    }
    if not orders:
        raise BundleError(f"{head}: there is no recorder to send it to")
    signed = {device: signed_order(order, key) for device, order in orders.items()}
    return Outgoing(packed=packed, orders=orders, signed=signed)
