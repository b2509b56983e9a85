"""The part of a collection on which the systems of a plan are trained and judged.

out/all      the whole collection, prepared
out/corpus   the part of it that the plan asks for
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.bundle.strictjson import read_json
from edge.errors import UserError
from train.commands.plan import CorpusPlan, Plan
from train.corpus.corpus import Corpus, Recording, read_corpus, recordist_key, write_corpus
from train.corpus.prepare import prepare
from train.corpus.readers import read_listing

__all__ = ["prepared_part"]


def prepared_part(
    plan: Plan, data: Path, out: Path, *, workers: int, say: Callable[[str], None]
) -> Corpus:
    """Return the corpus in `out`, prepared from the collection `data` unless it is there.

    Raises `UserError` when another part of a collection is there, or one of another collection.
    """
    folder, root = out / "corpus", read_listing(data).root
    wanted = plan.corpus.as_mapping()
    if (folder / "corpus.json").exists():
        _refuse_another(folder, plan, wanted, root)
        return read_corpus(folder)
    if not _is_prepared(out / "all", plan.corpus, root):
        say(f"preparing {data} in {out / 'all'}")
        split, keep_types = plan.corpus.split, plan.corpus.keep_types
        prepare(data, out / "all", plan=split, workers=workers, keep_types=keep_types)
    whole = read_corpus(out / "all")
    part = Corpus(root=whole.root, recordings=tuple(_choose(whole.recordings, plan.corpus)))
    write_corpus(folder, part, drawn={"part": wanted})
    return read_corpus(folder)


def _refuse_another(folder: Path, plan: Plan, wanted: Mapping[str, Any], root: Path) -> None:
    description = read_json(folder / "corpus.json")
    if description.get("part") != wanted:
        found = f"is another part of a collection than {plan.file} asks for"
    elif Path(description["root"]).resolve() != root.resolve():
        found = f"is of the recordings in {description['root']}, not of those in {root}"
    else:
        return
    raise UserError(f"{folder}: {found}", suggestion="choose another --out")


def _is_prepared(folder: Path, plan: CorpusPlan, root: Path) -> bool:
    """Return whether the collection is there, and divided as the plan asks for."""
    if not (folder / "corpus.json").exists():
        return False
    drawn = read_json(folder / "corpus.json")
    wanted = {**dataclasses.asdict(plan.split), "keep_types": plan.keep_types}
    is_divided_so = {key: drawn.get(key, False) for key in wanted} == wanted
    return is_divided_so and Path(drawn["root"]).resolve() == root.resolve()


def _choose(recordings: Sequence[Recording], plan: CorpusPlan) -> list[Recording]:
    """Return the part that the plan asks for; nothing of it depends on how well a system does."""
    people: dict[str, set[str]] = defaultdict(set)
    for r in recordings:
        if r.role == "known":
            people[r.label].add(recordist_key(r.recordist) or r.recording)
    species = sorted(people, key=lambda label: (-len(people[label]), label))[: plan.species]
    kept = {
        id(r)
        for label in species
        for r in _evenly((r for r in recordings if r.label == label), plan.recordings)
    }
    outliers = {"unknown": plan.unknown, "noise": plan.noise, "background": plan.background}
    for role, most in outliers.items():
        kept |= {id(r) for r in _evenly((r for r in recordings if r.role == role), most)}
    return [r for r in recordings if id(r) in kept]


def _evenly(recordings: Iterable[Recording], most: int) -> list[Recording]:
    """Return at most `most` of them, spread over their order, which is by label and name."""
    everything = list(recordings)
    count = len(everything)
    return everything if count <= most else [everything[i * count // most] for i in range(most)]
