"""Any bundle judged on anybody's recordings, by the command a person gives."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from edge.bundle import Bundle, Label, ListMargin
from edge.bundle.animal import AnimalRule
from edge.detect.species_list import read_species
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.replay.spool import read_spool
from tests.support.audio import noise
from tests.support.bundles import LABELS, SPEC, choir_bundle, tiny_bundle, tone
from train.commands.cli import main
from train.corpus.corpus import Recording
from train.corpus.species_match import Names
from train.judging.bundle_rules import answers_of, as_it_decides
from train.judging.collection import collect
from train.judging.hearing import Heard, Question, hear_all
from train.learning.infer import cut_windows
from train.windows.listening import Listened, Listener

HOP_S = 0.512  # 32 frames
Row = tuple[str, str, str, str, str]


def sung(*parts: NDArray[np.float32]) -> NDArray[np.float32]:
    """The parts one after another, each after a breath of almost nothing."""
    breath = noise(1, level=1e-4)
    return np.concatenate([piece for part in parts for piece in (breath, part)])


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Species by all their names, one that nobody knows, one that the bundle lacks, and noise."""
    folder = tmp_path_factory.mktemp("collection")
    rows: list[Row] = []

    def add(name: str, samples: NDArray[np.float32], *said: str) -> None:
        soundfile.write(folder / f"{name}.wav", samples, SPEC.sample_rate_hz)
        rows.append((f"{name}.wav", *said))  # type: ignore[arg-type]

    for i in range(3):
        level = 0.3 + 0.01 * i
        add(f"hum{i}", sung(tone(300, 2, level=level)), "known", "bumble", "", "bombus gravis")
        add(f"whistle{i}", sung(tone(1000, 2, level=level)), "known", "w", "Mid-Whistler", "")
        add(f"peep{i}", sung(tone(3000, 2, level=level)), "known", "high_peeper", "", "")
        add(f"hiss{i}", noise(3, seed=i), "noise", "hiss", "", "")
    add("odd0", sung(tone(1900, 2)), "known", "oddball", "Oddball", "Nemo ignotus")
    add("stranger0", sung(tone(2100, 2)), "unknown", "stranger", "", "")
    (folder / "broken.wav").write_bytes(b"RIFF and no more")
    rows.append(("broken.wav", "known", "high_peeper", "", ""))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "role", "label", "common_name", "scientific_name"))
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "choir")


def evaluated(bundle: Bundle, collection: Path, *args: str, out: Path) -> dict[str, Any]:
    places = ("--bundle", str(bundle.path), "--data", str(collection), "--out", str(out))
    small = ("--hop-s", str(HOP_S), "--resamples", "10", "--workers", "1")
    result = evaluate(*places, *small, *args)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    assert (out / "report.md").read_text() in result.stdout
    return report


def evaluate(*args: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *args])


def test_a_bundle_is_judged_by_the_names_that_people_give(
    choir: Bundle, collection: Path, tmp_path: Path
) -> None:
    report = evaluated(choir, collection, "--species", "data", out=tmp_path)
    assert report["species"] == 3
    assert report["missing"] == ["Oddball"]
    assert [name for name, _ in report["left_out"]] == ["broken.wav"]
    counts = {kind: n["recordings"] for kind, n in report["counted"].items()}
    assert counts == {
        "known species": 9,
        "unknown species": 1,
        "noise: hiss": 3,
        "species left out": 1,
        "quiet windows": 0,
    }
    assert report["counted"]["quiet windows"]["windows"] > 0
    for level in ("windows", "recordings"):
        assert report[level]["closed"]["macro_f1"]["value"] > 0.8
        assert report[level]["accepted"]["known species"]["value"] > 0.5
        assert report[level]["accepted"]["noise: hiss"]["value"] == 0
        assert report[level]["accepted"]["unknown species"]["value"] == 0
    assert report["recordings"]["closed"]["macro_f1"]["value"] == 1
    text = (tmp_path / "report.md").read_text()
    assert "Species that it does not have: Oddball." in text
    assert "Left out: broken.wav (" in text


def test_what_a_stricter_score_costs_falls_with_it(
    choir: Bundle, collection: Path, tmp_path: Path
) -> None:
    rows = evaluated(choir, collection, out=tmp_path)["costs"]
    for key in ("known", "unknown", "noise"):
        shares = [row[key] for row in rows]
        assert shares == sorted(shares, reverse=True)
    assert rows[0]["known"] > 0.7  # of windows that begin or end in a breath
    assert rows[0]["right"] == 1


def test_what_the_list_lacks_is_unknown_whatever_the_collection_calls_it(
    choir: Bundle, collection: Path, tmp_path: Path
) -> None:
    names = tmp_path / "site.yaml"
    names.write_text(yaml.safe_dump({"Bombus gravis": [5, 6], "mid whistler": None}))
    report = evaluated(choir, collection, "--species", str(names), out=tmp_path)
    assert report["species"] == report["listed"] == 2
    assert report["counted"]["unknown species"]["recordings"] == 4  # three peepers are off the list
    assert report["list_margin"]["threshold"] == 0  # no rightly named tone is outdone
    assert [rule["rule"] for rule in report["rules"]] == [
        "as it decides",
        "best score on the list",
        "margin over the list",
    ]
    margin = report["rules"][2]["open"]["unknown species"]["auroc"]["value"]
    assert margin > 0.95


@pytest.mark.parametrize(
    "kind", ["one", "several", "several with a margin", "several with thresholds"]
)
def test_it_decides_as_the_recorder_does(tmp_path: Path, kind: str) -> None:
    """Window by window, with a list that lacks what is sometimes loudest."""
    margin = ListMargin(threshold=0.0, scale=2.0) if "margin" in kind else None
    own = {"high_peeper": 1.0, "low_hummer": 0.2} if "thresholds" in kind else {}
    several = partial(choir_bundle, list_margin=margin, label_thresholds=own)
    bundle = (tiny_bundle if kind == "one" else several)(tmp_path / "bundle")
    both = tone(300, 2, level=0.1) + tone(1000, 2)
    # With thresholds the louder of these two is not given, but the other is.
    pair = [tone(300, 2, level=0.1) + tone(3000, 2)] if own else []
    calls = sung(tone(300, 2), both, *pair, tone(1000, 2), noise(2))
    soundfile.write(tmp_path / "a.wav", calls, 8000)
    (tmp_path / "manifest.csv").write_text("path,label\na.wav,low_hummer\n")
    names = tmp_path / "site.yaml"
    names.write_text("[low_hummer, high_peeper]\n")
    collection = collect(bundle, tmp_path, str(names), hop_s=HOP_S, workers=1)
    (heard,) = hear_all(collection.question, [tmp_path / "a.wav"], workers=1)
    assert isinstance(heard, Heard)
    answers = answers_of(collection.corpus, collection.labels, {0: heard})
    decided = as_it_decides(bundle, answers)
    told = list(windows_of(bundle, tmp_path / "a.wav", names, spool=tmp_path / "spool"))
    count = min(len(told), len(decided.opened))
    expected = [0 if label == "low_hummer" else -1 for label in told[:count]]
    # The high peeper is on the list too, but in no recording: the last position.
    assert decided.opened[:count].tolist() == expected
    assert {0, -1} == set(expected)


def windows_of(bundle: Bundle, file: Path, names: Path, *, spool: Path) -> Iterator[str | None]:
    """The labels that a replay gives the windows of a file, at a site with a list."""
    species = read_species(names, key="--species")
    replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=HOP_S, species=species))
    replayer.replay(str(file), spool=spool)
    return (p.label for p in read_spool(spool))


def test_windows_are_those_of_training(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    soundfile.write(tmp_path / "a.wav", sung(tone(300, 2), noise(2), tone(1000, 3)), 8000)
    cut = cut_windows(tmp_path / "a.wav", spec=bundle.frontend, hop_s=0.3)
    question = Question(
        bundle=bundle.path, hop_s=0.3, species=(0,), listed=(True,) * 3, animals=(True,) * 3
    )
    alone, *others = (
        list(hear_all(question, [tmp_path / "a.wav"] * 3, workers=workers)) for workers in (1, 2)
    )
    assert isinstance(alone[0], Heard)
    np.testing.assert_array_equal(alone[0].start_s, cut.start_s)
    np.testing.assert_array_equal(alone[0].active, cut.active)
    for same in (*alone[1:], *others[0]):
        assert isinstance(same, Heard)
        np.testing.assert_array_equal(same.scores, alone[0].scores)


@pytest.mark.parametrize("seconds", [10.0, 9.3, 0.4])
def test_a_recording_is_heard_to_its_end_in_parts(tmp_path: Path, seconds: float) -> None:
    bundle = choir_bundle(tmp_path / "bundle")
    soundfile.write(tmp_path / "a.wav", noise(seconds) + tone(300, seconds, level=0.01), 8000)
    whole, parts = (
        Listener(bundle.path, HOP_S, part_s=part_s).listen(tmp_path / "a.wav")
        for part_s in (3600.0, 3.0)
    )
    assert isinstance(whole, Listened)
    assert isinstance(parts, Listened)
    np.testing.assert_allclose(parts.start_s, whole.start_s, atol=1e-9)
    np.testing.assert_allclose(parts.logits, whole.logits, atol=1e-5)
    assert whole.start_s[-1] + HOP_S + SPEC.window_s > seconds


def test_a_name_that_two_species_have_finds_neither() -> None:
    labels = [
        Label(label="a", common_name="Robin", scientific_name="Erithacus rubecula"),
        Label(label="b", common_name="robin", scientific_name="Turdus migratorius"),
        Label(label="c", common_name="Wren", names={"de": "Zaunk\u00f6nig"}),
    ]
    names = Names(labels)

    def found(label: str = "x", common_name: str = "", scientific_name: str = "") -> int:
        return names.position(
            Recording(
                path=Path("a"),
                role="known",
                label=label,
                common_name=common_name,
                scientific_name=scientific_name,
            )
        )

    assert found(common_name="Robin") == -1
    assert found(common_name="Robin", scientific_name="Turdus Migratorius") == 1
    assert found(label="a", common_name="Robin") == 0
    assert found(common_name="zaunk\u00f6nig") == 2
    assert found(label="", scientific_name="Nemo") == -1


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--bundle", "BUNDLE"), "needs --run with --corpus, or --bundle with --data"),
        (("--data", "DATA", "--run", "r"), "needs --run with --corpus, or --bundle with --data"),
        ((), "needs --run with --corpus, or --bundle with --data"),
        (("--bundle", "nobody", "--data", "DATA"), "nobody: there is no such folder"),
        (("--bundle", "BUNDLE", "--data", "nowhere"), "nowhere: no such file or folder"),
        (("--bundle", "BUNDLE", "--data", "DATA", "--species", "LIST"), "'wren' is no species"),
        (("--bundle", "BUNDLE", "--data", "DATA", "--species", "nolist"), "nolist"),
        (("--bundle", "BUNDLE", "--data", "STRANGE"), "no recording of a species"),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    choir: Bundle, collection: Path, tmp_path: Path, args: tuple[str, ...], reason: str
) -> None:
    names = tmp_path / "list.yaml"
    names.write_text("[low_hummer, wren]\n")
    strange = tmp_path / "strange" / "wren"
    strange.mkdir(parents=True)
    soundfile.write(strange / "a.wav", tone(300, 1), 8000)
    places = {
        "BUNDLE": str(choir.path),
        "DATA": str(collection),
        "LIST": str(names),
        "STRANGE": str(strange.parent),
    }
    result = evaluate(*(places.get(arg, arg) for arg in args))
    assert result.exit_code == 1
    assert reason in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2  # the second says what to do


def test_it_says_what_windows_become_where_the_bundle_can_tell(
    collection: Path, choir: Bundle, tmp_path: Path
) -> None:
    rule = AnimalRule(weights={"best_animal": 1.0}, bias=1.0, threshold=0.5)
    labels = (replace(LABELS[0], kind="machine"), *LABELS[1:])
    bundle = choir_bundle(tmp_path / "asked", labels=labels, animal=rule)
    report = evaluated(bundle, collection, out=tmp_path / "out")
    kinds = report["animal"]["kinds"]
    assert kinds["noise: hiss"]["nothing"] == 1.0
    assert kinds["known species"]["right"] > 0.5
    assert all(
        sum(shares[key] for key in ("right", "wrong", "other", "unknown", "nothing"))
        == pytest.approx(1, abs=1e-3)
        for shares in kinds.values()
    )
    assert "## An unknown is an animal" in (tmp_path / "out" / "report.md").read_text()
    listed = evaluated(bundle, collection, "--species", "data", out=tmp_path / "listed")
    assert listed["animal"]["threshold"] == 0.5
    plain = evaluated(choir, collection, out=tmp_path / "plain")
    assert plain["animal"] is None
