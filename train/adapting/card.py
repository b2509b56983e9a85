"""The card of a head: whose network, which recordings, how good."""

from __future__ import annotations

import re
from collections import Counter

from edge.bundle import Bundle
from train.adapting.adapt import Adapted
from train.corpus.summary import markdown_table
from train.judging.report import render_report

__all__ = ["render_head_card"]


def render_head_card(adapted: Adapted, trunk: Bundle, *, name: str) -> str:
    """Return the card as Markdown."""
    licence = trunk.manifest.licence or "that of its recordings"
    report = re.sub(r"^#", "##", render_report(adapted.report), flags=re.MULTILINE)
    parts = [
        f"# {name}",
        f"{len(adapted.labels)} species, as a head on the network of {trunk.manifest.name} "
        f"(`{trunk.trunk_digest[:12]}`), from which it is derived. Licence: {licence}.",
        "A detection is a lead for a person to listen to. A score is not a probability. It was "
        "judged on people who were not heard in training, on these recordings only.",
        "\n".join(f"- {note}" for note in adapted.notes),
        *(("## What was taught since", "\n\n".join(adapted.changes)) if adapted.changes else ()),
        *_kinds(adapted),
        "## Species",
        _species(adapted),
        report.strip(),
        "## Recordings",
        _sources(adapted),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _kinds(adapted: Adapted) -> tuple[str, ...]:
    """Return the section on the kinds of head that were tried, where there were several."""
    if len(adapted.kinds) < 2:
        return ()
    columns = list(adapted.kinds[0])
    rows = [[row.get(column, "") for column in columns] for row in adapted.kinds]
    return (
        "## Kinds of head",
        f"By recordings that were held out in turn; `{adapted.kind}` was taken.",
        markdown_table([column.replace("_", " ") for column in columns], rows),
    )


def _species(adapted: Adapted) -> str:
    known = [r for r in adapted.study.corpus.recordings if r.role == "known"]
    counts = Counter((r.label, r.split if r.split == "test" else min(r.fold, 1)) for r in known)
    rows = [
        [
            label.label,
            label.common_name,
            f"*{label.scientific_name}*" if label.scientific_name else "",
            "yes" if k >= 0 else "no",
            *(counts[label.label, part] for part in (1, 0, "test")),
        ]
        for label, k in zip(adapted.labels, adapted.top.own, strict=True)
    ]
    header = ("label", "common name", "scientific name", "known to the trunk")
    return markdown_table((*header, "trained on", "validated on", "tested on"), rows)


def _sources(adapted: Adapted) -> str:
    """Return every recording, by licence; the audio is not distributed."""
    licences: dict[str, list[str]] = {}
    for r in adapted.study.corpus.recordings:
        licence = "; ".join(filter(None, (r.source, r.licence))) or "no licence given"
        licences.setdefault(licence, []).append(r.recording or r.path.name)
    lines = [
        f"{licence} ({len(names)}): {', '.join(sorted(set(names)))}."
        for licence, names in sorted(licences.items())
    ]
    return "\n\n".join(lines)
