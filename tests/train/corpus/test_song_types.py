"""A type of song is kept for the test, and the report says where the embedding puts it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.train.command_line import edge_train
from tests.train.tones import write_collection
from train.commands.plan import CorpusPlan
from train.corpus.corpus import Corpus, Recording, read_corpus
from train.corpus.song_types import keep_unseen, unseen_types
from train.judging.song_types import judge_song_types, song_types_section
from train.windows.outputs import WindowOutputs


def recording(number: int, label: str, song_type: str, person: str, split: str) -> Recording:
    return Recording(
        path=Path(f"{number}.wav"),
        role="known",
        label=label,
        song_type=song_type,
        recording=str(number),
        recordist=person,
        split=split,
        fold=0 if split == "dev" else -1,
    )


RECORDINGS = (
    recording(0, "robin", "song", "Ada", "dev"),
    recording(1, "robin", "song", "Ben", "test"),
    recording(2, "robin", "alarm", "Ada", "dev"),
    recording(3, "robin", "alarm", "Cleo", "dev"),
    recording(4, "robin", "song", "Dora", "dev"),
    recording(5, "wren", "song", "Emil", "dev"),
    recording(6, "wren", "", "Fay", "dev"),
)


def test_the_rarest_type_of_a_species_that_has_several_is_kept() -> None:
    assert unseen_types(RECORDINGS) == {"robin": "alarm"}
    assert unseen_types(RECORDINGS[5:]) == {}


@pytest.mark.parametrize(("by", "of_ada"), [("recordist", "unused"), ("recording", "test")])
def test_nobody_who_is_heard_in_training_is_in_the_test(by: str, of_ada: str) -> None:
    kept = keep_unseen(RECORDINGS, by="recording" if by == "recording" else "recordist")
    assert [r.split for r in kept] == ["dev", "test", of_ada, "test", "dev", "dev", "dev"]
    assert [r.fold for r in kept if r.song_type == "alarm"] == [-1, -1]
    dev = {(r.label, r.song_type) for r in kept if r.split == "dev"}
    assert ("robin", "alarm") not in dev


def outputs(of: list[int], points: Sequence[tuple[float, float]]) -> WindowOutputs:
    count = len(of)
    return WindowOutputs(
        recording=np.array(of, np.int64),
        start_s=np.zeros(count),
        active=np.ones(count, bool),
        embedding=np.array(points, np.float32),
        logits=np.zeros((count, 2), np.float32),
        labels=("robin", "wren"),
    )


@pytest.mark.parametrize(("alarm", "right"), [((0.0, 0.3), 1.0), ((5.0, 0.3), 0.0)])
def test_an_unseen_type_is_right_where_it_lies_with_its_species(
    tmp_path: Path, alarm: tuple[float, float], right: float
) -> None:
    corpus = Corpus(root=Path(), recordings=keep_unseen(RECORDINGS, by="recordist"))
    learnt = outputs(
        [0] * 5 + [5] * 5, [(0, i / 9) for i in range(5)] + [(5, i / 9) for i in range(5)]
    )
    test = outputs([1, 3], [(0.1, 0.2), alarm])
    report = judge_song_types(corpus, learnt, test, tmp_path)
    rows = {(row["label"], row["type"]): row for row in report["song_types"]}
    assert rows["all", "unseen types"]["right"] == rows["robin", "alarm"]["right"] == right
    assert rows["all", "types in training"]["right"] == 1
    assert not rows["robin", "alarm"]["seen"]
    assert (tmp_path / "song_types.png").read_bytes().startswith(b"\x89PNG")
    assert any("| robin | alarm | no | 1 | 1 |" in part for part in song_types_section(report))


def test_without_an_unseen_type_the_report_says_nothing(tmp_path: Path) -> None:
    plain = tuple(dataclasses.replace(r, song_type="") for r in RECORDINGS)
    corpus = Corpus(root=Path(), recordings=plain)
    both = outputs([0, 1], [(0, 0), (1, 1)])
    assert judge_song_types(corpus, both, both, tmp_path) == {}
    assert not list(tmp_path.iterdir())


def test_a_manifest_s_types_are_prepared(tmp_path: Path) -> None:
    manifest = write_collection(tmp_path / "collection")
    lines = manifest.read_text(encoding="utf-8").splitlines()
    typed = [f"{lines[0]},type"] + [
        f"{line},{'trill' if 'hummer_7' in line else 'song' * ('known' in line[:5])}"
        for line in lines[1:]
    ]
    manifest.write_text("\n".join(typed) + "\n", encoding="utf-8")
    done = edge_train("prepare", manifest, "--out", tmp_path / "corpus", "--keep-types")
    assert done.exit_code == 0, done.output
    trills = [r for r in read_corpus(tmp_path / "corpus").recordings if r.song_type == "trill"]
    assert [r.split for r in trills] in (["test"], ["unused"])


def test_a_plan_without_types_is_the_part_that_it_was() -> None:
    assert "keep_types" not in CorpusPlan().as_mapping()
    assert CorpusPlan(keep_types=True).as_mapping()["keep_types"] is True
