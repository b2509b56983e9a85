"""A bundle judged on soundscapes in which it is known what calls when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner

import edge.cli
from edge.bundle import Bundle, Label
from tests.support.audio import noise
from tests.support.bundles import SPEC, choir_bundle, tone
from tests.support.heads import tiny_head
from tests.train.command_line import assert_done, edge_train
from tests.train.soundscapes import Call, rows_of, write_raven, write_rows, write_soundscape
from train.corpus.soundscapes import read_soundscapes
from train.judging.row_hearing import RowQuestion, hear_rows

HUM, PEEP, ODD = "low_hummer", "high_peeper", "oddball"
# Two of the six rows have two species, two are nocall. Of one species 3 s and more apart: nearer
# calls are one event of a recorder.
DAWN: tuple[Call, ...] = (
    (HUM, 1, 3),
    (HUM, 7.5, 9),
    (PEEP, 7.5, 9),
    (PEEP, 16, 19),
    (HUM, 16, 18),
    (PEEP, 26, 29),
)
NIGHT: tuple[Call, ...] = ((PEEP, 11, 14),)


@pytest.fixture(scope="module")
def choir(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "choir")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of 30 and 20 s, by the names that BirdCLEF 2021 has."""
    folder = tmp_path_factory.mktemp("soundscapes")
    write_soundscape(folder / "audio" / "7_COR_20190904.wav", 30, DAWN)
    write_soundscape(folder / "audio" / "8_SSW_20170429.wav", 20, NIGHT)
    rows = {"7_COR": rows_of(30, DAWN), "8_SSW": rows_of(20, NIGHT)}
    write_rows(folder / "rows.csv", rows)
    return folder


def judged(bundle: Bundle, truth: Path, *more: object, out: Path) -> dict[str, Any]:
    command = ["evaluate", "--bundle", bundle.path, "--soundscapes", truth, "--out", out]
    result = edge_train(*command, "--workers", 1, "--resamples", 10, *more)
    assert_done(result)
    assert (out / "report.md").read_text() in result.stdout
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    return report


def values(report: dict[str, Any]) -> dict[str, float]:
    return {name: e["value"] for name, e in report["lists"][-1].items() if name != "list"}


def test_what_is_all_right_has_the_best_of_every_number(
    choir: Bundle, place: Path, tmp_path: Path
) -> None:
    report = judged(choir, place / "rows.csv", out=tmp_path)
    assert (report["rows"], report["nocall"], report["species"]) == (10, 5, 2)
    assert report["recordings"] == 2
    assert values(report) == dict.fromkeys(values(report), 1.0)
    assert report["events"] == [], "rows say nothing of when events begin"
    assert [(s["site"], s["rows"], s["nocall"]) for s in report["sites"]] == [
        ("COR", 6, 0.3333),
        ("SSW", 4, 0.75),
    ]


def test_every_number_is_that_counted_by_hand(choir: Bundle, place: Path, tmp_path: Path) -> None:
    """The tables lie: the first row of a recording is said to be nocall, a nocall to have a bird.

    And one has a species that the bundle does not have.
    """
    rows = {"7_COR": rows_of(30, DAWN), "8_SSW": rows_of(20, NIGHT)}
    rows["7_COR"][0] = "nocall"  # a hummer is heard
    rows["7_COR"][2] = PEEP  # nothing is heard
    rows["8_SSW"][0] = "wren"  # nothing is heard
    table = write_rows(place / "lies.csv", rows)
    try:
        report = judged(choir, table, out=tmp_path)
    finally:
        table.unlink()
    found = values(report)
    # 6 labels are right, and 3 times nocall; 7 labels are said and 5 times nocall, and 12 wanted.
    assert found["micro_f1"] == pytest.approx(2 * 9 / (12 + 12), abs=1e-4)
    # Rows with species: 4 are right. Where nothing is heard, peeper stands among three labels in
    # the list by score; the wren stands nowhere.
    assert found["map_time_coded"] == found["r_map"]
    at = found["r_map"] * 6 - 4
    assert min(abs(at - 1 / rank) for rank in (1, 2, 3)) < 1e-3
    # Nothing comes before it there, and one label before nothing in the row of the hummer.
    assert found["r_map_with_nocall"] * 10 == pytest.approx(
        4 + 3 + 1 / 2 + 1 / round(1 / at + 1), abs=1e-2
    )
    assert report["with_missing"] == 1
    assert report["missing"] == {"wren": "lies.csv, line 8"}
    # By c-mAP the hummer has one false row of three, which may stand anywhere; the wren has 0.
    assert found["c_map"] < 2 / 3
    by_species = {row["species"]: row for row in report["by_species"]}
    assert by_species[HUM]["precision"] == pytest.approx(2 / 3, abs=1e-4)
    assert by_species[HUM]["recall"] == 1
    assert by_species[PEEP]["recall"] == pytest.approx(4 / 5)


def test_nocall_is_no_species_however_it_is_written(place: Path, tmp_path: Path) -> None:
    table = write_rows(tmp_path / "rows.csv", {"7_COR": ["NoCall", "NOCALL", "nocall", "Wren"]})
    (soundscape,) = read_soundscapes(table, place / "audio")
    assert [mark.name for mark in soundscape.marks] == ["Wren"]


def test_an_unknown_animal_is_missed_and_no_species(
    choir: Bundle, place: Path, tmp_path: Path
) -> None:
    rows = {"7_COR": rows_of(30, DAWN)}
    rows["7_COR"][4] = "unknown"  # nothing is heard
    table = write_rows(tmp_path / "rows.csv", rows)
    report = judged(choir, table, "--data", place / "audio", out=tmp_path / "out")
    found = values(report)
    assert (report["nocall"], report["with_missing"], report["missing"]) == (1, 1, {})
    assert found["c_map"] == 1, "of unknown there is no list"
    assert found["map_time_coded"] == pytest.approx(4 / 5)
    assert found["micro_f1"] == pytest.approx(2 * 7 / (8 + 8), abs=1e-4)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "In 1 rows are animals that it cannot answer" in text


@pytest.mark.parametrize("form", ["rows", "raven"])
def test_where_nothing_calls_only_saying_so_is_right(
    choir: Bundle, tmp_path: Path, form: str
) -> None:
    write_soundscape(tmp_path / "still.wav", 20, ())
    write_soundscape(tmp_path / "loud.wav", 20, ((HUM, 1, 4),))
    if form == "rows":
        write_rows(tmp_path / "rows.csv", {"still": ["nocall"] * 4, "loud": ["nocall"] * 4})
    else:
        write_raven(tmp_path / "still.selections.txt", (("nocall", 0, 20),))
        write_raven(tmp_path / "loud.selections.txt", (("nocall", 0, 20),))
    report = judged(choir, tmp_path, out=tmp_path / "out")
    found = values(report)
    assert (report["rows"], report["nocall"], report["species"]) == (8, 8, 0)
    assert found["micro_f1"] == pytest.approx(7 / 8)
    assert found["r_map_with_nocall"] == pytest.approx((7 + 1 / 2) / 8, abs=1e-4)
    assert found["c_map"] is found["map_time_coded"] is None


def test_a_head_is_judged_with_its_trunk(choir: Bundle, place: Path, tmp_path: Path) -> None:
    own = Label(label="bumble", common_name="Bumble", scientific_name="Bombus gravis")
    other = Label(label=PEEP, common_name="High Peeper")
    head = tiny_head(tmp_path / "head", choir, {own: 0, other: 2})
    rows = {"7_COR": [cell.replace(HUM, "Bumble") for cell in rows_of(30, DAWN)]}
    table = write_rows(tmp_path / "rows.csv", rows)
    given = ("--bundle", f"{choir.path}+{head.path}", "--soundscapes", table)
    places = ("--data", place / "audio", "--workers", 1, "--resamples", 10)
    result = edge_train("evaluate", *given, *places, "--out", tmp_path / "out")
    assert_done(result)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["bundle"], report["species"]) == ("head", 2)
    assert values(report)["c_map"] == 1
    # Of two at once it gives one; in the other row of two one calls longer, and has windows alone.
    assert values(report)["micro_f1"] == pytest.approx(2 * 7 / (7 + 8), abs=1e-4)


def test_events_are_those_of_the_recorder_at_known_times(choir: Bundle, tmp_path: Path) -> None:
    write_soundscape(tmp_path / "dawn.wav", 30, DAWN)
    table = write_raven(tmp_path / "dawn.Table.1.selections.txt", DAWN)
    report = judged(choir, table, "--hop-s", 0.512, out=tmp_path / "out")
    events = {
        row["counted"]: {k: row[k]["value"] for k in ("precision", "recall", "f1")}
        for row in report["events"]
    }
    assert events["overlap"] == {"precision": 1, "recall": 1, "f1": 1}
    assert events["onset and offset within 1 s"]["f1"] == 1
    assert events["segments of 1 s"]["recall"] == 1
    assert values(report) == dict.fromkeys(values(report), 1.0)
    assert report["nocall"] == 2
    wrong = write_raven(tmp_path / "wrong.txt", ((HUM, 1, 3), (HUM, 11, 14)), file="dawn.wav")
    table.unlink()
    other = judged(choir, wrong, "--hop-s", 0.512, out=tmp_path / "other")
    (overlap,) = (row for row in other["events"] if row["counted"] == "overlap")
    # One of two marks is found, among three events of hummers and three of peepers.
    assert overlap["recall"]["value"] == pytest.approx(1 / 2)
    assert overlap["precision"]["value"] == pytest.approx(1 / 6, abs=1e-4)


def test_a_region_leaves_out_what_does_not_live_there(
    choir: Bundle, place: Path, tmp_path: Path
) -> None:
    regions = tmp_path / "regions.yaml"
    regions.write_text(yaml.safe_dump({"COR": [HUM, "High Peeper", "dodo"], "SSW": [HUM]}))
    report = judged(choir, place / "rows.csv", "--regions", regions, out=tmp_path / "out")
    whole, regional = report["lists"]
    assert whole["micro_f1"]["value"] == 1
    # At SSW the peeper may not be said: one of 12 hits is lost.
    assert regional["micro_f1"]["value"] == pytest.approx(2 * 11 / 24, abs=1e-4)
    assert regional["map_time_coded"]["value"] < 1
    cor, ssw = report["sites"]
    assert (cor["micro_f1"]["value"], ssw["micro_f1"]["value"]) == (1, 0.75)
    assert ssw["at_equal_share"]["value"] == ssw["micro_f1"]["value"], "it is the one with most"


def test_the_list_of_a_region_is_cut_and_nothing_else_stands_in_it(
    choir: Bundle, tmp_path: Path
) -> None:
    """By hand: at COR the peeper calls, and its list is the hummer alone."""
    write_soundscape(tmp_path / "7_COR_1.wav", 5, ((HUM, 1, 4), (PEEP, 1, 4)))
    write_soundscape(tmp_path / "8_SSW_1.wav", 5, ((ODD, 1, 4),))
    rows = {"7_COR": [f"{HUM} {PEEP}"], "8_SSW": ["mid_whistler"]}
    write_rows(tmp_path / "rows.csv", rows)
    regions = tmp_path / "regions.yaml"
    regions.write_text(yaml.safe_dump({"COR": [HUM], "SSW": ["mid_whistler", "dodo"]}))
    report = judged(choir, tmp_path, "--regions", regions, out=tmp_path / "out")
    found = values(report)
    for name in ("r_map", "map_time_coded", "map_of_recordings"):
        assert found[name] == pytest.approx((1 / 2 + 1) / 2), name
    # No whistler is heard: it stands behind nothing.
    assert found["r_map_with_nocall"] == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert found["c_map"] == found["c_map_whole_lists"] == pytest.approx(2 / 3, abs=1e-4)
    precision = {row["species"]: row["average_precision"] for row in report["by_species"]}
    assert precision == {HUM: 1, PEEP: 0, "mid_whistler": 1}


def test_a_list_makes_other_species_ones_that_cannot_be_answered(
    choir: Bundle, place: Path, tmp_path: Path
) -> None:
    names = tmp_path / "list.yaml"
    names.write_text(f"[{HUM}]\n")
    report = judged(choir, place / "rows.csv", "--species", names, out=tmp_path / "out")
    assert (report["listed"], report["species"]) == (1, 1)
    assert list(report["missing"]) == [PEEP]
    assert report["lists"][0]["c_map"]["value"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ((), "table.csv: has no rows"),
        (("9_COR_5,nocall",), "line 2: no recording is named '9_COR' in"),
        (("7_COR_5,nocall", "7_COR_7,nocall"), "line 3: the row of 7_COR_20190904.wav until 7 s"),
        (("7_COR_5,nocall", "7_COR_5,low_hummer"), "line 3: the row of 7_COR_20190904.wav until 5"),
        (("7_COR_35,nocall",), "line 2: 35 s is past the end of 7_COR_20190904.wav, which has 30"),
        (("7_COR_five,nocall",), "line 2: column row_id: 'five' is no number"),
        (("7_COR_3,nocall",), "line 2: a row of 5 s cannot end at 3 s"),
        (("7_COR_5,",), "line 2: column birds is empty; where there is none, say nocall"),
        (("7_COR_5,nocall low_hummer",), "line 2: 'nocall low_hummer' is nocall and a species"),
        (("7_COR_5,wren",), "none of the 1 species is one that the bundle may answer; the first"),
        (("_5,nocall",), "line 2: no recording is named '' in"),
    ],
)
def test_a_faulty_table_is_one_line(
    choir: Bundle, place: Path, tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("\n".join(("row_id,birds", *lines)) + "\n")
    result = edge_train(
        *("evaluate", "--bundle", choir.path, "--soundscapes", table),
        *("--data", place / "audio", "--workers", 1),
    )
    assert result.exit_code == 1
    assert said in result.output
    assert result.output.startswith("error: ")
    assert len(result.output.strip().splitlines()) <= 2  # the second says what to do


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ((), "dawn.Table.1.selections.txt: marks nothing"),
        (((HUM, 3, 2),), "line 2: 3 to 2 s is no stretch of a recording"),
        (((HUM, 28, 33),), "line 2: 33 s is past the end of dawn.wav, which has 30.000 s"),
        ((("", 1, 2),), "line 2: the selection has no label"),
        ((("wren", 1, 2),), "none of the 1 species is one that the bundle may answer"),
    ],
)
def test_a_faulty_selection_is_one_line(
    choir: Bundle, tmp_path: Path, calls: tuple[Call, ...], said: str
) -> None:
    write_soundscape(tmp_path / "dawn.wav", 30, ())
    write_raven(tmp_path / "dawn.Table.1.selections.txt", calls)
    result = edge_train("evaluate", "--bundle", choir.path, "--soundscapes", tmp_path)
    assert result.exit_code == 1
    assert said in result.output
    assert len(result.output.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[low_hummer]", "must have a list of species for each site"),
        ("{COR: [low_hummer]}", "has no list for 'SSW'; it has COR"),
        ("{COR: [dodo], SSW: [low_hummer]}", "COR: none of its species is one of the bundle"),
    ],
)
def test_faulty_regions_are_one_line(
    choir: Bundle, place: Path, tmp_path: Path, content: str, said: str
) -> None:
    regions = tmp_path / "regions.yaml"
    regions.write_text(content)
    given = ("--bundle", choir.path, "--soundscapes", place / "rows.csv", "--regions", regions)
    result = edge_train("evaluate", *given)
    assert result.exit_code == 1
    assert said in result.output


def test_a_recording_that_cannot_be_read_is_left_out_and_said(
    choir: Bundle, place: Path, tmp_path: Path
) -> None:
    write_soundscape(tmp_path / "good.wav", 10, ((HUM, 1, 4),))
    (tmp_path / "bad.wav").write_bytes(b"RIFF and no more")
    nothing = np.full(10 * SPEC.sample_rate_hz, np.nan, np.float32)
    soundfile.write(tmp_path / "odd.wav", nothing, SPEC.sample_rate_hz, subtype="FLOAT")
    rows = {"good": [HUM, "nocall"], "bad": [HUM], "odd": [HUM]}
    table = write_rows(tmp_path / "rows.csv", rows)
    report = judged(choir, table, out=tmp_path / "out")
    assert report["rows"] == 2
    assert [name for name, _ in report["left_out"]] == ["bad.wav", "odd.wav"]
    assert "Left out: bad.wav (" in (tmp_path / "out" / "report.md").read_text()


def test_rows_are_decided_as_a_recorder_decides(choir: Bundle, tmp_path: Path) -> None:
    """Windows of 1 s cover a row every half second, which a recorder hears at that hop, too."""
    rng = np.random.default_rng(3)
    rate, samples = SPEC.sample_rate_hz, noise(40, level=1e-4)
    for start in range(0, 39):  # of all loudnesses, so that some are near a threshold
        hz = rng.choice([300.0, 1000.0, 3000.0])
        piece = tone(hz, 0.7, level=10 ** rng.uniform(-3.5, -0.5))
        samples[start * rate : start * rate + len(piece)] += piece
    path = tmp_path / "many.wav"
    soundfile.write(path, samples, rate)
    table = write_rows(tmp_path / "rows.csv", {"many": ["nocall"] * 8})
    (soundscape,) = read_soundscapes(table)
    labels = tuple(label.label for label in choir.labels)
    question = RowQuestion(bundle=choir.path, species=(0, 1, 2))
    everything = [[np.ones(3, bool)]]
    (answer,) = hear_rows(question, [soundscape], everything, workers=1)
    assert not isinstance(answer, str)
    (heard,) = answer
    (in_parts,) = hear_rows(question, [soundscape], everything, workers=1, at_once=3)
    assert not isinstance(in_parts, str)
    for name, column in vars(heard).items():
        np.testing.assert_array_equal(getattr(in_parts[0], name), column)
    command = ["replay", str(path), "--bundle", str(choir.path), "--hop-s", "0.5"]
    said = CliRunner().invoke(edge.cli.main, [*command, "--format", "windows"])
    expected = np.zeros((8, 3), bool)
    for window in map(json.loads, said.stdout.splitlines()):
        row = int(window["start_s"] // 5)
        if window["end_s"] <= 5 * (row + 1):
            for given in window["labels"]:
                expected[row, labels.index(given["label"])] = True
    assert (heard.given == expected).all()
    assert 0 < expected.sum() < expected.size
