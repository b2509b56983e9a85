"""Every output is read back by the libraries with which other people read it."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import crowsetta
import pandas
import pytest
from click.testing import CliRunner

from edge.bundle import Bundle, Label
from edge.cli import main
from edge.errors import STRAY_BYTES
from edge.replay.formats import FORMATS
from edge.replay.formats.csv import COLUMNS
from edge.replay.replayer import Replayer
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import LABELS, tiny_bundle
from tests.support.results import rendered

# crowsetta uses what the newest pandas will not have.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")
NAMES = (
    "dawn.wav",
    'quote"d.wav',
    '"both".wav',
    "Tom's toad; rm -rf.wav",
    "a,b;c.wav",
    "tab\tline\nreturn\rend.wav",
    "back\\slash\\n.wav",
    "=HYPERLINK(1).wav",
    "+1.wav",
    "-1.wav",
    "@SUM(A1).wav",
    "frog 🐸 жаба.wav",
    "fr\udcf8g.wav",
    "\x1b[31mred\x85.wav",
    " blank .wav",
    "nan.wav",
)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a recording in the working directory."""
    recording: str = request.param
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "new.wav", soundscape())
    os.rename("new.wav", recording)
    return recording


def written(
    form: str, name: str, bundle: Bundle, folder: Path | None = None, more: tuple[str, ...] = ()
) -> Path:
    """Replay into a file, which is valid UTF-8."""
    out = (folder or Path()) / "out.txt"
    command = ["replay", "--bundle", str(bundle.path), "--hop-s", "0.5", "--format", form]
    result = CliRunner().invoke(main, [*command, "--out", str(out), *more, "--", name])
    assert result.exit_code == 0, result.output
    assert out.read_bytes().decode("utf-8")
    return out


def as_file(cell: str) -> str:
    """The file that a cell names; a byte that is not UTF-8 is spelled out in text."""
    return os.path.normpath(cell.replace("\\xf8", "\udcf8"))


def printed(name: str) -> str:
    """As in a table that has neither quotes nor escapes."""
    spelled = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\x1b", "\x85": "\\x85"}
    return "".join(spelled.get(c, c) for c in name).replace("\udcf8", "\\xf8")


def test_pandas_reads_csv(name: str, bundle: Bundle) -> None:
    table = pandas.read_csv(written("csv", name, bundle), keep_default_na=False)
    assert tuple(table.columns) == COLUMNS
    assert list(table.label) == ["low_hummer", "", "high_peeper", "mid_whistler"]
    assert {as_file(cell) for cell in table.file} == {name}
    assert not table.file.str.match(r"[=+\-@\t\r]").any()  # no formula in a spreadsheet
    assert (table.end_s > table.start_s).all()
    assert table.score.between(0, 1).all()
    assert pandas.to_datetime(table.start_utc).is_monotonic_increasing
    assert (table.recording_judged_s + table.recording_unjudged_dead_s).round(3).eq(19.3).all()


def test_pandas_reads_the_ledger(name: str, bundle: Bundle) -> None:
    table = pandas.read_csv(written("recordings", name, bundle))
    assert len(table) == 1
    assert as_file(table.file[0]) == name
    assert (table.detections[0], table.unknowns[0], table.duration_s[0]) == (4, 1, 19.3)


def test_pandas_reads_kaleidoscopes_table(name: str, bundle: Bundle) -> None:
    table = pandas.read_csv(written("kaleidoscope", name, bundle), keep_default_na=False)
    assert list(table["AUTO ID"]) == ["low_hummer", "NoID", "high_peeper", "mid_whistler"]
    assert list(table["ALTERNATE 1"])[1] == "low_hummer"
    places = table[["INDIR", "FOLDER", "IN FILE"]].agg(os.sep.join, axis=1)
    assert {as_file(place) for place in places} == {os.path.abspath(name)}
    assert (table.CHANNEL == 0).all()
    assert (table.DURATION > 0).all()


def test_pandas_and_crowsetta_read_raven(name: str, bundle: Bundle) -> None:
    out = written("raven", name, bundle)
    table = pandas.read_csv(out, sep="\t")
    assert {os.path.normpath(path) for path in table["Begin Path"]} == {printed(name)}
    assert list(table.Selection) == [1, 2, 3, 4]
    raven = crowsetta.formats.bbox.Raven.from_file(out, annot_col="Species Code")
    boxes = raven.to_bbox()
    assert [box.label for box in boxes] == ["low_hummer", "unknown", "high_peeper", "mid_whistler"]
    assert all(box.onset < box.offset <= 19.3 for box in boxes)
    assert {(box.low_freq, box.high_freq) for box in boxes} == {(0.0, 4000.0)}


def test_crowsetta_reads_audacity(name: str, bundle: Bundle) -> None:
    other = write_audio(Path("other.wav"), soundscape())
    out = written("audacity", name, bundle, more=(other,))
    labels = crowsetta.formats.seq.AudSeq.from_file(out)
    assert len(labels.labels) == 8
    assert all(labels.start_times < labels.end_times)
    (file,) = {label.rpartition(": ")[0] for label in map(str, labels.labels[4:])} - {
        f"{printed(name)}: unknown (nearest",
        f"./{printed(name)}: unknown (nearest",
    }
    assert os.path.normpath(file) == printed(name)


def test_crowsetta_reads_csv_as_a_simple_sequence(name: str, bundle: Bundle) -> None:
    sequence = crowsetta.formats.seq.SimpleSeq.from_file(
        written("csv", name, bundle).rename("out.csv"),
        columns_map={"start_s": "onset_s", "end_s": "offset_s", "label": "label"},
        read_csv_kwargs={"keep_default_na": False},
    )
    assert list(sequence.labels) == ["low_hummer", "", "high_peeper", "mid_whistler"]


@pytest.mark.parametrize("form", ["jsonl", "windows"])
def test_json_reads_lines(name: str, bundle: Bundle, form: str) -> None:
    out = written(form, name, bundle)
    key = "source" if form == "jsonl" else "file"
    lines = [json.loads(line) for line in out.read_text(encoding="ascii").splitlines()]
    assert {line[key] for line in lines} == {name}
    # Beside pyarrow, pandas keeps text as UTF-8, in which a byte that is not of it has no place.
    spelled = [{**line, key: line[key].translate(STRAY_BYTES)} for line in lines]
    assert len(pandas.json_normalize(spelled)) == len(lines) > 3


def test_formulas_in_names_of_a_bundle_are_none(recording: str, tmp_path: Path) -> None:
    label = LABELS[0].label
    sly = (Label(label=label, common_name="=1+1", scientific_name="@x"), *LABELS[1:])
    table = pandas.read_csv(
        written("csv", recording, tiny_bundle(tmp_path / "sly", labels=sly), tmp_path)
    )
    assert table.common_name[0] == "'=1+1"
    assert table.scientific_name[0] == "'@x"


@pytest.mark.parametrize("form", FORMATS)
def test_there_is_a_reader_for_every_format(form: str) -> None:
    """A new format needs a test here."""
    read = {"csv", "recordings", "kaleidoscope", "raven", "audacity", "jsonl", "windows"}
    assert form in {*read, "table"}  # the table is for people


def test_kaleidoscope_has_a_row_for_a_recording_without_detections(
    bundle: Bundle, tmp_path: Path
) -> None:
    silent = write_audio(tmp_path / "20240501_003000.wav", soundscape() * 0)
    table = pandas.read_csv(
        written("kaleidoscope", silent, bundle, tmp_path), keep_default_na=False
    )
    (row,) = table.to_dict("records")
    assert (row["AUTO ID"], row["OFFSET"], row["DURATION"]) == ("", 0.0, 19.3)  # not judged at all
    assert (row["DATE"], row["TIME"], row["HOUR"]) == ("2024-05-01", "00:30:00", 0)
    assert (row["DATE-12"], row["TIME-12"], row["HOUR-12"]) == ("2024-04-30", "12:30:00", 12)


def test_kaleidoscope_calls_a_judged_recording_without_detections_noid(
    replayer: Replayer, recording: str
) -> None:
    nothing = replace(replayer.replay(recording), detections=())
    text = rendered("kaleidoscope", [nothing], replayer.provenance)
    assert list(pandas.read_csv(io.StringIO(text))["AUTO ID"]) == ["NoID"]


@pytest.mark.parametrize(("form", "separator"), [("csv", ","), ("raven", "\t")])
def test_the_best_labels_have_columns(
    recording: str, bundle: Bundle, tmp_path: Path, form: str, separator: str
) -> None:
    out = written(form, recording, bundle, tmp_path, ("--top", "4"))
    table = pandas.read_csv(out, sep=separator)
    assert list(table.top1) == ["low_hummer", "low_hummer", "high_peeper", "mid_whistler"]
    assert (table.top1_score >= table.top2_score).all()
    assert (table.top2_score >= table.top3_score).all()
    assert table.top4.isna().all()  # the bundle has three
    assert "top5" not in table
