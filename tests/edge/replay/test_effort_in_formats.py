"""How much was judged, by which clock, and by what: in every format that can say it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge.clock import ANY_ZONE_S
from edge.replay.formats import Format
from edge.replay.formats.base import ReplayResult
from edge.replay.replayer import Replayer
from tests.support.audio import soundscape, write_audio
from tests.support.results import local_time_in, rendered, undated, with_effort

SUMMER_IN_VIENNA = timezone(timedelta(hours=2))
TABLES: tuple[Format, ...] = ("csv", "raven", "recordings")
# of the recording: a part is missing, another was left out, and not all was judged
EFFORT = {
    "audio_s": 19.3,
    "judged_s": 12.0,
    "unjudged_s": {"dead": 5.0, "short": 2.3},
    "header_s": 30.0,
    "missing_s": 10.7,
    "gap_s": 60.0,
}
CELLS = {
    "header_s": "30.000",
    "missing_s": "10.700",
    "gap_s": "60.000",
    "judged_s": "12.000",
    "unjudged_dead_s": "5.000",
    "unjudged_stuck_s": "0.000",
    "unjudged_short_s": "2.300",
}


@pytest.fixture
def result(replayer: Replayer, recording: str) -> ReplayResult:
    return replayer.replay(recording)


def rows(form: Format, result: ReplayResult, replayer: Replayer) -> list[dict[str, str]]:
    text = rendered(form, [result], replayer.provenance)
    return list(csv.DictReader(io.StringIO(text), delimiter="\t" if form == "raven" else ","))


def payloads(form: Format, result: ReplayResult, replayer: Replayer) -> list[dict[str, Any]]:
    return [json.loads(s) for s in rendered(form, [result], replayer.provenance).splitlines()]


@pytest.mark.parametrize("form", TABLES)
def test_tables_have_the_effort_of_the_recording(
    form: Format, result: ReplayResult, replayer: Replayer
) -> None:
    prefix = "" if form == "recordings" else "recording_"
    wanted = {f"{prefix}{name}": cell for name, cell in CELLS.items()}
    found = rows(form, with_effort(result, **EFFORT), replayer)
    assert found
    for row in found:
        assert {name: row[name] for name in wanted} == wanted
        assert row[f"{prefix}duration_s"] == "19.300"
    unannounced = rows(form, with_effort(result, header_s=None), replayer)
    assert {row[f"{prefix}header_s"] for row in unannounced} == {""}


def test_a_detection_on_the_wire_has_the_effort_of_its_recording(
    result: ReplayResult, replayer: Replayer, root: Path
) -> None:
    schema = json.loads((root / "config/detection.v1.schema.json").read_text(encoding="utf-8"))
    for payload in payloads("jsonl", with_effort(result, **EFFORT), replayer):
        jsonschema.validate(payload, schema)
        assert payload["recording"] == {
            "duration_s": 19.3,
            "header_s": 30.0,
            "missing_s": 10.7,
            "gap_s": 60.0,
            "judged_s": 12.0,
            "unjudged_s": {"dead": 5.0, "stuck": 0.0, "short": 2.3},
        }


def test_the_summary_of_the_table_says_what_was_not_judged_and_why(
    result: ReplayResult, replayer: Replayer
) -> None:
    lines = rendered("table", [with_effort(result, **EFFORT)] * 2, replayer.provenance)
    assert lines.splitlines()[-3:] == [
        "21.4 s missing: announced by headers, but not there",
        "2:00.0 left out by the recorder between triggers",
        "14.6 s of 38.6 s not judged: 10.0 s nothing but silence, 4.6 s too short for a window",
    ]


def test_windows_say_why_the_model_was_not_asked(
    replayer: Replayer, recording: str, tmp_path: Path
) -> None:
    spooled = replayer.replay(recording, spool=tmp_path / "spool")
    lines = payloads("windows", spooled, replayer)
    assert {line["unjudged"] for line in lines} == {"dead", None}
    assert all((line["nearest"] is None) == (line["unjudged"] is not None) for line in lines)
    samples = soundscape() * 0 + 0.5
    stuck = write_audio(tmp_path / "stuck.wav", samples)
    spooled = replayer.replay(stuck, spool=tmp_path / "spool")
    assert {line["unjudged"] for line in payloads("windows", spooled, replayer)} == {"stuck"}


def test_the_ledger_has_a_recording_without_detections(
    replayer: Replayer, recording: str, tmp_path: Path
) -> None:
    silent = replayer.replay(write_audio(tmp_path / "20240501_060000.wav", soundscape() * 0))
    text = rendered("recordings", [replayer.replay(recording), silent], replayer.provenance)
    loud_row, silent_row = csv.DictReader(io.StringIO(text))
    assert (loud_row["detections"], loud_row["unknowns"]) == ("4", "1")
    assert (silent_row["detections"], silent_row["unknowns"]) == ("0", "0")
    assert (silent_row["judged_s"], silent_row["unjudged_dead_s"]) == ("0.000", "19.300")
    assert silent_row["file"] == silent.file
    assert silent_row["start_utc"] == "2024-05-01T06:00:00.000000Z"


@pytest.mark.parametrize("form", TABLES)
def test_tables_say_what_made_a_result(
    form: Format, result: ReplayResult, replayer: Replayer
) -> None:
    made = replayer.provenance
    for row in rows(form, result, replayer):
        assert (row["bundle"], row["config"], row["code"]) == (made.bundle, made.config, made.code)
        assert (row["variant"], row["hop_s"]) == ("fp32", "0.5")
        assert (row["clock_source"], row["clock_uncertainty_s"]) == ("name", "50400")


@pytest.mark.parametrize("form", TABLES)
def test_local_time_stands_beside_utc_where_the_zone_is_known(
    form: Format, result: ReplayResult, replayer: Replayer
) -> None:
    assert {row["start_local"] for row in rows(form, result, replayer)} == {""}
    in_vienna = local_time_in(SUMMER_IN_VIENNA, result)
    first = rows(form, in_vienna, replayer)[0]
    assert first["start_utc"] == "2024-05-01T05:30:00.000000Z"
    assert first["start_local"] == "2024-05-01T07:30:00.000000+02:00"


def test_the_table_has_a_column_of_local_time(result: ReplayResult, replayer: Replayer) -> None:
    in_vienna = local_time_in(SUMMER_IN_VIENNA, result)
    text = rendered("table", [in_vienna], replayer.provenance)
    assert "2024-05-01 05:30:00  2024-05-01 07:30:00+0200  Low Hummer" in text
    assert "local" in text
    assert "local" not in rendered("table", [result], replayer.provenance)


@pytest.mark.parametrize("form", TABLES)
def test_a_clock_that_was_never_set_gives_no_date(
    form: Format, result: ReplayResult, replayer: Replayer
) -> None:
    lost = local_time_in(SUMMER_IN_VIENNA, undated(result))
    for row in rows(form, lost, replayer):
        assert (row["start_utc"], row["start_local"], row.get("end_utc", "")) == ("", "", "")
        assert float(row["clock_uncertainty_s"]) > 10**9


def test_the_table_says_that_there_is_no_date(result: ReplayResult, replayer: Replayer) -> None:
    text = rendered("table", [undated(result)], replayer.provenance)
    assert "2024" not in text.replace(result.file, "")
    assert text.count("no date  ") == 4
    assert "name (no date: the recorder's clock was never set)" in text


def test_the_wire_says_that_a_time_is_no_date(
    result: ReplayResult, replayer: Replayer, root: Path
) -> None:
    schema = json.loads((root / "config/detection.v1.schema.json").read_text(encoding="utf-8"))
    for payload in payloads("jsonl", undated(result), replayer):
        assert payload["clock"]["dated"] is False
        assert payload["start_utc"].endswith("Z")
        jsonschema.validate(payload, schema)
    assert all("dated" not in p["clock"] for p in payloads("jsonl", result, replayer))


@pytest.mark.parametrize(
    ("uncertainty_s", "said"),
    [
        (0.0, "start times from: name\n"),
        (1.0, "start times from: name (within 1 s)\n"),
        (ANY_ZONE_S, "start times from: name (within 14 h: no time zone is written)\n"),
        (86_400.0, "start times from: name (within 24 h)\n"),
    ],
)
def test_the_summary_says_how_far_the_clock_may_be_off(
    result: ReplayResult, replayer: Replayer, uncertainty_s: float, said: str
) -> None:
    clock = replace(result.clock, uncertainty_s=uncertainty_s)
    assert said in rendered("table", [replace(result, clock=clock)], replayer.provenance)


@pytest.mark.parametrize("duration_s", [19.2999996, 19.29951])
def test_no_end_is_after_the_end_of_the_recording(
    replayer: Replayer, recording: str, tmp_path: Path, duration_s: float
) -> None:
    """The nearest decimal may be above it."""
    spooled = replayer.replay(recording, spool=tmp_path / "spool")
    shorter = replace(spooled, duration_s=duration_s)
    ends = [
        *(float(row["end_s"]) for row in rows("csv", shorter, replayer)),
        *(float(row["End Time (s)"]) for row in rows("raven", shorter, replayer)),
        *(p["end_s"] for p in payloads("jsonl", shorter, replayer)),
        *(p["end_s"] for p in payloads("windows", shorter, replayer)),
        *(
            float(row["OFFSET"]) + float(row["DURATION"])
            for row in rows("kaleidoscope", shorter, replayer)
        ),
        *(
            float(line.split("\t")[1])
            for line in rendered("audacity", [shorter], replayer.provenance).splitlines()
        ),
    ]
    assert max(ends) <= duration_s
    assert sum(end > 19 for end in ends) >= 6
