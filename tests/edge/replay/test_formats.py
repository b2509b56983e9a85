"""Tables that the programs they are meant for will read."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from edge.replay.formats import FORMATS, Format, open_format
from edge.replay.formats.base import ReplayResult
from edge.replay.formats.words import clock_time
from edge.replay.replayer import Replayer
from tests.support.audio import soundscape, write_audio
from tests.support.results import local_time_in, rendered


@pytest.fixture
def two(replayer: Replayer, tmp_path: Path) -> list[ReplayResult]:
    names = ("20240501_053000.wav", "frog [pond]\t1.wav")
    return [replayer.replay(write_audio(tmp_path / name, soundscape())) for name in names]


def test_csv(two: list[ReplayResult], replayer: Replayer) -> None:
    rows = list(csv.DictReader(io.StringIO(rendered("csv", two, replayer.provenance))))
    assert len(rows) == 8
    assert rows[0]["file"] == two[0].file
    assert (rows[0]["common_name"], rows[0]["scientific_name"]) == ("Low Hummer", "Bombus gravis")
    assert (rows[1]["label"], rows[1]["common_name"], rows[1]["nearest"]) == ("", "", "low_hummer")
    assert rows[0]["start_utc"] == "2024-05-01T05:30:00.000000Z"
    assert [r["clock_source"] for r in rows] == ["name"] * 4 + ["mtime"] * 4
    assert len({r["id"] for r in rows}) == 8


def test_raven(two: list[ReplayResult], replayer: Replayer) -> None:
    rows = list(
        csv.DictReader(
            io.StringIO(rendered("raven", two, replayer.provenance)),
            delimiter="\t",
            quoting=csv.QUOTE_NONE,
            escapechar="\\",
        )
    )
    needed = (
        "Selection",
        "View",
        "Channel",
        "Begin Time (s)",
        "End Time (s)",
        "Low Freq (Hz)",
        "High Freq (Hz)",
    )
    assert tuple(rows[0])[:7] == needed
    assert [r["Selection"] for r in rows] == [str(i) for i in range(1, 9)]
    assert {(r["View"], r["Channel"]) for r in rows} == {("Spectrogram 1", "1")}
    assert all(float(r["Begin Time (s)"]) < float(r["End Time (s)"]) for r in rows)
    assert float(rows[4]["Begin Time (s)"]) == pytest.approx(two[0].duration_s)
    assert float(rows[4]["File Offset (s)"]) == 0
    assert rows[1]["Common Name"] == "unknown (nearest: Low Hummer)"


def test_audacity_of_one_recording(two: list[ReplayResult], replayer: Replayer) -> None:
    lines = [
        line.split("\t") for line in rendered("audacity", two[:1], replayer.provenance).splitlines()
    ]
    assert [len(line) for line in lines] == [3] * 4
    assert [float(line[0]) for line in lines] == sorted(float(line[0]) for line in lines)
    assert lines[0][2] == "Low Hummer 1.00"


def test_audacity_of_several_names_the_recording(
    two: list[ReplayResult], replayer: Replayer
) -> None:
    lines = rendered("audacity", two, replayer.provenance).splitlines()
    assert [line.count("\t") for line in lines] == [2] * 8
    assert "frog [pond]\\t1.wav: Low Hummer" in lines[4]


def test_the_table_is_for_people(two: list[ReplayResult], replayer: Replayer) -> None:
    text = rendered("table", two, replayer.provenance)
    assert "Low Hummer" in text
    assert "unknown (nearest: Low Hummer)" in text
    assert "[pond]" in text  # not taken for markup
    assert text.splitlines()[-2:] == [
        "8 detections in 0:38.6 of audio in 2 files; start times from: name (within 14 h: no time "
        "zone is written), mtime (within 24 h)",
        "3.0 s of 38.6 s not judged: nothing but silence",
    ]
    assert "\x1b" not in text  # colours are for terminals


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (120, ["time", "UTC", "local", "species", "score", "novelty"]),
        (90, ["time", "local", "species", "score", "novelty"]),
        (70, ["time", "local", "species", "score"]),
        (50, ["time", "species", "score"]),
        (40, ["time", "species"]),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_cuts_none(
    two: list[ReplayResult],
    replayer: Replayer,
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    headings: list[str],
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    table = open_format("table", stream, replayer.provenance, several=True)
    for result in two:
        table.write(local_time_in(timezone(timedelta(hours=2)), result))
    table.close()
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    heading = next(line for line in text.splitlines() if "species" in line)
    assert heading.split() == headings
    shown = text[text.index(heading) :]
    for heard in ("0:04.0 - 0:10.0", "Low Hummer", "Mid Whistler"):
        assert shown.count(heard) >= 2
    assert ("2024-05-01 07:30:00+0200  " in shown) is ("local" in headings)
    assert (" 1.00" in shown) is ("score" in headings)


def test_nothing_detected_is_said(replayer: Replayer, tmp_path: Path) -> None:
    silent = replayer.replay(write_audio(tmp_path / "20240501_053000.wav", soundscape() * 0))
    assert rendered("table", [silent], replayer.provenance).splitlines() == [
        "0 detections in 0:19.3 of audio in 1 file; start times from: name (within 14 h: no time "
        "zone is written)",
        "19.3 s of 19.3 s not judged: nothing but silence",
    ]
    assert rendered("jsonl", [silent], replayer.provenance) == ""
    assert rendered("csv", [silent], replayer.provenance).count("\n") == 1


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_recordings_give_the_same_bytes(
    form: Format, two: list[ReplayResult], replayer: Replayer
) -> None:
    assert rendered(form, two, replayer.provenance) == rendered(form, two, replayer.provenance)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (83.25, "1:23.2"), (3600, "1:00:00.0")]
)
def test_clock_time(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text
