"""One call, in every state in which recorders, cards and converters leave files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from edge.demo import SAMPLE_RATE_HZ, soundscape
from edge.types import Array
from tests.support.audio import add_chunk
from tests.support.containers import (
    RATE_HZ,
    audiomoth_blocks,
    encoded,
    flac_total,
    mp3_in_wav,
    with_data_size,
)

SECONDS = 6.0
TOAD_S = 22.0  # where one trills in the demonstration
MOTH = "Recorded at 05:30:00 01/05/2024 (UTC%s) by AudioMoth 24E144055DDD3203"
MARKERS = b"adtllabl\x09\0\0\0\x01\0\0\0mark\0\0"


def toad() -> Array:
    assert SAMPLE_RATE_HZ == RATE_HZ
    start = round(TOAD_S * RATE_HZ)
    return soundscape()[start : start + round(SECONDS * RATE_HZ)]


TOAD = toad()
WAV = encoded("WAV", TOAD)
BYTES = 2 * len(TOAD)
FIRST, SECOND = np.split(TOAD, 2)
NO_LENGTH = "its header does not say how long it is"


def comment(text: str) -> bytes:
    content = text.encode() + b"\0" * (2 - len(text) % 2)
    return b"INFOICMT" + len(content).to_bytes(4, "little") + content


def with_chunks(path: Path, content: bytes, *chunks: tuple[bytes, bytes]) -> None:
    path.write_bytes(content)
    for name, chunk in chunks:
        add_chunk(path, name, chunk)


@dataclass(frozen=True, kw_only=True)
class State:
    """How a file of this name is made, what is said of it, and what is known of its time."""

    name: str
    make: Callable[[Path], None]
    warnings: tuple[str, ...] = ()
    exit_code: int = 0
    start_utc: str | None = None
    source: str = "mtime"
    within_s: str = "86400"


def plain(name: str, content: bytes, *warnings: str, exit_code: int = 0) -> State:
    return State(
        name=name,
        make=lambda path: with_chunks(path, content),
        warnings=warnings,
        exit_code=exit_code,
    )


def named(name: str, start_utc: str | None, within_s: str) -> State:
    return State(
        name=name,
        make=lambda path: with_chunks(path, encoded(path.suffix[1:].upper(), TOAD)),
        start_utc=start_utc,
        source="name",
        within_s=within_s,
    )


def moth(name: str, zone: str, start_utc: str, *further: tuple[bytes, bytes]) -> State:
    chunks = ((b"LIST", comment(MOTH % zone)), *further)
    return State(
        name=name,
        make=lambda path: with_chunks(path, WAV, *chunks),
        start_utc=start_utc,
        source="audiomoth",
        within_s="1",
    )


UNDATED_S = "3155760000"
STATES = [
    plain(
        "wrapped.wav", with_data_size(WAV, "WAV", 64_000), "recorded 6.00 s, its header says 1.00 s"
    ),
    plain("zero.wav", with_data_size(WAV, "WAV", 0), "recorded 6.00 s, its header says 0.00 s"),
    plain("counts_itself.wav", with_data_size(WAV, "WAV", BYTES + 44)),
    plain("pipe.wav", with_data_size(WAV, "WAV", 0x7FFF0000), NO_LENGTH),
    plain(
        "battery.wav",
        with_data_size(WAV, "WAV", 2 * BYTES),
        "recorded 6.00 s, its header says 12.00 s",
        exit_code=1,
    ),
    plain("mp3.wav", mp3_in_wav(TOAD, len(TOAD) + 320)),
    plain(
        "half_total.flac",
        flac_total(encoded("FLAC", TOAD), len(TOAD) // 2),
        "recorded 6.00 s, its header says 3.00 s",
    ),
    plain(
        "double_total.flac",
        flac_total(encoded("FLAC", TOAD), 2 * len(TOAD)),
        "recorded 6.00 s, its header says 12.00 s",
        exit_code=1,
    ),
    plain(
        "zeros.flac",
        encoded("FLAC", TOAD) + bytes(5000),
        "5,000 empty bytes behind the sound are not heard",
    ),
    plain(
        "erased.wav",
        WAV + b"\xff" * (8 << 20),
        "8,388,608 empty bytes behind the sound are not heard",
    ),
    plain(
        "preallocated.rf64",
        encoded("RF64", TOAD) + bytes(8 << 20),
        "8,388,608 empty bytes behind the sound are not heard",
    ),
    plain("erased.mp3", encoded("MP3", TOAD, "MPEG_LAYER_III") + b"\xff" * (8 << 20)),
    plain(
        "stream.au",
        with_data_size(encoded("AU", TOAD), "AU", 0xFFFFFFFF),
        "its header does not say how long it is",
    ),
    plain(
        "joined.flac",
        encoded("FLAC", TOAD[: len(TOAD) // 2]) + encoded("FLAC", TOAD[len(TOAD) // 2 :]),
    ),
    plain("stereo.wav", encoded("WAV", np.stack([TOAD, TOAD / 2], axis=1))),
    moth("markers.WAV", "", "2024-05-01T05:30:00.000000Z", (b"LIST", MARKERS)),
    moth("20240501_053000.WAV", "+10", "2024-04-30T19:30:00.000000Z"),
    moth("renamed.wav", "-3:30", "2024-05-01T09:00:00.000000Z"),
    named("20240501_053000.flac", "2024-05-01T05:30:00.000000Z", "50400"),
    named("5B07C752.WAV", "2018-05-25T08:20:34.000000Z", "1"),
    named("S4A_20240501_053000-0900.wav", "2024-05-01T14:30:00.000000Z", "1"),
    named("20240501T053000+10_REC.flac", "2024-04-30T19:30:00.000000Z", "1"),
    named("19700101_000554.WAV", "", UNDATED_S),
    named("SMM_20000101_000000.wav", "", UNDATED_S),
]


def replayed(path: Path, *args: str) -> Result:
    return CliRunner().invoke(main, ["replay", "--format", "csv", *args, str(path)])


def rows(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


@pytest.mark.parametrize("state", STATES, ids=lambda state: str(state.name))
def test_the_call_is_heard_and_the_state_is_named(tmp_path: Path, state: State) -> None:
    path = tmp_path / state.name
    state.make(path)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    result = replayed(path)
    warnings = [line.removeprefix(f"warning: {path}: ") for line in result.stderr.splitlines()]
    assert (warnings, result.exit_code) == (list(state.warnings), state.exit_code)
    found = rows(result)
    assert {row["label"] for row in found} == {"american_toad"}
    assert float(found[0]["start_s"]) == 0
    assert float(found[-1]["end_s"]) == pytest.approx(SECONDS, abs=0.06)
    assert (found[0]["clock_source"], found[0]["clock_uncertainty_s"]) == (
        state.source,
        state.within_s,
    )
    if state.start_utc is not None:
        assert found[0]["start_utc"] == state.start_utc


def test_a_triggered_recording_as_on_the_card_is_two_calls_a_minute_apart(tmp_path: Path) -> None:
    path = tmp_path / "20240501_053000T.WAV"
    whole = encoded("WAV", audiomoth_blocks(60 * RATE_HZ // 256)(TOAD))
    with_chunks(path, whole, (b"LIST", comment(MOTH % "")))
    result = replayed(path)
    assert (result.exit_code, result.stderr) == (0, "")
    times = [(float(row["start_s"]), float(row["end_s"])) for row in rows(result)]
    assert times == [(0.0, 3.0), (63.0, 66.0)]
    assert {row["start_utc"] for row in rows(result)} == {
        "2024-05-01T05:30:00.000000Z",
        "2024-05-01T05:31:03.000000Z",
    }


def test_no_season_withholds_a_call_without_a_date(tmp_path: Path) -> None:
    species = tmp_path / "species.yaml"
    species.write_text("{american_toad: [6]}\n")
    for name, heard in (("19700101_000554.WAV", True), ("20240101_000554.WAV", False)):
        (tmp_path / name).write_bytes(WAV)
        (row,) = rows(replayed(tmp_path / name, "--species", str(species)))
        assert (row["label"] == "american_toad") is heard, name


def test_silence_is_no_absence(tmp_path: Path) -> None:
    silent = tmp_path / "20240501_053000.wav"
    silent.write_bytes(encoded("WAV", np.zeros_like(TOAD)))
    result = replayed(silent)
    assert (result.exit_code, rows(result)) == (0, [])
    assert result.stderr == (
        f"warning: {silent}: 6.0 s of 6.0 s were not judged: nothing but silence\n"
    )


def test_whole_numbers_in_a_float_file_are_not_judged_and_named(tmp_path: Path) -> None:
    scaled = tmp_path / "scaled.wav"
    scaled.write_bytes(encoded("WAV", TOAD * 32_768, "FLOAT"))
    result = replayed(scaled)
    level, unjudged = result.stderr.splitlines()
    assert "where full scale is 1, so its level is not to be believed" in level
    assert "were not judged: constant or railed at full scale" in unjudged


def test_cancelled_stereo_is_named_and_one_channel_heard(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    path.write_bytes(encoded("WAV", np.stack([TOAD, -TOAD], axis=1)))
    mixed = replayed(path)
    assert rows(mixed) == []
    assert "its channels cancel each other in 6.0 s of it; --channel 1 hears one" in mixed.stderr
    for channel in ("1", "2", "loudest"):
        assert {row["label"] for row in rows(replayed(path, "--channel", channel))} == {
            "american_toad"
        }
    for channel in ("0", "3", "left"):
        result = replayed(path, "--channel", channel)
        assert result.exit_code != 0
        assert result.stderr.count("\n") == 1
