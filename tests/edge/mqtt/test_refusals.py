"""One message that a broker does not take must not hold up the others, and a broker that only
restarts must refuse nothing.
"""

from __future__ import annotations

from edge.mqtt.refusals import CAREFUL, FIRST_S, HANGUPS, IN_A_ROW, LONGEST_S, Message, Refusals


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def row(seq: int, topic: str = "t") -> Message:
    return Message(topic=topic, seq=seq)


def test_a_refused_row_is_offered_again_later_and_each_time_later_still() -> None:
    clock = Clock()
    refusals = Refusals(monotonic_s=clock)
    for wait_s in (FIRST_S, 2 * FIRST_S, 4 * FIRST_S):
        refusals.refuse(row(7))
        assert refusals.waits(row(7))
        assert not refusals.waits(row(8))
        assert not refusals.released()
        clock.now_s += wait_s
        assert not refusals.waits(row(7))
        assert refusals.released()
        assert not refusals.released()  # said once
    for _ in range(20):
        refusals.refuse(row(7))
        clock.now_s += LONGEST_S
        assert not refusals.waits(row(7))
    refusals.taken(row(7))
    assert not refusals.any


def test_what_is_refused_for_its_topic_waits_with_all_of_its_topic() -> None:
    clock = Clock()
    refusals = Refusals(monotonic_s=clock)
    for seq in range(20):  # they were on their way together
        refusals.refuse(row(seq), whole_topic=True)
    assert refusals.waits(row(99))
    assert not refusals.waits(row(99, "another"))
    clock.now_s = FIRST_S  # not twenty times twice as long
    assert not refusals.waits(row(99))
    refusals.taken(row(99))
    assert not refusals.waits(row(99))


def test_an_announcement_waits_like_any_other() -> None:
    refusals = Refusals()
    info = Message(topic="info", seq=None)
    refusals.ended([info, row(1)])
    assert [refusals.ended([info]) for _ in range(HANGUPS)] == [None] * (HANGUPS - 1) + [info]
    assert refusals.waits(info)
    assert not refusals.waits(row(1))


def test_where_everything_is_refused_everything_waits() -> None:
    clock = Clock()
    refusals = Refusals(monotonic_s=clock)
    for seq in range(IN_A_ROW):
        assert not refusals.paused
        refusals.refuse(row(seq))
    assert refusals.paused
    clock.now_s = FIRST_S
    assert not refusals.paused


def test_a_connection_that_ends_unanswered_makes_the_next_ones_careful() -> None:
    refusals = Refusals()
    assert refusals.ended([row(1), row(2), row(3)]) is None
    assert refusals.one_at_a_time
    for seq in range(CAREFUL):
        assert refusals.one_at_a_time
        refusals.taken(row(seq))
    assert not refusals.one_at_a_time


def test_the_row_on_which_connections_end_is_refused_and_no_other() -> None:
    refusals = Refusals()
    refusals.ended([row(1), row(2), row(3)])
    assert [refusals.ended([row(1)]) for _ in range(HANGUPS)] == [None] * (HANGUPS - 1) + [row(1)]
    assert refusals.waits(row(1))
    assert not refusals.waits(row(2))
    assert refusals.ended([row(2)]) is None


def test_a_second_row_of_a_topic_that_is_hung_up_on_makes_the_topic_wait() -> None:
    refusals = Refusals()
    refusals.ended([row(1), row(2), row(3)])
    for seq in (1, 2):
        assert not refusals.waits(row(3))
        for _ in range(HANGUPS):
            refusals.ended([row(seq)])
    assert refusals.waits(row(3))


def test_a_broker_that_is_away_refuses_nothing() -> None:
    refusals = Refusals()
    assert all(refusals.ended(()) is None for _ in range(10 * HANGUPS))
    assert not refusals.any


def test_hangups_on_different_rows_do_not_add_up() -> None:
    refusals = Refusals()
    refusals.ended([row(1), row(2)])
    assert all(refusals.ended([row(seq)]) is None for seq in (1, 2) * HANGUPS)
    assert not refusals.any
