"""What a head is made of: exact times, several collections, and what cannot be used."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from edge.bundle import Bundle, load_bundle
from edge.cli import main as edge
from edge.errors import UserError
from tests.support.bundles import choir_bundle, tone
from tests.train.adapting.studies import RATE_HZ, SUNG, clips_of, folder_of, on_trunk, sung
from train.adapting.gathering import gather
from train.adapting.marks import Marks, key_of
from train.corpus.corpus import Recording
from train.corpus.further import split_all
from train.corpus.selections import is_selection_table, read_selections
from train.corpus.splits import SplitPlan

RAVEN = ("Selection", "View", "Begin Time (s)", "End Time (s)", "Begin File", "Species")


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("trunk") / "choir")


def raven(path: Path, rows: list[tuple[object, ...]]) -> Path:
    path.write_text("\n".join("\t".join(map(str, row)) for row in (RAVEN, *rows)) + "\n")
    return path


def recording(label: str, person: str, **changes: object) -> Recording:
    values = {
        "path": Path(f"/{label}/{person}.wav"),
        "role": "known",
        "label": label,
        "recordist": person,
        "sha256": f"{label} {person}",
    }
    return Recording(**{**values, **changes})  # type: ignore[arg-type]


def test_a_table_beside_a_recording_says_when_it_has_what(tmp_path: Path) -> None:
    path = tmp_path / "dawn.wav"
    soundfile.write(path, np.concatenate([sung(300.0, 0), sung(650.0, 1)]), RATE_HZ)
    raven(
        tmp_path / "dawn.Table.1.selections.txt",
        [
            (1, "Waveform 1", 1.5, 3.5, "dawn.wav", "Hummer"),
            (1, "Spectrogram 1", 1.5, 3.5, "dawn.wav", "Hummer"),
            (2, "Spectrogram 1", 6.5, 8.5, "dawn.wav", "moaner"),
            (3, "Spectrogram 1", 4.0, 5.0, "dawn.wav", "noise"),
            (4, "Spectrogram 1", 9.0, 9.5, "dawn.wav", "Unknown"),
        ],
    )
    clips_of(tmp_path / "whiner", 2000.0, each=1)
    found = gather(tmp_path, workers=1)
    by_label = {r.label: r for r in found.recordings}
    assert {label: r.role for label, r in by_label.items()} == {
        "hummer": "known",
        "moaner": "known",
        "noise": "noise",
        "whiner": "known",
    }
    assert by_label["hummer"].common_name == "Hummer"
    assert found.marks.stretches[key_of(by_label["hummer"])] == ((1.5, 3.5),)
    assert found.marks.stretches[key_of(by_label["moaner"])] == ((6.5, 8.5),)
    assert key_of(by_label["whiner"]) not in found.marks.stretches


def test_a_table_in_a_species_folder_needs_no_labels(tmp_path: Path) -> None:
    (path,) = clips_of(tmp_path / "hummer", 300.0, each=1)
    raven(path.with_suffix(".selections.txt"), [(1, "Spectrogram 1", 1.5, 3.5, "", "")])
    (found,) = gather(tmp_path, workers=1).recordings
    assert (found.label, found.role) == ("hummer", "known")


@pytest.mark.parametrize("kind", ["raven", "csv"])
def test_what_replay_writes_is_learnt_from(trunk: Bundle, tmp_path: Path, kind: str) -> None:
    data = tmp_path / "heard"
    for name, hz in {"low": 300.0, "high": 3000.0}.items():
        clips_of(data / name, hz, each=6)
    files = sorted(map(str, data.rglob("*.wav")))
    table = tmp_path / ("table.csv" if kind == "csv" else "table.txt")
    args = ["replay", "--bundle", str(trunk.path), "--format", kind, "--out", str(table)]
    replayed = CliRunner().invoke(edge, [*args, *files])
    assert replayed.exit_code == 0, replayed.stderr
    assert is_selection_table(table)
    assert all(0.5 < s.start_s < 2.5 for s in read_selections(table))
    result = on_trunk(table, trunk, tmp_path / "study")
    assert result.exit_code == 0, result.output
    labels = [label.label for label in load_bundle(trunk.path.with_name("choir")).labels]
    with (tmp_path / "study.work" / "stretches.csv").open() as file:
        marked = list(csv.DictReader(file))
    assert {row["label"] for row in marked} == {"low_hummer", "high_peeper"} <= set(labels)


def test_windows_are_of_a_stretch_that_they_share_most_of() -> None:
    one = recording("hummer", "ada")
    marks = Marks({key_of(one): ((2.0, 4.0), (9.1, 9.3))})
    corpus_like = type("C", (), {"recordings": (one,)})()
    start = np.array([0.0, 1.0, 2.0, 3.0, 6.0, 8.5])
    found = marks.inside(corpus_like, np.zeros(6, np.int64), start, 2.0)
    assert found.tolist() == [False, True, True, True, False, True]


def test_a_table_that_cannot_be_read_names_the_line(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(300.0, 3), RATE_HZ)
    table = tmp_path / "a.selections.txt"
    for row, reason in (
        ((1, "S", "x", 2, "a.wav", "hummer"), "line 2: column Begin Time (s): 'x' is no number"),
        ((1, "S", 2, 1, "a.wav", "hummer"), "line 2: 2 to 1 s is no stretch of a recording"),
        ((1, "S", 1, 2, "a.wav", ""), "a.wav, marked at 1 s: the label '' has 0 characters"),
    ):
        raven(table, [row])
        with pytest.raises(UserError) as told:
            gather(tmp_path, workers=1)
        assert reason in str(told.value)
    lost = raven(tmp_path / "table.txt", [(1, "S", 1, 2, "C:\\b.wav", "hummer")])
    with pytest.raises(UserError, match=r"line 2: there is no recording"):
        gather(lost, workers=1)


def test_a_later_collection_leaves_the_split_and_the_test_alone() -> None:
    people = [f"Person{i} Name{i}" for i in range(12)]
    first = [recording(name, who) for name in ("a", "b") for who in people]
    first += [recording(f"u{i}", f"Un{i} Known{i}", role="unknown") for i in range(9)]
    alone, _ = split_all(first, [], plan=SplitPlan())
    tested = next(r for r in alone if r.split == "test" and r.role == "known")
    strange = next(r for r in alone if r.split == "test" and r.role == "unknown")
    trained = next(r for r in alone if r.fold == 3)
    more = [
        recording("a", tested.recordist, sha256="1"),
        recording(strange.label, "Some One", role="unknown", sha256="2"),
        recording("a", trained.recordist, sha256="3"),
        *(recording("b", f"New{i} One{i}", sha256=f"new{i}") for i in range(10)),
        dataclass_copy(trained),
    ]
    both, notes = split_all(first, [(Path("more"), more)], plan=SplitPlan())
    assert both[: len(alone)] == alone
    added = both[len(alone) :]
    assert {r.sha256 for r in added} == {"3", *(f"new{i}" for i in range(10))}
    assert {r.split for r in added} == {"dev"}
    assert next(r for r in added if r.sha256 == "3").fold == 3
    assert len({r.fold for r in added if r.label == "b"}) == 5
    assert len(notes) == 3
    assert "left out: 1 of the recordings of more (by people of the test split" in notes[0]


def dataclass_copy(one: Recording) -> Recording:
    return recording(one.label, "Whoever Else", sha256=one.sha256)


def test_known_in_one_and_unknown_in_another_is_refused() -> None:
    first = [recording(name, f"P{i} Q{i}") for name in ("a", "b") for i in range(6)]
    again = [recording("a", "New One", role="unknown", sha256="n")]
    with pytest.raises(UserError, match="'a' is given both as a known and as an unknown species"):
        split_all(first, [(Path("x"), again)], plan=SplitPlan())


def test_people_of_the_test_split_in_a_second_collection_are_said(
    trunk: Bundle, tmp_path: Path
) -> None:
    def manifest(folder: Path, people: dict[str, str]) -> Path:
        rows = [("path", "role", "label", "recordist")]
        for name, hz in SUNG.items():
            for i, path in enumerate(clips_of(folder / name, hz, each=6, first=len(people) * 10)):
                rows.append((str(path), "known", name, people.get(str(i), f"Person{i} Of{name}")))
        for path in clips_of(folder / "hum", 60.0, each=5):
            rows.append((str(path), "noise", "hum", ""))
        table = folder / "manifest.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        return table

    one = manifest(tmp_path / "one", {})
    first = on_trunk(one, trunk, tmp_path / "study")
    assert first.exit_code == 0, first.output
    with (tmp_path / "study.work" / "recordings.csv").open() as file:
        tested = [r for r in csv.DictReader(file) if r["split"] == "test" and r["role"] == "known"]
    more = manifest(tmp_path / "two", {"0": tested[0]["recordist"]})
    both = on_trunk(one, trunk, tmp_path / "study", "--data", more)
    assert both.exit_code == 0, both.output
    assert "(by people of the test split; the first is" in both.stderr
    with (tmp_path / "study.work" / "recordings.csv").open() as file:
        again = [r for r in csv.DictReader(file) if r["split"] == "test" and r["role"] == "known"]
    assert [r["sha256"] for r in again] == [r["sha256"] for r in tested]


def test_a_species_of_two_clips_of_a_third_of_a_second_is_one_line(
    trunk: Bundle, tmp_path: Path
) -> None:
    data = folder_of(tmp_path / "data", each=4)
    (data / "beeper").mkdir()
    for i in range(2):
        soundfile.write(data / "beeper" / f"{i}.wav", tone(1300.0 + i, 0.3), RATE_HZ)
    result = on_trunk(data, trunk, tmp_path / "study")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "beeper has no recording of 0.5 s or more" in line
    assert not (tmp_path / "study").exists()
    assert not (tmp_path / "study.work").exists()
