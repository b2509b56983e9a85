"""Whether a head that was sent is the one that was ordered, and stands on the network here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.bundle import load_bundle
from edge.bundle.bundle import SIGNATURE
from edge.bundle.order import Order
from edge.bundle.signature import PublicKey, read_signature, refuse_foreign
from edge.bundle.verified import manifest_content
from edge.errors import BundleError, HeadRefusedError
from edge.heads.configured import ConfiguredBundle

__all__ = ["check_head", "check_network"]


def check_network(order: Order, configured: ConfiguredBundle | None) -> ConfiguredBundle:
    """Return the configured bundle where the head of an order stands on its network.

    Raises `HeadRefusedError`, also where several bundles judge, which `configured` says by None.
    """
    if configured is not None and order.trunk == configured.network:
        return configured
    here = "several bundles judge" if configured is None else configured.network[:12]
    text = f"the head is for the network {order.trunk[:12]}, and here it is {here}"
    raise HeadRefusedError("other_trunk", text)


def check_head(
    folder: Path, order: Order, configured: ConfiguredBundle, *, trusted: Sequence[PublicKey]
) -> None:
    """Raise unless `folder` has the head of the order, signed by one of the `trusted` keys.

    Raises `BundleError` for a head that cannot be used, and `HeadRefusedError`.
    """
    content = manifest_content(folder)
    try:
        refuse_foreign(folder, content, read_signature(folder / SIGNATURE), trusted)
    except BundleError as exc:
        raise HeadRefusedError("signature", exc.fault.reason) from exc
    head = load_bundle(f"{configured.trunk}+{folder}", trusted=trusted)
    if head.digest != order.head:
        raise HeadRefusedError("damaged", f"the order is for another head than {head.digest}")
