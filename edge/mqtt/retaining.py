"""Whether a broker retains messages: one that does not refuses a recorder with a retained will."""

from __future__ import annotations

from edge.mqtt.refusals import HANGUPS
from edge.mqtt.session import Session

__all__ = ["Retaining"]


class Retaining:
    """What is known of the broker, from one connection to the next. One thread only."""

    def __init__(self) -> None:
        self._refused = False
        self._hangups = 0

    @property
    def wanted(self) -> bool:
        """Whether to have the next connection's messages retained.

        MQTT 3.1.1 has no word for it: after several brokers' hangups at the beginning, every other
        connection does without.
        """
        return not self._refused and (self._hangups < HANGUPS or self._hangups % 2 == 0)

    def tried(self, session: Session) -> None:
        """Learn from the beginning of a connection, whether or not there is one."""
        retains = session.retains
        if retains is not None:
            self._refused, self._hangups = not retains, 0
        elif session.reached:
            self._hangups += 1
