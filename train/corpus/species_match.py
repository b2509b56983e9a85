"""Which label of a bundle is meant by a recording of other people's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from edge.bundle import Label
from edge.bundle.labels import plain_name
from edge.errors import UserError, shown
from train.corpus.corpus import Recording

__all__ = ["Names"]


class Names:
    """Finds labels by scientific name, then by common name, then by the label itself.

    A name that two labels have finds neither: half of the answers would be wrong.
    """

    def __init__(self, labels: Sequence[Label]) -> None:
        self._scientific = _index((label.scientific_name,) for label in labels)
        self._common = _index((label.common_name, *label.names.values()) for label in labels)
        self._labels = _index((label.label,) for label in labels)

    def position(self, recording: Recording) -> int:
        """Return where a recording's species stands among the labels, -1 for one that is not."""
        for names, name in (
            (self._scientific, recording.scientific_name),
            (self._common, recording.common_name),
            (self._labels, recording.label),
        ):
            if (found := names.get(plain_name(name), -1)) >= 0:
                return found
        return -1

    def listed(self, names: Iterable[str], *, where: str) -> list[int]:
        """Return the positions of species that a person lists; raises `UserError` for a stranger.

        `where` is the list, for the message.
        """
        positions = []
        for name in names:
            found = self.known([name])
            if not found:
                raise UserError(f"{where}: {shown(name)} is no species of the bundle")
            positions += found
        return positions

    def known(self, names: Iterable[str]) -> list[int]:
        """Return the positions of those of `names` that are species of the bundle."""
        tables = (self._labels, self._scientific, self._common)
        positions = []
        for plain in map(plain_name, names):
            found = [position for t in tables if (position := t.get(plain, -1)) >= 0]
            positions += found[:1]
        return positions


def _index(names: Iterable[Iterable[str]]) -> dict[str, int]:
    owners: dict[str, set[int]] = defaultdict(set)
    for position, own in enumerate(names):
        for name in own:
            owners[plain_name(name)].add(position)
    owners.pop("", None)
    return {name: found.pop() for name, found in owners.items() if len(found) == 1}
