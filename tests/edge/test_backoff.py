"""Waiting grows, ends at its limit, differs between recorders, and begins anew after success."""

from __future__ import annotations

from edge.backoff import Backoff


def test_it_doubles_to_its_limit_and_begins_anew() -> None:
    backoff = Backoff(first_s=1.0, longest_s=5.0, chance=lambda: 0.0)
    assert [backoff.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_chance_shortens_a_wait_by_up_to_half() -> None:
    waits = [
        Backoff(first_s=8.0, chance=lambda chance=chance: chance).next_s()  # type: ignore[misc]
        for chance in (0.0, 0.5, 1.0)
    ]
    assert waits == [8.0, 6.0, 4.0]
