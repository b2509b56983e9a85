"""Where the time of a recording comes from, and how sure it is."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import ANY_ZONE_S, FILE_TIME_S, Clock, file_clock, parse_start, rfc3339
from edge.errors import ConfigError
from tests.support.audio import add_chunk, noise, write_audio

UTC = timezone.utc
MAY = "2024-05-01T05:30:00.000000Z"


def clock(path: str, start: datetime | None = None) -> Clock:
    return file_clock(path, sample_rate_hz=22_050, duration_s=60.0, start=start)


@pytest.mark.parametrize(
    ("name", "start", "uncertainty_s"),
    [
        ("20240501_053000.WAV", MAY, 1.0),
        ("20240501_053000T.WAV", MAY, 1.0),
        ("24F319046430B7B1_20240501_053000.WAV", MAY, 1.0),
        ("20240501_053000.250.wav", "2024-05-01T05:30:00.250000Z", 1.0),
        ("S4A03895_20240501_053000.wav", MAY, ANY_ZONE_S),
        ("SITE-7_0+1_20240501_053000.wav", MAY, ANY_ZONE_S),
        ("SMM01234_20240501$053000.wav", MAY, ANY_ZONE_S),
        ("SMM01234_20240501_053000-0500.wav", "2024-05-01T10:30:00.000000Z", 1.0),
        ("2MM00001_20240501_053000Z.wav", MAY, 1.0),
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
    ],
)
def test_without_a_start_the_time_of_the_file_is_its_end(tmp_path: Path, name: str) -> None:
    path = write_audio(tmp_path / name, noise(0.1))
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
