"""The model card: what a bundle knows, how it was made, and what it must not be used for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from train.corpus.corpus import Corpus, Recording
from train.corpus.summary import markdown_table
from train.export.size import parameters
from train.learning.run import TrainedRun
from train.learning.splits import Splits

__all__ = ["render_card"]

# What the papers state of the networks that bear their names (Thakur et al. 2019, II.B.1).
STATED_PARAMETERS = {"mscnn": 1_286_410}
VOICES = ("speech", "human_voice", "voice")  # labels of noise; `voice` is synthesised

MUST_NOT = """\
## What it must not be used for

- A count of animals, an absence, or the legal status of a site: a detection is a lead for a person
  to listen to, not a record.
- Species it does not know. Its rule answers `unknown`, and the tables below say how often it does;
  it will still name some animals that are none of its species.{shown}
- Places and seasons whose animals differ from those it was tested on, without measuring it there
  first.
- People: {people}, and it has no way to recognise what is said or by whom.
- A score is a score. It orders detections; it is not a probability, and thresholds are not
  transferable between bundles."""
SPECIES_HEADER = (
    "label",
    "common name",
    "scientific name",
    "recordings trained on",
    "validated on",
    "tested on",
)


def render_card(
    run: TrainedRun, corpus: Corpus, splits: Splits, *, name: str, report: str, notes: str
) -> str:
    """Return the card as Markdown.

    `report` is what `evaluate` wrote, and `notes` say, by hand, how the recipe came about.
    """
    answered = {*run.labels, *run.recipe.withheld}
    left_out = [label.label for label in corpus.labels if label.label not in answered]
    parts = [
        f"# {name}",
        f"{len(run.labels)} species by sound, with open-set rejection. {_size(run)}",
        *_departures(run),
        _must_not(run, splits),
        "## Species",
        _species(run, corpus, splits),
    ]
    if left_out:
        shown = bool(_outliers(run, splits))
        parts += ["## Left out", _left_out(left_out, corpus, shown=shown)]
    if run.recipe.withheld:
        parts.append(
            "Learnt, but answered with `unknown` (see below why): "
            f"{', '.join(run.recipe.withheld)}."
        )
    parts += [notes, re.sub(r"^#", "##", report, flags=re.MULTILINE).strip()]
    parts += ["## Recordings", _sources(splits)]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _species(run: TrainedRun, corpus: Corpus, splits: Splits) -> str:
    known = {label.label: label for label in corpus.labels}
    rows = [
        [k, known[k].common_name, f"*{known[k].scientific_name}*", *_counts(k, splits)]
        for k in run.labels
    ]
    return markdown_table(SPECIES_HEADER, rows)


def _size(run: TrainedRun) -> str:
    count = parameters(run.network)
    network = f"{run.recipe.members} network(s), {count:,} parameters in all"
    stated = STATED_PARAMETERS.get(run.recipe.network.kind) if run.recipe.paper else None
    beside = f" (the paper's network: {stated:,})" if stated else ""
    return f"Recipe `{run.recipe.name}`, {network}{beside}."


def _departures(run: TrainedRun) -> list[str]:
    """Return which system of which paper this is, and where it is not; nothing for no paper."""
    recipe = run.recipe
    if not recipe.paper:
        return []
    section = f", {recipe.section}" if recipe.section else ""
    lines = [f"- `{key}`: {' '.join(why.split())}" for key, why in recipe.departs.items()]
    departs = "It departs from the paper in" if lines else "It departs from the paper in nothing."
    return [f"The system is that of {recipe.paper}{section}. {departs}", "\n".join(lines)]


def _must_not(run: TrainedRun, splits: Splits) -> str:
    outliers = _outliers(run, splits)
    voices = [label for label in VOICES if outliers[label]]
    people = "it was not trained to reject speech"
    if voices:
        among = ", ".join(f"`{label}` ({outliers[label]})" for label in voices)
        people = f"it was trained to reject speech, recordings of {among}"
    only = "" if outliers else " In training\n  it was shown nothing but its species."
    return MUST_NOT.format(people=people, shown=only)


def _outliers(run: TrainedRun, splits: Splits) -> Counter[str]:
    """Return what training showed as none of the species: labels, with how many recordings."""
    if not getattr(run.recipe.objective, "outlier_share", 0):
        return Counter()
    learnt = {*run.labels, *run.recipe.withheld}
    return Counter(r.label for r in splits.train if r.role != "known" or r.label not in learnt)


def _counts(label: str, splits: Splits) -> list[int]:
    return [
        sum(r.role == "known" and r.label == label for r in use)
        for use in (splits.train, splits.validation, splits.test)
    ]


def _left_out(labels: Sequence[str], corpus: Corpus, *, shown: bool) -> str:
    count = Counter(r.label for r in corpus.of(role="known"))
    names = ", ".join(f"{label} ({count[label]})" for label in labels)
    return (
        "Species of the collection that it does not name, with their number of recordings. "
        f"{'Training showed them as none of its species' if shown else 'Training left them out'}: "
        f"{names}."
    )


def _sources(splits: Splits) -> str:
    """Return every recording used, by use, with its licence; the audio is not distributed."""
    parts = ["The audio is not distributed with the model. Licences are the recordings' own."]
    uses = {
        "trained on": splits.train,
        "validated on": splits.validation,
        "tested on": splits.test,
    }
    for use, recordings in uses.items():
        licences: dict[str, list[Recording]] = {}
        for r in recordings:
            licences.setdefault(f"{r.source}; {r.licence}", []).append(r)
        parts.append(f"### {use.capitalize()}")
        parts += [
            f"{licence} ({len(group)}): {', '.join(sorted({r.recording for r in group}))}."
            for licence, group in sorted(licences.items())
        ]
    return "\n\n".join(parts)
