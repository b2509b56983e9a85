"""The windows just heard, from which the scores before an event are told."""

from __future__ import annotations

from collections.abc import Callable

from edge.detect.narrowing import Nearby
from edge.types import Prediction

__all__ = ["Earlier", "Recent"]

Judged = list[tuple[Prediction, Nearby]]
# Returns windows that were passed over, when they are asked for.
Earlier = Callable[[], Judged]
MOST = 100  # windows of which most share no audio with the last


class Recent:
    """The windows of one stretch of sound, as judged, and how those before them are had."""

    def __init__(self) -> None:
        self.recall(list)

    def recall(self, earlier: Earlier) -> None:
        """Forget the windows; `earlier` returns the last of these, and at least those that share
        audio with the next one.
        """
        self._windows: Judged = []
        self._earlier = earlier

    def add(self, judged: Prediction, nearby: Nearby) -> None:
        """Take the next window."""
        self._windows.append((judged, nearby))
        if len(self._windows) > MOST:
            self._windows, self._earlier = self.sharing_with(judged), list

    def sharing_with(self, p: Prediction) -> Judged:
        """Return the last windows that share audio with one."""
        known = [*self._earlier(), *self._windows]
        return [(q, near) for q, near in known if q.end_sample > p.start_sample]
