"""Whether the broker of a configuration can be used, for `edge check`."""

from __future__ import annotations

import socket

from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.session import Session

__all__ = ["probe"]


def probe(config: MqttConfig, *, device: str) -> DeliveryError | None:
    """Return why the broker cannot be used, or None.

    It connects under a client id of its own, so that a running recorder keeps its connection.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = Session(
            config,
            client_id=f"edge-{device}-check",
            wake=ours,
            will=None,
            on_message=lambda payload: None,
        )
        try:
            session.open()
        except DeliveryError as exc:
            session.abort()
            return exc
        session.close()
    return None
