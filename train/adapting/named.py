"""Clips of a species that people named: a table of answers may stand for the clips that it lists.

Of such a clip only the answered stretches are of the species.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from edge.bundle import Label
from edge.errors import UserError
from train.adapting.answered import Answer, read_answers
from train.adapting.clips import MOST_CLIPS, NewSpecies

__all__ = ["named_clips"]

TABLES = (".csv", ".tsv", ".jsonl")


def named_clips(label: str, sources: Sequence[Path], labels: Sequence[Label]) -> NewSpecies:
    """Return a species with its clips; `sources` are clips and tables of answers that name it.

    `labels` are those of the head. Raises `UserError` for a table that cannot be read or in which
    nobody names the species.
    """
    tables = [source for source in sources if source.suffix.lower() in TABLES]
    given = [source for source in sources if source not in tables]
    stretches: dict[Path, set[tuple[float, float]]] = defaultdict(set)
    notes = []
    for table in tables:
        answers = read_answers(table, labels)
        named = _of_species(label, table, answers)
        for answer in named:
            stretches[answer.path].add((answer.start_s, answer.end_s))
        others = len(answers) - len(named)
        if others:
            notes.append(f"{table.name}: {others} answers about other things were not learnt from")
    room = max(0, MOST_CLIPS - len(given))
    if len(stretches) > room:
        notes.append(f"left out: {len(stretches) - room} clips more than {MOST_CLIPS}")
    return NewSpecies(
        label=label,
        clips=(*given, *list(stretches)[:room]),
        stretches={path: tuple(sorted(own)) for path, own in stretches.items()},
        notes=tuple(notes),
    )


def _of_species(label: str, table: Path, answers: Sequence[Answer]) -> list[Answer]:
    named = [answer for answer in answers if answer.label == label]
    if not named:
        others = sorted({answer.label for answer in answers if answer.label})
        raise UserError(
            f"--add {label}: no answer in {table} names it",
            suggestion=f"it names {', '.join(others[:5])}" if others else "",
        )
    return named
