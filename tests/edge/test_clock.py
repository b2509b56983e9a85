"""Where the time of a recording comes from, and how sure it is."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import (
    ANY_ZONE_S,
    FILE_TIME_S,
    UNDATED_S,
    Clock,
    file_clock,
    parse_start,
    parse_zone,
    rfc3339,
)
from edge.errors import ConfigError
from edge.sources.header import audio_facts
from tests.support.audio import add_chunk, noise, write_audio

UTC = timezone.utc
VIENNA = "Europe/Vienna"
MAY = "2024-05-01T05:30:00.000000Z"


def clock(path: str, start: datetime | None = None, zone: tzinfo | None = None) -> Clock:
    return file_clock(audio_facts(path), sample_rate_hz=22_050, start=start, zone=zone)


@pytest.mark.parametrize(
    ("name", "start", "uncertainty_s"),
    [
        # AudioMoths can be set to local time, and their names do not say so.
        ("20240501_053000.WAV", MAY, ANY_ZONE_S),
        ("20240501_053000T.WAV", MAY, ANY_ZONE_S),
        ("24F319046430B7B1_20240501_053000.WAV", MAY, ANY_ZONE_S),
        ("5B07C752.WAV", "2018-05-25T08:20:34.000000Z", 1.0),
        ("5b07c752.flac", "2018-05-25T08:20:34.000000Z", 1.0),
        ("20240501_053000.250.wav", "2024-05-01T05:30:00.250000Z", ANY_ZONE_S),
        ("S4A03895_20240501_053000.wav", MAY, ANY_ZONE_S),
        ("SITE-7_0+1_20240501_053000.wav", MAY, ANY_ZONE_S),
        ("SMM01234_20240501$053000.wav", MAY, ANY_ZONE_S),
        ("SMM01234_20240501_053000-0500.wav", "2024-05-01T10:30:00.000000Z", 1.0),
        ("SMM01234_20240501_053000_-0900.wav", "2024-05-01T14:30:00.000000Z", 1.0),
        ("20240501_053000+10.wav", "2024-04-30T19:30:00.000000Z", 1.0),
        ("20240501T053000+1000_REC.flac", "2024-04-30T19:30:00.000000Z", 1.0),
        ("20240501T053000-03.wav", "2024-05-01T08:30:00.000000Z", 1.0),
        ("20240501T053000+05:45.wav", "2024-04-30T23:45:00.000000Z", 1.0),
        ("S20240501T053000.5-0330_E20240501T054000-0330.wav", "2024-05-01T09:00:00.500000Z", 1.0),
        ("2MM00001_20240501_053000Z.wav", MAY, 1.0),
        ("SWIFT_20240501_053000_UTC.wav", MAY, 1.0),
        ("site_20240501053000.wav", MAY, ANY_ZONE_S),
        ("5678.240501053000.wav", MAY, ANY_ZONE_S),
        ("2024-05-01-birdnet-05:30:00.wav", MAY, ANY_ZONE_S),
        ("2024-05-01-birdnet-RTSP_1-05:30:00.wav", MAY, ANY_ZONE_S),
        ("20240501 053000.wav", MAY, ANY_ZONE_S),
        ("20240501-053000.wav", MAY, ANY_ZONE_S),
        ("2024-05-01T05_30_00.wav", MAY, ANY_ZONE_S),
        ("Memo 2024-05-01 at 05.30.00.wav", MAY, ANY_ZONE_S),
        ("2024-05-01 05_30.wav", MAY, ANY_ZONE_S),
        # The number of a part, no zone.
        ("20240501_053000-01.wav", MAY, ANY_ZONE_S),
        ("20240501_053000-0001.wav", MAY, ANY_ZONE_S),
        ("20240501_053000-9999.wav", MAY, ANY_ZONE_S),
    ],
)
def test_start_in_the_name(tmp_path: Path, name: str, start: str, uncertainty_s: float) -> None:
    found = clock(write_audio(tmp_path / name, noise(0.1)))
    assert (found.source, rfc3339(found.start_utc)) == ("name", start)
    assert found.uncertainty_s == uncertainty_s
    assert not found.synced


@pytest.mark.parametrize(
    "name",
    [
        "frog.wav",
        "20241301_053000.wav",
        "20240501_253000.wav",
        "120240501_053000.wav",
        "XC123456.wav",
        "19000101_000000.wav",
        "60123456.wav",
        "ABCDEF.wav",
        "FFFFFFFF.wav",
        "20240501_0530.wav",
        "2024-05-01.wav",
    ],
)
def test_without_a_start_the_time_of_the_file_is_its_end(tmp_path: Path, name: str) -> None:
    path = write_audio(tmp_path / name, noise(60.0))
    written = datetime(2024, 5, 1, 5, 31, tzinfo=UTC)
    os.utime(path, (written.timestamp(), written.timestamp()))
    found = clock(path)
    assert (found.source, rfc3339(found.start_utc)) == ("mtime", MAY)
    assert found.uncertainty_s == FILE_TIME_S


def bext(date: bytes, time: bytes) -> bytes:
    return b"".join([b"d" * 256, b"o" * 32, b"r" * 32, date, time]).ljust(602, b"\0")


def info(comment: bytes) -> bytes:
    comment += b"\0" * (1 + (len(comment) + 1) % 2)
    return b"INFOICMT" + len(comment).to_bytes(4, "little") + comment


MOTH = (
    b"Recorded at 07:30:00 01/05/2024 (UTC%s) by AudioMoth 24F319046430B7B1 at medium gain while "
    b"battery was 4.2V."
)

FIRST_MOTH = (
    b"Recorded at 05:30:00 01/05/2024 by AudioMoth 24F319046430B7B1 at gain setting 2 while "
    b"battery state was 4.2V"
)


@pytest.mark.parametrize(
    ("name", "content", "source", "uncertainty_s"),
    [
        (b"guan", b"GUANO|Version: 1.0\nTimestamp: 2024-05-01T05:30:00Z\nMake: X", "guano", 1.0),
        (
            b"guan",
            b"GUANO|Version: 1.0\r\nTimestamp: 2024-05-01T00:30:00.000-05:00\r\n",
            "guano",
            1.0,
        ),
        (b"guan", b"GUANO|Version: 1.0\nTimestamp: 2024-05-01 05:30:00\n", "guano", ANY_ZONE_S),
        (b"LIST", info(MOTH % b"+2"), "audiomoth", 1.0),
        (b"LIST", info((MOTH % b"").replace(b"07:30", b"05:30")), "audiomoth", 1.0),
        (b"LIST", info((MOTH % b"-3:30").replace(b"07:30", b"02:00")), "audiomoth", 1.0),
        (
            b"LIST",
            info((MOTH % b"").replace(b"07:30", b"05:30").replace(b" (UTC)", b"")),
            "audiomoth",
            1.0,
        ),
        (b"bext", bext(b"2024-05-01", b"05:30:00"), "bext", ANY_ZONE_S),
        (b"bext", bext(b"2024:05:01", b"05-30-00"), "bext", ANY_ZONE_S),
    ],
)
def test_start_in_metadata_comes_before_the_name(
    tmp_path: Path, name: bytes, content: bytes, source: str, uncertainty_s: float
) -> None:
    path = write_audio(tmp_path / "20200101_000000.wav", noise(0.1))
    add_chunk(path, name, content)
    found = clock(path)
    assert (found.source, rfc3339(found.start_utc)) == (source, MAY)
    assert found.uncertainty_s == uncertainty_s


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"guan", b"\xff\xfe nothing of the kind"),
        (b"guan", b"Timestamp: yesterday"),
        (b"guan", b"Timestamp: 2024-02-30T05:30:00Z"),
        (b"bext", bext(b"0000-00-00", b"00:00:00")),
        (b"bext", b"short"),
        (b"LIST", info(b"a comment")),
    ],
)
def test_metadata_that_makes_no_sense_is_passed_over(
    tmp_path: Path, name: bytes, content: bytes
) -> None:
    path = write_audio(tmp_path / "20240501_053000.wav", noise(0.1))
    add_chunk(path, name, content)
    assert clock(path).source == "name"


def test_the_most_trusted_metadata_wins_wherever_it_stands(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    add_chunk(path, b"bext", bext(b"2020-01-01", b"00:00:00"))
    add_chunk(path, b"guan", b"Timestamp: 2024-05-01T05:30:00Z")
    assert clock(path).source == "guano"


def test_the_option_comes_before_everything(recording: str) -> None:
    found = clock(recording, start=parse_start("2020-01-01T00:00:00Z"))
    assert (found.source, found.synced, found.start_utc.year) == ("option", True, 2020)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-05-01T05:30:00Z", MAY),
        ("2024-05-01t05:30:00z", MAY),
        ("2024-05-01 07:30:00+02:00", MAY),
        ("2024-05-01T05:30:00.123456789Z", "2024-05-01T05:30:00.123456Z"),
        ("2023-12-31T20:00:00-05:00", "2024-01-01T01:00:00.000000Z"),
    ],
)
def test_rfc3339(text: str, utc: str) -> None:
    assert rfc3339(parse_start(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-05-01",
        "2024-05-01T05:30:00",
        "2024-13-01T05:30:00Z",
        "0001-01-01T00:00:00Z",
    ],
)
def test_start_must_be_a_time_with_its_zone(text: str) -> None:
    with pytest.raises(ConfigError, match="--start"):
        parse_start(text)


@given(st.integers(0, 10**11), st.sampled_from([8000, 22_050, 44_100, 48_000]))
def test_time_is_derived_from_the_sample_to_half_a_microsecond(sample: int, rate_hz: int) -> None:
    start = datetime(2024, 5, 1, tzinfo=UTC)
    found = Clock(
        start_utc=start, sample_rate_hz=rate_hz, source="name", synced=False, uncertainty_s=1.0
    ).utc(sample)
    microseconds = (found - start) // timedelta(microseconds=1)
    assert abs(2 * (microseconds * rate_hz - sample * 10**6)) <= rate_hz


@pytest.mark.parametrize(
    ("name", "zone", "start", "local"),
    [
        (
            "20240501_053000.WAV",
            "Europe/Vienna",
            "2024-05-01T03:30:00",
            "2024-05-01T05:30:00+02:00",
        ),
        (
            "20241201_053000.WAV",
            "Europe/Vienna",
            "2024-12-01T04:30:00",
            "2024-12-01T05:30:00+01:00",
        ),
        ("20240501_053000.WAV", "+10:00", "2024-04-30T19:30:00", "2024-05-01T05:30:00+10:00"),
        # A zone that is written is what the recorder meant; the other is that of the place.
        ("a_20240501_053000-0900.wav", "UTC+2", "2024-05-01T14:30:00", "2024-05-01T16:30:00+02:00"),
    ],
)
def test_a_zone_says_what_local_time_means(
    tmp_path: Path, name: str, zone: str, start: str, local: str
) -> None:
    found = clock(write_audio(tmp_path / name, noise(0.1)), zone=parse_zone(zone))
    assert found.start_utc.isoformat() == f"{start}+00:00"
    assert found.uncertainty_s == 1.0
    shown = found.local(0)
    assert shown is not None
    assert shown.isoformat() == local


def test_an_hour_that_comes_twice_is_uncertain_by_one(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "20241027_023000.WAV", noise(0.1))
    assert clock(path, zone=parse_zone("Europe/Vienna")).uncertainty_s == 3601.0


def test_a_written_zone_is_shown_and_utc_is_no_place(tmp_path: Path) -> None:
    far = clock(write_audio(tmp_path / "20240501T053000+1000.wav", noise(0.1)))
    assert str(far.local(0)) == "2024-05-01 05:30:00+10:00"
    assert clock(write_audio(tmp_path / "20240501T053000Z.wav", noise(0.1))).local(0) is None


@pytest.mark.parametrize("text", ["", "Vienna", "Mars/Olympus", "../etc/passwd", "+15", "+1:99"])
def test_a_zone_must_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a time zone"):
        parse_zone(text)


@pytest.mark.parametrize(
    "name", ["19700101_000554.WAV", "SMM_20000101_000000.wav", "19800101_120000.wav"]
)
def test_a_clock_that_was_never_set_is_no_date(tmp_path: Path, name: str) -> None:
    found = clock(write_audio(tmp_path / name, noise(0.1)))
    assert (found.source, found.uncertainty_s, found.dated) == ("name", UNDATED_S, False)
    assert found.local(0) is None


def test_a_date_beside_a_clock_that_was_never_set_is_taken(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "20240501_053000.wav", noise(0.1))
    add_chunk(path, b"guan", b"Timestamp: 1970-01-01T00:05:00Z")
    assert (clock(path).source, clock(path).dated) == ("name", True)


@pytest.mark.parametrize("seconds", [0, -1e11, 4e11, 13e11, 315_532_800])
def test_a_file_time_that_cannot_be_is_no_date(tmp_path: Path, seconds: float) -> None:
    """Such as that of the year 14645, which damaged cards have."""
    path = write_audio(tmp_path / "frog.wav", noise(0.1))
    os.utime(path, (seconds, seconds))
    found = clock(path)
    assert (found.source, found.dated) == ("mtime", False)
