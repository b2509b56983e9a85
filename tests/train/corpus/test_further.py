"""Further collections train and validate; nobody whom the first tests is heard in training."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import soundfile

from tests.train.command_line import assert_done, edge_train
from tests.train.tones import RATE_HZ, song, write_collection
from train.corpus.corpus import Recording, read_corpus
from train.corpus.further import split_all
from train.corpus.splits import SplitPlan, split_recordings

PLAN = SplitPlan(test_share=0.25, folds=3)


def recording(label: str, number: int, who: str, role: str = "known") -> Recording:
    name = f"{label}_{number}_{who}"
    return Recording(
        path=Path(f"{name}.wav"),
        role=role,  # type: ignore[arg-type]
        label=label,
        recordist=who,
        sha256=name,
    )


def test_the_split_of_the_first_stays_and_its_test_stays_unheard() -> None:
    first = [recording("ant", i, f"Person {i}") for i in range(9)]
    first += [recording("cat", i, f"Catcher {i}", "unknown") for i in range(6)]
    alone = split_recordings(first, PLAN)
    tested = {r.recordist for r in alone if r.split == "test"}
    more = [recording("ant", 50 + i, f"Person {i}") for i in range(9)]
    more += [recording("ant", 70 + i, f"Newcomer {i}") for i in range(6)]
    together, notes = split_all(first, [(Path("more"), more)], plan=PLAN)
    assert together[: len(first)] == alone
    added = together[len(first) :]
    assert {r.split for r in added} == {"dev"}
    assert not {r.recordist for r in added} & tested
    folds = {r.recordist: r.fold for r in alone}
    assert all(folds.get(r.recordist, r.fold) == r.fold for r in added)
    assert len({r.fold for r in added if r.recordist.startswith("Newcomer")}) == PLAN.folds
    left_out = sum(r.recordist in tested for r in more)
    said = f"left out: {left_out} of the recordings of more (by people of the test split"
    assert any(note.startswith(said) for note in notes)


def test_a_corpus_of_two_collections_says_what_was_left_out(tmp_path: Path) -> None:
    first = write_collection(tmp_path / "first")
    more = tmp_path / "more"
    (more / "hummer").mkdir(parents=True)
    shutil.copy(first.parent / "known/hummer_0.flac", more / "hummer/again.flac")
    samples = song("hummer", 4, seed=99)
    soundfile.write(more / "hummer/new.flac", samples.astype(np.float32), RATE_HZ)
    from train.corpus.prepare import prepare

    prepared = prepare([first, more], tmp_path / "prepared", plan=PLAN)
    names = {r.path.name for r in prepared.corpus.recordings}
    assert "new.flac" in names
    assert "again.flac" not in names
    assert [q.recording.path.name for q in prepared.quarantine] == ["again.flac"]
    again = read_corpus(tmp_path / "prepared")
    assert {r.path for r in again.recordings} == {r.path for r in prepared.corpus.recordings}
    # As `build --data first --data more` asks for it, a second time.
    help_text = edge_train("build", "--help")
    assert_done(help_text)
    assert "beside the split of the" in " ".join(help_text.output.split())
