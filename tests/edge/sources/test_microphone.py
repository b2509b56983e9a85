"""A microphone in the field, absent, unplugged, stalled or late: what it misses is a gap there."""

from __future__ import annotations

import logging
import unicodedata
from itertools import pairwise

import numpy as np
import pytest

from edge.backoff import Backoff
from edge.detect.windows import Windower
from edge.errors import AudioError
from edge.sources.audioconfig import AudioConfig, formats
from edge.sources.device import Device, Format, choose_device, readable
from edge.types import Array, AudioBlock, Window
from tests.support.audio import noise
from tests.support.microphones import Listening, listening

RATE = 8000


def count(seconds: float) -> Array:
    """Return samples that say their own index: sample i is i / 2**20, exact in float32."""
    return (np.arange(round(seconds * RATE)) / 2**20).astype(np.float32)


def names(block: AudioBlock | Window) -> Array:
    result: Array = np.round(block.samples * 2**20).astype(np.int64)
    return result


def recorded(session: Listening) -> list[AudioBlock]:
    blocks = list(session.blocks())
    assert all(b.start_sample >= a.end_sample for a, b in pairwise(blocks))
    assert blocks[-1].last
    return blocks


def windows(blocks: list[AudioBlock]) -> list[Window]:
    windower = Windower(window_samples=RATE, hop_samples=RATE // 2, sample_rate_hz=RATE)
    return [window for block in blocks for window in windower.push(block)]


def whole(blocks: list[AudioBlock]) -> bool:
    """Return whether every window holds consecutive samples of the sound."""
    return all(
        (np.diff(names(window)) == 1).all()
        for window in windows(blocks)
        if window.end_sample - window.start_sample == RATE
    )


def lost(session: Listening) -> int:
    return sum(gap.end_sample - gap.start_sample for gap in session.gaps if gap.reason == "lost")


def test_a_stall_that_loses_audio_in_silence_is_a_gap_of_its_length() -> None:
    session = listening(count(20))
    session.audio.at = [
        (5.0, lambda: setattr(session.audio, "deaf", True)),
        (6.5, lambda: setattr(session.audio, "deaf", False)),
    ]
    blocks = recorded(session)
    # Lost are the stall of 1.5 s and what arrived in the second that proved it.
    assert 1.5 * RATE <= lost(session) <= 2.8 * RATE
    assert whole(blocks)
    last = [block for block in blocks if len(block.samples)][-1]
    assert abs(int(names(last)[0]) - last.start_sample) < 0.1 * RATE


def test_audio_that_comes_late_is_not_lost() -> None:
    session = listening(count(10))
    session.audio.at = [
        (4.0, lambda: setattr(session.audio, "late", True)),
        (5.0, lambda: setattr(session.audio, "late", False)),
    ]
    blocks = recorded(session)
    assert not session.gaps
    np.testing.assert_array_equal(np.concatenate([names(b) for b in blocks]), np.arange(10 * RATE))


def test_an_overflow_is_a_gap_even_when_nothing_else_shows() -> None:
    session = listening(count(6))
    session.audio.at = [(3.0, lambda: setattr(session.audio, "overflow", True))]
    blocks = recorded(session)
    assert [gap.end_sample - gap.start_sample for gap in session.gaps] == [1]
    assert session.gaps[0].start_sample == pytest.approx(3 * RATE, abs=500)
    assert sum(len(b.samples) for b in blocks) == 6 * RATE


@pytest.mark.parametrize("fault", ["dead", "unplugged"])
def test_a_device_that_goes_and_comes_back(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    session = listening(count(30))
    attribute, broken = ("dead", True) if fault == "dead" else ("present", False)
    session.audio.at = [
        (8.0, lambda: setattr(session.audio, attribute, broken)),
        (15.0, lambda: setattr(session.audio, attribute, not broken)),
    ]
    with caplog.at_level(logging.WARNING):
        blocks = recorded(session)
    assert len(session.audio.opened) >= 2
    assert 6.5 * RATE < lost(session) < 12 * RATE
    assert whole(blocks)
    empty = [block for block in blocks if not len(block.samples)]
    assert len(empty) >= 5  # one every second while there is no audio
    assert len(caplog.records) <= 2  # and not at each attempt
    assert abs(blocks[-1].end_sample - 30 * RATE) < 0.2 * RATE


def test_absent_at_boot_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    session = listening(count(10))
    session.audio.present = False
    session.audio.at = [(5.0, lambda: setattr(session.audio, "present", True))]
    stream = session.blocks()
    first = next(stream)
    assert len(first.samples) == 0
    (line,) = caplog.messages
    assert line == (
        "microphone: no audio input on this machine; is it plugged in? `edge devices` lists the "
        "inputs; trying again for as long as it takes"
    )
    sound = next(block for block in stream if len(block.samples))
    assert sound.start_sample >= 5 * RATE


def test_a_refused_format_is_tried_otherwise_and_for_ever() -> None:
    session = listening(count(4), channels=2, config=AudioConfig(channel=1))
    session.audio.refused = [Format(sample_rate_hz=RATE, channels=2)]
    blocks = recorded(session)
    assert session.audio.opened[0].channels == 1
    np.testing.assert_array_equal(np.concatenate([names(b) for b in blocks]), np.arange(4 * RATE))


@pytest.mark.parametrize(("channel", "factor"), [(1, 1.0), (2, 3.0), ("mix", 2.0)])
def test_channel(channel: int, factor: float) -> None:
    samples = np.stack([count(1), 3 * count(1)], axis=1)
    session = listening(samples, config=AudioConfig(channel=channel))
    np.testing.assert_allclose(
        np.concatenate([b.samples for b in session.blocks()]), factor * count(1), rtol=1e-6
    )


def test_resampling_as_a_stream_is_resampling_at_once() -> None:
    import soxr

    samples = noise(3, 48_000)
    session = listening(samples, rate_hz=48_000, out_hz=22_050)
    np.testing.assert_allclose(
        np.concatenate([b.samples for b in session.blocks()]),
        soxr.resample(samples, 48_000, 22_050, quality="HQ"),
        atol=1e-6,
    )
    assert not session.gaps


def test_a_reader_that_is_too_late_drops_the_oldest() -> None:
    session = listening(
        count(20), config=AudioConfig.model_construct(buffer_s=2.0)
    )  # less than may be configured
    blocks = []
    for block in session.blocks():
        blocks.append(block)
        if 5 * RATE <= block.start_sample < 5 * RATE + 400:
            session.timer.wait(session.source._stop, 6.0)  # slow inference
    dropped = [gap for gap in session.gaps if gap.reason == "dropped"]
    assert sum(gap.end_sample - gap.start_sample for gap in dropped) == pytest.approx(
        4 * RATE, abs=0.3 * RATE
    )
    assert whole(blocks)


def test_positions_follow_the_clock() -> None:
    session = listening(count(10))
    list(session.blocks())
    rates = [(b[0] - a[0]) / (b[1] - a[1]) for a, b in pairwise(session.positions[40::20])]
    np.testing.assert_allclose(rates, RATE, rtol=1e-3)


def test_stop_ends_even_when_there_is_no_microphone() -> None:
    session = listening(count(1))
    session.audio.present = False
    stream = session.blocks()
    next(stream)
    session.source.stop()
    assert list(stream)[-1].last


def test_a_cancelled_mix_is_silent_and_its_channels_are_not() -> None:
    left = noise(3, RATE)
    session = listening(np.stack([left, -left], axis=1))
    swings = [session.source.swing for block in session.blocks() if len(block.samples)]
    assert min(swings[10:-1]) > 0.1
    session = listening(np.stack([left, -left], axis=1), config=AudioConfig(channel=1))
    np.testing.assert_array_equal(np.concatenate([b.samples for b in session.blocks()]), left)


def test_what_no_sound_has_is_told_once_a_chunk_and_becomes_silence() -> None:
    samples = noise(2, RATE)
    samples[[100, 101, 9000]] = [1e20, np.nan, -np.inf]
    session = listening(samples)
    heard = np.concatenate([b.samples for b in session.blocks()])
    samples[[100, 101, 9000]] = 0
    np.testing.assert_array_equal(heard, samples)
    assert session.invalid == [2, 1]


@pytest.mark.parametrize("out_hz", [RATE, 5000])
def test_what_the_card_gave_is_handed_on_as_it_was(out_hz: int) -> None:
    """Each run of it says where it begins in the stream of the blocks."""
    sound = np.stack([count(12), noise(12, RATE)], axis=1)
    session = listening(sound, out_hz=out_hz, config=AudioConfig(channel=2))
    session.audio.at = [
        (5.0, lambda: setattr(session.audio, "deaf", True)),
        (6.5, lambda: setattr(session.audio, "deaf", False)),
    ]
    list(session.blocks())
    starts = [audio.start_sample for audio in session.card if audio.start_sample is not None]
    assert starts == [0, *(gap.end_sample for gap in session.gaps)]
    assert len(starts) == 2
    at = [i for i, audio in enumerate(session.card) if audio.start_sample is not None]
    runs = (session.card[: at[1]], session.card[at[1] :])
    for run, start in zip(runs, starts, strict=True):
        samples = np.concatenate([audio.samples for audio in run])
        place = int(np.flatnonzero(sound[:, 1] == samples[0])[0])
        np.testing.assert_array_equal(samples, sound[place : place + len(samples), 1])
        assert place / RATE == pytest.approx(start / out_hz, abs=0.1)
        assert {audio.sample_rate_hz for audio in run} == {RATE}


def test_the_memory_is_bounded_at_any_rate(caplog: pytest.LogCaptureFixture) -> None:
    config = AudioConfig(buffer_s=3600, memory_mb=8)
    with caplog.at_level(logging.WARNING):
        list(listening(count(1), config=config).blocks())
    assert caplog.messages == [
        "audio.memory_mb = 8 holds 250 of the 3600 s of audio.buffer_s at 8000 Hz"
    ]
    assert config.memory().buffer_samples(RATE) * 4 <= 8e6


def device(name: str, *, channels: int = 1, card: str = "", default: bool = False) -> Device:
    return Device(
        name=name, card=card, channels=channels, sample_rate_hz=48_000, index=0, default=default
    )


DEVICES = [
    device("HDA Intel (hw:0,0)", card="PCH"),
    device("USB Mic: Audio (hw:2,0)", card="Mic"),
    device("USB Mic 2: A (hw:3,0)"),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("USB Mic: Audio", 1),
        ("usb mic", 1),
        ("Mic", 1),
        ("mic 2", 2),
        ("USB Mic: Audio (hw:2,0)", 1),
        (None, 0),
    ],
)
def test_a_device_is_chosen_by_a_name_that_lasts(wanted: str | None, index: int) -> None:
    assert choose_device(DEVICES, wanted) is DEVICES[index]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"K\xc3\xa4fer", "Käfer"),
        (b"K\xe4fer", "Käfer"),
        ("Käfer", "Käfer"),
        (b"bad\nname\x1b[31m\xff", "bad?name?[31mÿ"),
        ("マイク".encode(), "マイク"),
        ("マイク", "マイク"),
    ],
)
def test_any_name_is_readable_and_can_be_configured(name: str | bytes, shown: str) -> None:
    text = readable(name)
    assert text == shown
    assert text.isprintable()
    text.encode("utf-8")
    found = [device("HDA Intel (hw:0,0)"), device(f"{text} (hw:1,0)")]
    for wanted in (text, text.upper(), unicodedata.normalize("NFD", text)):
        assert choose_device(found, wanted) is found[1]


def test_the_error_for_an_unknown_name_lists_the_inputs() -> None:
    with pytest.raises(AudioError, match=r"'barn'.*HDA Intel, USB Mic: Audio") as error:
        choose_device(DEVICES, "barn")
    assert "`edge devices`" in error.value.fault.suggestion


def test_formats() -> None:
    def tried(channels: int, **settings: object) -> list[tuple[int, int]]:
        config = AudioConfig.model_validate(settings)
        found = formats(device("x", channels=channels), config)
        return [(form.sample_rate_hz, form.channels) for form in found]

    assert tried(1)[:2] == [(48_000, 1), (44_100, 1)]
    assert tried(4, rate_hz=96_000) == [(96_000, 4)]
    # All channels of a sound server: of fewer, each would be a mean.
    assert tried(2, channel=1, rate_hz=8000) == [(8000, 2)]
    assert tried(8, channel=3, rate_hz=8000) == [(8000, 8)]
    with pytest.raises(AudioError, match="channel 3"):
        tried(2, channel=3)


@pytest.mark.parametrize("offered", [9, 32, 64, 128])
def test_channels_that_a_plug_in_invents_are_not_all_opened(offered: int) -> None:
    def first(channel: int | str) -> int:
        config = AudioConfig.model_validate({"channel": channel})
        return next(formats(device("pulse", channels=offered), config)).channels

    assert first("mix") == 2
    assert [first(channel) for channel in (1, 2, 8)] == [8, 8, 8]
    assert first(9) == 9
    assert device("pulse", channels=offered).channels_text == f"up to {offered} channels"


@pytest.mark.parametrize("channel", [1, 18, "mix"])
def test_a_card_is_opened_with_all_of_its_channels(channel: int | str) -> None:
    card = device("Scarlett 18i20: USB Audio (hw:2,0)", channels=18)
    config = AudioConfig.model_validate({"channel": channel, "rate_hz": 48_000})
    counts = [form.channels for form in formats(card, config)]
    assert counts[0] == 18
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == (18 if channel == 18 else 1)
    assert card.channels_text == "18 channels"


def test_waits_grow_and_differ() -> None:
    backoff = Backoff(first_s=1, longest_s=8, chance=lambda: 0.0)
    assert [backoff.next_s() for _ in range(5)] == [1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.next_s() == 1
    assert 0.5 <= Backoff(first_s=1).next_s() <= 1
