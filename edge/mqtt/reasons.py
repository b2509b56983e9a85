"""Why a delivery fails: in one of a few words for the metric, and in the broker's for a person."""

from __future__ import annotations

from paho.mqtt.reasoncodes import ReasonCode

__all__ = [
    "ERROR_REASONS",
    "NO_RETAIN",
    "OF_TOPIC",
    "PROTOCOL_ERROR",
    "UNSPECIFIED",
    "explained",
]

ERROR_REASONS = (
    "unreachable",
    "tls",
    "credentials",
    "refused",
    "timeout",
    "lost",
    "protocol",
    "puback",
    "too_large",
    "unanswered",
    "store",
)
# Reason codes of MQTT 5 (section 2.4), into which paho turns those of MQTT 3.1.1 as well.
UNSPECIFIED = 0x80
PROTOCOL_ERROR = 0x82
UNSUPPORTED_VERSION = 0x84
BAD_CREDENTIALS = 0x86
NOT_AUTHORISED = 0x87
TAKEN_OVER = 0x8E
TOPIC_INVALID = 0x90
NO_RETAIN = 0x9A
NO_QOS = 0x9B
OF_TOPIC = (NOT_AUTHORISED, TOPIC_INVALID)  # what they refuse is the topic, not the message
HINTS = {
    NOT_AUTHORISED: (
        "check mqtt.username_file and mqtt.password_file, and what the broker lets this user do"
    ),
    BAD_CREDENTIALS: "check mqtt.username_file and mqtt.password_file",
    TAKEN_OVER: "another client has this recorder's id: give each recorder a device.id of its own",
    NO_QOS: "a broker without QoS 1 acknowledges nothing",
    UNSUPPORTED_VERSION: "try mqtt.protocol: 311",
}


def explained(reason: ReasonCode) -> str:
    """Return the broker's reason, with what to do about it where that is known."""
    hint = HINTS.get(reason.value)
    return f"{reason} ({hint})" if hint else str(reason)
