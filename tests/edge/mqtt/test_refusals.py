"""One message that a broker does not take must not hold up the others, and a broker that only
restarts must refuse nothing.
"""

from __future__ import annotations

from edge.mqtt.refusals import HANGUPS, REFUSED_S, Refusals


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_refused_row_is_offered_again_later() -> None:
    clock = Clock()
    refusals = Refusals(monotonic_s=clock)
    refusals.refuse(7)
    assert refusals.now() == {7}
    clock.now_s = REFUSED_S
    assert refusals.now() == set()


def test_a_connection_that_ends_unanswered_makes_the_next_ones_careful() -> None:
    refusals = Refusals()
    assert refusals.ended({1, 2, 3}) is None
    assert refusals.one_at_a_time
    refusals.taken()
    assert not refusals.one_at_a_time


def test_the_row_on_which_connections_end_is_refused_and_no_other() -> None:
    refusals = Refusals()
    refusals.ended({1, 2, 3})
    assert [refusals.ended({1}) for _ in range(HANGUPS)] == [None] * (HANGUPS - 1) + [1]
    assert refusals.now() == {1}
    assert refusals.ended({2}) is None


def test_a_broker_that_is_away_refuses_nothing() -> None:
    refusals = Refusals()
    assert all(refusals.ended(()) is None for _ in range(10 * HANGUPS))
    assert len(refusals) == 0
    assert not refusals.one_at_a_time


def test_hangups_on_different_rows_do_not_add_up() -> None:
    refusals = Refusals()
    refusals.ended({1, 2})
    assert all(refusals.ended({seq}) is None for seq in (1, 2) * HANGUPS)
    assert len(refusals) == 0
