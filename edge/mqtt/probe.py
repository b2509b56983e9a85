"""Whether the broker of a configuration can be used, for `edge check`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from edge.config.sections import MqttConfig
from edge.errors import DeliveryError
from edge.mqtt.granted import Ack, UnsendableError
from edge.mqtt.in_flight import QUIET_S
from edge.mqtt.session import Session
from edge.mqtt.topics import Topics

__all__ = ["probe"]

ANSWER_S = 10.0
COMES_BACK_S = 3.0
AMPLE_BYTES = 8192  # several times what a detection takes
TEXT = "tried by edge check"


def probe(config: MqttConfig, *, device: str, answer_s: float = ANSWER_S) -> str:
    """Return what the broker does with a message of this recorder; raises `DeliveryError`.

    It connects under a client id of its own, so that a running recorder keeps its connection, and
    publishes to a topic that nothing else uses, `PREFIX/DEVICE/check`.
    """
    ours, theirs = socket.socketpair()
    came_back: list[bytes] = []
    with ours, theirs:
        session = Session(
            config,
            client_id=f"edge-{device}-check",
            wake=ours,
            will=None,
            on_message=lambda _, payload: came_back.append(payload),
        )
        topic = Topics(base=f"{config.topic_prefix}/{device}").check
        try:
            session.open()
            _try(session, topic, answer_s)
            found = _found(session, topic, came_back, five=config.protocol == 5)
            return found + _limit(session.granted.packet_bytes)
        finally:
            session.close()


def _try(session: Session, topic: str, answer_s: float) -> None:
    """Subscribe and publish to `topic`; raises `DeliveryError` where that is not taken."""
    session.subscribe(topic)
    _wait(session, lambda: topic in session.subscriptions, f"a subscription to {topic}", answer_s)
    try:
        session.publish(topic, TEXT)
    except UnsendableError as exc:
        raise DeliveryError(exc.reason, str(exc)) from exc
    answers: list[Ack] = []

    def answered() -> bool:
        answers.extend(session.acks())
        return bool(answers)

    _wait(session, answered, f"a message to {topic}", answer_s)
    if answers[0].refusal is not None:
        raise DeliveryError("puback", f"the broker does not take {topic}: {answers[0].refusal}")


def _found(session: Session, topic: str, came_back: list[bytes], *, five: bool) -> str:
    """Return what became of the message, which comes back where it may be read."""
    try:
        _wait_for_it(session, came_back, readable=session.subscriptions[topic] is None)
    except DeliveryError as exc:
        text = f"the broker acknowledges {topic}, and hangs up: it does not grant that topic"
        raise DeliveryError("puback", text) from exc
    if came_back:
        return f"accepts, and gives back, what is published to {topic}"
    if five:
        return f"accepts what is published to {topic}"
    return (
        f"acknowledges what is published to {topic}, but MQTT 3.1.1 cannot tell a refusal: the "
        "message did not come back, so it was dropped, or this recorder may not read it "
        "(mqtt.protocol: 5 tells)"
    )


def _limit(packet_bytes: int | None) -> str:
    """Return a warning of a limit by which a detection may be too large."""
    if packet_bytes is None or packet_bytes >= AMPLE_BYTES:
        return ""
    return f"; it takes messages of {packet_bytes} bytes at most, larger ones are set aside"


def _wait_for_it(session: Session, came_back: list[bytes], *, readable: bool) -> None:
    """Wait for a message to come back; where it cannot, for as long as a hangup takes."""
    until_s = time.monotonic() + (COMES_BACK_S if readable else QUIET_S)
    while not came_back and time.monotonic() < until_s:
        session.exchange(0.1)


def _wait(session: Session, done: Callable[[], bool], what: str, answer_s: float) -> None:
    deadline_s = time.monotonic() + answer_s
    while not done():
        if time.monotonic() > deadline_s:
            text = f"the broker connects, and does not answer {what} within {answer_s:.0f} s"
            raise DeliveryError("unanswered", text)
        session.exchange(0.2)
