"""What `edge-train prepare` found, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from train.corpus.corpus import ROLES, Corpus, Recording
from train.corpus.splits import group_of, unsplittable

__all__ = ["markdown_table", "summarise"]

GROUPS = (
    "Cells are recordings / labels. A group is a recordist, or a recording where nobody is named; "
    "it is in one column only."
)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, one line per row."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def summarise(corpus: Corpus, quarantine: Mapping[str, int]) -> str:
    """Return the summary as Markdown; `quarantine` counts the files left out by reason."""
    parts = [
        "# Prepared recordings",
        f"Digest of what may be trained on: `{corpus.digest}`",
        "## By role",
        markdown_table(
            ("role", "labels", "recordings", "minutes", "groups"),
            (_counts(role, corpus.of(role=role)) for role in ROLES),
        ),
        "## By split",
        GROUPS,
        _split_table(corpus),
        "## Known species",
        _species_table(corpus),
        "## Species that are not in test, validation and training",
        _bullets(f"{label}: {reason}" for label, reason in unsplittable(corpus.recordings).items()),
        "## Left out",
        _bullets([*(f"{why}: {n}" for why, n in sorted(quarantine.items())), *_unused(corpus)]),
    ]
    return "\n\n".join(parts) + "\n"


def _places(corpus: Corpus) -> dict[str, tuple[Recording, ...]]:
    folds = {f"fold {f}": corpus.of(split="dev", folds=[f]) for f in range(corpus.folds)}
    return {"test": corpus.of(split="test"), **folds}


def _counts(name: str, recordings: Sequence[Recording]) -> tuple[object, ...]:
    minutes = sum(r.seconds for r in recordings) / 60
    return (
        name,
        len({r.label for r in recordings}),
        len(recordings),
        f"{minutes:.1f}",
        len({group_of(r) for r in recordings}),
    )


def _split_table(corpus: Corpus) -> str:
    places = _places(corpus)

    def cells(name: str, chosen: Mapping[str, Sequence[Recording]]) -> list[str]:
        return [name, *(f"{len(rs)} / {len({r.label for r in rs})}" for rs in chosen.values())]

    rows = [
        cells(role, {name: [r for r in rs if r.role == role] for name, rs in places.items()})
        for role in ROLES
    ]
    minutes = ["minutes", *(f"{sum(r.seconds for r in rs) / 60:.1f}" for rs in places.values())]
    recordists = ["groups", *(str(len({group_of(r) for r in rs})) for rs in places.values())]
    return markdown_table(["role", *places], [*rows, minutes, recordists])


def _species_table(corpus: Corpus) -> str:
    places = {
        name: Counter(r.label for r in rs if r.role == "known")
        for name, rs in _places(corpus).items()
    }
    rows = []
    for label in corpus.labels:
        own = [r for r in corpus.of(role="known") if r.label == label.label]
        placed = (counts[label.label] for counts in places.values())
        rows.append([label.common_name, *_counts("", own)[2:], *placed])
    return markdown_table(["species", "recordings", "minutes", "groups", *places], rows)


def _unused(corpus: Corpus) -> list[str]:
    unused = corpus.of(split="unused")
    if not unused:
        return []
    return [f"unknown species whose recordist is known in another fold: {len(unused)}"]


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines) or "None."
