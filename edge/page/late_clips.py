"""Clips of events that were answered before they had ended, which have their clip since.

Whoever looks at the newest event answers it while it is heard.
"""

from __future__ import annotations

from edge.page.answers import Answers
from edge.page.clips import placed_clip
from edge.page.place import Shown
from edge.store.events import find
from edge.store.reading import reading

__all__ = ["fetch_late_clips"]


def fetch_late_clips(answers: Answers, place: Shown) -> None:
    """Keep the clips that answers lack and that are there now."""
    waiting = dict.fromkeys(one.event for one in answers.all() if one.claim and not one.clip)
    if not waiting or not place.store.is_file():
        return
    with reading(place.store) as db:
        for id in waiting:
            event = find(db, id)
            placed = None if event is None else placed_clip(place.clips, event)
            if event is not None and placed is not None:
                answers.give_clip(event, placed)
