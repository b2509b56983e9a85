"""How good a bundle is on annotated soundscapes: rows of 5 s, recordings, sites and events."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, load_bundle
from edge.errors import UserError
from train.corpus.soundscape import Mark, Soundscape
from train.judging.collection import listed_species
from train.judging.event_scores import Span, measure_events, merged
from train.judging.metrics import Bootstrap
from train.judging.regions import read_regions
from train.judging.replayed import replayed
from train.judging.row_hearing import RowQuestion, RowsHeard, hear_rows
from train.judging.soundscape_metrics import JudgedRows, by_species, measure_lists, measure_sites
from train.judging.soundscape_truth import find_species, row_truth
from train.windows.listening import Watch

__all__ = ["evaluate_soundscapes"]

Report = dict[str, Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """A bundle and what it is judged on: the soundscapes that could be read, with the positions of
    their marks' species among its labels. `species` (T,) are those that occur, `listed` (K,) says
    which labels may be answered, `regions` the same for a site.
    """

    bundle: Bundle
    soundscapes: tuple[Soundscape, ...]
    position: Mapping[Mark, int]
    species: tuple[int, ...]
    lacking: Mapping[str, Mark]
    listed: Mask
    regions: Mapping[str, Mask]


def evaluate_soundscapes(
    path: Path,
    soundscapes: Sequence[Soundscape],
    *,
    species: Path | None = None,
    regions: Path | None = None,
    hop_s: float | None = None,
    workers: int = 1,
    resamples: int = 500,
    watch: Watch = lambda heard, count: heard,
) -> Report:
    """Judge the bundle `path` on recordings that somebody has annotated.

    `species` is a YAML list of those that may be answered, `regions` one for each site. Events are
    of windows `hop_s` apart, None: as a recorder's are. `watch` sees the recordings pass. Raises
    `UserError` where there is nothing to judge.
    """
    bundle = load_bundle(path)
    asked = _asked(bundle, soundscapes, species, regions)
    heard, left_out = _heard(asked, workers, watch)
    kept = [i for i, answer in enumerate(heard) if answer is not None]
    if not kept:
        raise UserError(f"no soundscape could be heard; {': '.join(left_out[0])}")
    asked = _of(asked, kept)
    answers = [answer for answer in heard if answer is not None]
    return {
        **_described(asked, left_out, resamples),
        **_measured(asked, answers, resamples),
        "events": _events(asked, resamples, species=species, hop_s=hop_s, workers=workers),
    }


def _asked(
    bundle: Bundle, soundscapes: Sequence[Soundscape], species: Path | None, regions: Path | None
) -> _Asked:
    animals = np.array([label.kind == "animal" for label in bundle.labels], bool)
    listed = listed_species(bundle, species) & animals
    position, lacking = find_species(soundscapes, bundle.labels, listed)
    found = sorted(set(position.values()) - {-1})
    if not found and position:
        name, mark = next(iter(lacking.items()))
        raise UserError(
            f"{mark.table}: none of the {len(lacking)} species is one that the bundle may answer; "
            f"the first, in line {mark.line}, is {name}"
        )
    sites = {soundscape.site for soundscape in soundscapes}
    by_site = {} if regions is None else read_regions(regions, bundle.labels, sites)
    return _Asked(
        bundle=bundle,
        soundscapes=tuple(soundscapes),
        position=position,
        species=tuple(found),
        lacking=lacking,
        listed=listed,
        regions={site: listed & mask for site, mask in by_site.items()},
    )


def _heard(
    asked: _Asked, workers: int, watch: Watch
) -> tuple[list[tuple[RowsHeard, ...] | None], list[tuple[str, str]]]:
    """Return what was heard of each soundscape, None where it could not be, and why."""
    readable = [s for s in asked.soundscapes if not s.fault]
    lists = [[asked.listed, *([asked.regions[s.site]] if asked.regions else [])] for s in readable]
    question = RowQuestion(bundle=asked.bundle.word, species=asked.species)
    answers = hear_rows(question, readable, lists, workers=workers)
    found = dict(zip((s.path for s in readable), watch(answers, len(readable)), strict=True))
    left_out = []
    heard: list[tuple[RowsHeard, ...] | None] = []
    for soundscape in asked.soundscapes:
        answer = found.get(soundscape.path, soundscape.fault)
        if isinstance(answer, str):
            left_out.append((soundscape.path.name, answer))
        heard.append(None if isinstance(answer, str) else answer)
    return heard, left_out


def _of(asked: _Asked, kept: Sequence[int]) -> _Asked:
    soundscapes = tuple(asked.soundscapes[i] for i in kept)
    return dataclasses.replace(asked, soundscapes=soundscapes)


def _described(asked: _Asked, left_out: Sequence[tuple[str, str]], resamples: int) -> Report:
    bundle, soundscapes = asked.bundle, asked.soundscapes
    return {
        "bundle": bundle.manifest.name,
        "digest": bundle.digest,
        "licence": bundle.manifest.licence,
        "labels": len(bundle.labels),
        "listed": int(asked.listed.sum()),
        "species": len(asked.species),
        "resamples": resamples,
        "recordings": len(soundscapes),
        "minutes": round(sum(s.seconds for s in soundscapes) / 60, 2),
        "missing": {
            name: _place(mark)
            for name, mark in sorted(asked.lacking.items())
            if not mark.is_unknown
        },
        "inaudible": _inaudible(asked),
        "left_out": [list(pair) for pair in left_out],
    }


def _place(mark: Mark) -> str:
    return f"{mark.table.name}, line {mark.line}"


def _inaudible(asked: _Asked) -> int:
    """Return how many marks lie wholly in a band that the bundle does not hear."""
    frontend = asked.bundle.frontend
    lowest, highest = frontend.fmin_hz, min(frontend.fmax_hz, frontend.sample_rate_hz / 2)
    bands = [mark.band_hz for s in asked.soundscapes for mark in s.marks if mark.band_hz]
    return sum(high <= lowest or low >= highest for low, high in bands)


def _measured(asked: _Asked, heard: Sequence[tuple[RowsHeard, ...]], resamples: int) -> Report:
    truth = row_truth(asked.soundscapes, asked.position, asked.species)
    lacking = sum(not mark.is_unknown for mark in asked.lacking.values())
    sites = [soundscape.site for soundscape in asked.soundscapes]
    stratum = np.unique(np.array(sites), return_inverse=True)[1].astype(np.int64)
    draw = Bootstrap(
        recording=truth.recording, stratum=stratum[truth.recording], resamples=resamples
    )
    names = ("any of its species", *(["of its region"] if asked.regions else []))
    judged = [JudgedRows.of(truth, [rows[i] for rows in heard], lacking) for i in range(len(names))]
    nocall = truth.wanted == 0
    return {
        "rows": len(nocall),
        "nocall": int(nocall.sum()),
        "with_missing": int((truth.missing > 0).sum()),
        "lists": [
            {"list": name, **measure_lists(rows, draw)}
            for name, rows in zip(names, judged, strict=True)
        ],
        "sites": measure_sites(judged[-1], sites, draw) if len(set(sites)) > 1 else [],
        "by_species": by_species(judged[-1], [asked.bundle.labels[k].label for k in asked.species]),
    }


def _events(asked: _Asked, resamples: int, **means: Any) -> list[dict[str, Any]]:
    """Return how well the recorder's events agree with exact marks, where there are any."""
    exact = [s for s in asked.soundscapes if s.exact]
    if not exact:
        return []
    at = {s.path: i for i, s in enumerate(exact)}
    labels = asked.bundle.labels
    animals = {label.label for label in labels if label.kind == "animal"}
    marked = [
        Span(
            recording=i,
            label=labels[k].label if k >= 0 else f"{mark.name} (missing)",
            start_s=mark.start_s,
            end_s=mark.end_s,
        )
        for i, s in enumerate(exact)
        for mark in s.marks
        for k in [asked.position[mark]]
    ]
    found = [
        Span(recording=at[path], label=event.name, start_s=event.start_s, end_s=event.end_s)
        for event in replayed(asked.bundle.word, list(at), **means)
        for path in [Path(event.file)]
        if event.name in animals
    ]
    return measure_events(merged(marked), found, [s.seconds for s in exact], resamples=resamples)
