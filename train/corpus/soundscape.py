"""A recording that somebody has heard whole, and what calls in it when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import soundfile

from edge.bundle.labels import UNKNOWN
from train.corpus.tables import fault_in

__all__ = ["ROW_S", "Mark", "Soundscape", "length_of", "refuse_past_the_end", "tiled"]

ROW_S = 5.0
# A recording may be so much shorter than its last row or mark says.
TOLERANCE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A species from `start_s` to `end_s` of a recording, by the names that the table has.

    `table` and `line` are where that stands, `band_hz` is from where to where it sounds.
    """

    name: str
    start_s: float
    end_s: float
    table: Path
    line: int
    common_name: str = ""
    scientific_name: str = ""
    band_hz: tuple[float, float] | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether it is an animal that nobody could name."""
        return self.name.casefold() == UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Soundscape:
    """A recording of `seconds` that somebody has heard whole, or in the `rows` from start to end.

    `exact`: marks begin and end with the calls, and not with rows. `site` may be empty. What
    cannot be read has `fault`, the reason, and no seconds.
    """

    path: Path
    site: str
    marks: tuple[Mark, ...]
    rows: tuple[tuple[float, float], ...]
    exact: bool
    seconds: float
    fault: str = ""


def tiled(seconds: float) -> tuple[tuple[float, float], ...]:
    """Return rows from the beginning on; what is left at the end is one if it is half as long."""
    count = int((seconds + ROW_S / 2) // ROW_S)
    rows = [(i * ROW_S, min((i + 1) * ROW_S, seconds)) for i in range(count)]
    return tuple(rows or [(0.0, seconds)])


def length_of(path: Path) -> tuple[float, str]:
    """Return the seconds of a recording, or 0 and why it cannot be read."""
    try:
        facts = soundfile.info(path)
    except (OSError, RuntimeError) as exc:  # libsndfile's own error is one of the latter
        return 0.0, str(exc)
    return (facts.duration, "") if facts.duration > 0 else (0.0, "has no samples")


def refuse_past_the_end(path: Path, end_s: float, seconds: float, table: Path, line: int) -> None:
    """Raise `UserError` for what ends after a recording of so many seconds."""
    if end_s > seconds + TOLERANCE_S:
        what = f"{end_s:g} s is past the end of {path.name}, which has {seconds:.3f} s"
        raise fault_in(table, line, what)
