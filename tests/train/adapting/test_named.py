"""A species that a head is to learn from a table in which people name it."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
import soundfile

from edge.bundle import Label
from edge.errors import UserError
from tests.train.adapting.studies import RATE_HZ, clips_of, sung
from train.adapting.clips import MOST_CLIPS, NewSpecies, usable_clips, with_clips
from train.adapting.marks import Marks, key_of
from train.adapting.named import named_clips
from train.adapting.study import Study
from train.corpus.corpus import Corpus, Recording

COLUMNS = ("path", "start_s", "end_s", "label", "answer", "who")
OWL = Label(label="owl", common_name="Tawny Owl", scientific_name="Strix aluco")


def table_of(path: Path, *rows: tuple[object, ...]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def empty_study(root: Path, *recordings: Recording, marks: Marks | None = None) -> Study:
    corpus = Corpus(root=root, recordings=recordings)
    return Study(corpus=corpus, marks=marks or Marks())


def test_only_the_stretches_that_are_named_are_of_the_species(tmp_path: Path) -> None:
    one, other, third = clips_of(tmp_path / "clips", 1300.0, each=3)
    table = table_of(
        tmp_path / "answers.csv",
        (f"clips/{one.name}", 1.5, 3.5, "", "beeper", "Ada"),
        (f"clips/{one.name}", 4.0, 4.6, "", "it is beeper", "Bo"),
        (f"clips/{other.name}", 1.5, 3.5, "owl", "right", "Ada"),
        (f"clips/{third.name}", 1.5, 3.5, "", "noise", "Ada"),
    )
    new = named_clips("beeper", [table], [OWL])
    assert new.clips == (one.resolve(),)
    assert new.notes == ("answers.csv: 2 answers about other things were not learnt from",)
    clips, _ = usable_clips(new, empty_study(tmp_path), workers=1)
    study, _ = with_clips(empty_study(tmp_path), new, clips)
    assert study.marks.stretches == {key_of(clips[0]): ((1.5, 3.5), (4.0, 4.6))}


def test_clips_and_tables_go_together(tmp_path: Path) -> None:
    one, other = clips_of(tmp_path, 1300.0, each=2)
    table = table_of(tmp_path / "answers.csv", (one.name, 1.5, 3.5, "", "beeper", ""))
    new = named_clips("beeper", [table, other], [])
    assert new.clips == (other, one.resolve())
    assert list(new.stretches) == [one.resolve()]


def test_a_table_in_which_nobody_names_it_says_whom_it_names(tmp_path: Path) -> None:
    (clip,) = clips_of(tmp_path, 1300.0, each=1)
    table = table_of(tmp_path / "answers.csv", (clip.name, 1.5, 3.5, "", "Tawny Owl", ""))
    with pytest.raises(UserError, match=r"--add beeper: no answer in .*csv names it; it names owl"):
        named_clips("beeper", [table], [OWL])


def test_a_long_table_gives_as_many_clips_as_may_be_and_says_so(tmp_path: Path) -> None:
    names = [f"{i}.wav" for i in range(MOST_CLIPS + 3)]
    for name in names:
        (tmp_path / name).touch()
    rows = [(name, 0, 1, "", "beeper", "") for name in names]
    new = named_clips("beeper", [table_of(tmp_path / "answers.csv", *rows)], [])
    assert len(new.clips) == MOST_CLIPS
    assert new.notes == ("left out: 3 clips more than 50",)


def test_what_was_corrected_to_an_unknown_species_is_marked_as_a_known_one(tmp_path: Path) -> None:
    """Answers may have been learnt with --corrections before the species is added."""
    path = tmp_path / "early.wav"
    soundfile.write(path, sung(1300.0, 1), RATE_HZ)
    early = Recording(path=path, role="unknown", label="beeper", sha256="5" * 64, split="dev")
    marks = Marks({key_of(early): ((1.5, 3.5),), ("6" * 64, "unknown", "owl"): ((0.0, 1.0),)})
    new = NewSpecies(label="beeper", clips=tuple(clips_of(tmp_path / "more", 1300.0, each=1)))
    clips, _ = usable_clips(new, empty_study(tmp_path), workers=1)
    study, _ = with_clips(empty_study(tmp_path, early, marks=marks), new, clips)
    known = dataclasses.replace(early, role="known")
    assert known in study.corpus.recordings
    assert study.marks.stretches == {
        key_of(known): ((1.5, 3.5),),
        ("6" * 64, "unknown", "owl"): ((0.0, 1.0),),
    }
