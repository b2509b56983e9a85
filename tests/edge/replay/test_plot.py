"""The picture of a recording."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.bundle import Bundle
from edge.cli import main
from edge.detect.engines import load_model
from edge.replay.attention import COLUMNS, Canvas, attention_over
from edge.replay.plot import spectrogram
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import noise, soundscape, write_audio
from tests.support.bundles import SPEC, choir_bundle, tone

pytest.importorskip("matplotlib", reason="--plot needs matplotlib")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", ["20240501_053000.wav", "a $\\frac$ [b].wav"])
def test_plot_is_a_png_and_the_output_is_as_without(
    bundle: Bundle, tmp_path: Path, name: str
) -> None:
    recording = write_audio(tmp_path / name, soundscape())
    plot = tmp_path / "plot.png"
    command = ["replay", recording, "--bundle", str(bundle.path), "--format", "jsonl"]
    drawn = CliRunner().invoke(main, [*command, "--plot", str(plot)])
    assert drawn.exit_code == 0
    assert plot.read_bytes().startswith(PNG)
    assert drawn.stdout == CliRunner().invoke(main, command).stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "plot.png"])


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.png", PNG),
        ("a.PNG", PNG),
        ("a.jpg", b"\xff\xd8\xff"),
        ("a.jpeg", b"\xff\xd8\xff"),
        ("a.svg", b"<?xml"),
        ("a.pdf", b"%PDF-"),
    ],
)
def test_the_suffix_is_the_format(
    bundle: Bundle, recording: str, tmp_path: Path, name: str, start: bytes
) -> None:
    plot = tmp_path / name
    command = ["replay", recording, "--bundle", str(bundle.path), "--plot", str(plot)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert plot.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["fr\udcf8g \x1b[31m.wav", "жаба 🐸 \u202e.wav", "a\nb.wav"])
def test_any_name_can_be_a_title(bundle: Bundle, tmp_path: Path, name: str) -> None:
    write_audio(tmp_path / "new.wav", soundscape())
    os.rename(tmp_path / "new.wav", tmp_path / name)
    plot = str(tmp_path / "a.svg")
    command = ["replay", "--bundle", str(bundle.path), "--plot", plot, str(tmp_path / name)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert Path(plot).read_text(encoding="utf-8")


def test_a_gap_stays_empty_and_what_follows_is_in_its_place(
    replayer: Replayer, tmp_path: Path
) -> None:
    file = write_audio(tmp_path / "a.wav", tone(1000, 10))
    whole = spectrogram(replayer.replay(file), SPEC)
    assert not np.isnan(whole).any()
    # As when the recorder had left out as much again after the last sample that is there.
    longer = replace(replayer.replay(file), duration_s=20.0)
    half = spectrogram(longer, SPEC)
    filled = [not np.isnan(column).all() for column in half.T]
    assert all(filled[: len(filled) // 2])
    assert not any(filled[len(filled) // 2 + 1 :])


def test_a_bad_recording_leaves_no_plot(bundle: Bundle, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    result = CliRunner().invoke(
        main,
        ["replay", str(tmp_path / "no.wav"), "--bundle", str(bundle.path), "--plot", str(plot)],
    )
    assert result.exit_code == 1
    assert not plot.exists()


def test_the_spectrogram_shows_what_was_played_and_stays_narrow(
    replayer: Replayer, tmp_path: Path
) -> None:
    heard = replayer.replay(write_audio(tmp_path / "a.wav", tone(1000, 90)))
    levels = spectrogram(heard, SPEC)
    assert levels.shape[0] == 1 + SPEC.n_fft // 2
    assert 500 < levels.shape[1] <= COLUMNS
    peaks_hz = levels.argmax(axis=0) * SPEC.sample_rate_hz / SPEC.n_fft
    assert np.abs(peaks_hz[1:-1] - 1000).max() < 2 * SPEC.sample_rate_hz / SPEC.n_fft


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """It looks where it is loud."""
    return choir_bundle(
        tmp_path_factory.mktemp("bundle") / "seeing", frame_threshold=0.5, attention=True
    )


def melody() -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Low for 3 s, then high for 3 s, in faint noise."""
    return np.concatenate([tone(300, 3), tone(3000, 3)]) + noise(6, level=1e-3)


def test_attention_lies_over_the_spectrogram_where_the_network_looks(
    seeing: Bundle, tmp_path: Path
) -> None:
    import matplotlib.image

    recording = write_audio(tmp_path / "melody.wav", melody())
    pictures = {}
    for name, path in (
        ("with", seeing.path),
        ("without", choir_bundle(tmp_path / "blind", frame_threshold=0.5).path),
    ):
        plot = tmp_path / f"{name}.png"
        result = CliRunner().invoke(
            main, ["replay", recording, "--bundle", str(path), "--plot", str(plot)]
        )
        assert result.exit_code == 0, result.output
        pictures[name] = matplotlib.image.imread(plot)[..., :3]
    changed = np.abs(pictures["with"] - pictures["without"]).max(axis=2) > 0.05
    height, width = changed.shape
    assert 0.01 < changed.mean() < 0.5
    # 3000 Hz lies at 3/4 of the height and 300 Hz near its bottom; borders and labels take a tenth
    parts = {
        (when, where): changed[rows, columns].mean()
        for when, columns in (
            ("early", slice(width // 8, width * 3 // 8)),
            ("late", slice(width * 5 // 8, width * 7 // 8)),
        )
        for where, rows in (
            ("low", slice(height * 3 // 4, height * 9 // 10)),
            ("high", slice(height // 6, height * 2 // 5)),
        )
    }
    assert parts["early", "low"] > 5 * parts["late", "low"]
    assert parts["late", "high"] > 5 * parts["early", "high"]


def test_attention_in_time_is_a_strip_at_the_bottom(tmp_path: Path) -> None:
    import matplotlib.image

    sounds = melody()
    sounds[len(sounds) // 2 :] = noise(3, level=1e-3)
    file = write_audio(tmp_path / "half.wav", sounds)
    timing = choir_bundle(tmp_path / "timing", attention=True, time_attention=True)
    looked = attention_over(file, load_model(timing), duration_s=6.0, hop_s=0.5)
    assert looked is not None
    assert looked.in_time is not None
    assert looked.in_time.shape == (COLUMNS,)
    assert 0 <= looked.in_time.min() <= looked.in_time.max() <= 1 + 1e-6
    plot = tmp_path / "half.png"
    result = CliRunner().invoke(
        main, ["replay", file, "--bundle", str(timing.path), "--plot", str(plot)]
    )
    assert result.exit_code == 0, result.output
    picture = matplotlib.image.imread(plot)[..., :3]
    grey = (picture.max(axis=2) - picture.min(axis=2) < 0.02) & (picture.max(axis=2) < 0.999)
    blank = choir_bundle(tmp_path / "blank", attention=True)
    CliRunner().invoke(main, ["replay", file, "--bundle", str(blank.path), "--plot", str(plot)])
    without = matplotlib.image.imread(plot)[..., :3]
    rows = np.flatnonzero((np.abs(picture - without).max(axis=2) > 0.05).mean(axis=1) > 0.5)
    height = len(picture)
    assert 0.015 * height < len(rows) < 0.05 * height
    assert rows.min() > height * 0.8
    assert grey[rows].mean() > 0.3


def test_attention_is_the_mean_of_the_windows_that_overlap(seeing: Bundle, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "melody.wav", melody())
    judge = load_model(seeing)
    looked = attention_over(file, judge, duration_s=6.0, hop_s=0.5)
    assert looked is not None
    assert looked.strength.shape == (SPEC.n_mels, COLUMNS)
    assert looked.strength.mean() == pytest.approx(1, abs=1e-3), (
        "what all windows see adds up to an even gaze"
    )
    low, high = (int(np.searchsorted(looked.edges_hz, hz)) - 1 for hz in (300, 3000))
    early, late = slice(100, 900), slice(1100, 1900)
    assert looked.strength[low, early].mean() > 2
    assert looked.strength[low, late].mean() < 1
    assert looked.strength[high, late].mean() > 2
    assert looked.strength[high, early].mean() < 1
    assert looked.edges_hz[0] < looked.edges_hz[-1] < SPEC.fmax_hz


def test_where_two_windows_overlap_their_attention_is_averaged() -> None:
    canvas = Canvas(1, samples=12)  # a column each
    canvas.add(np.array([[1.0, 0.0]], np.float32), start=0, length=8)
    canvas.add(np.array([[0.25, 0.75]], np.float32), start=4, length=8)
    # evenly it would be 0.5 in each half
    np.testing.assert_allclose(canvas.mean()[0], [2] * 4 + [0.25] * 4 + [1.5] * 4)
    wide = Canvas(2, samples=12, most=3)  # columns of 4; only a half of the last is heard
    wide.add(np.array([[0.5, 0.5], [0.0, 0.0]], np.float32), start=2, length=8)
    np.testing.assert_allclose(wide.mean(), [[2, 2, 2], [0, 0, 0]])
    np.testing.assert_allclose(wide.weight, [2, 4, 2])


def test_a_network_without_attention_and_silence_have_no_veil(
    bundle: Bundle, seeing: Bundle, tmp_path: Path
) -> None:
    melodious = write_audio(tmp_path / "a.wav", melody())
    silent = write_audio(tmp_path / "b.wav", np.zeros(16_000, np.float32))
    assert attention_over(melodious, load_model(bundle), duration_s=6.0, hop_s=1.0) is None
    assert attention_over(silent, load_model(seeing), duration_s=2.0, hop_s=1.0) is None
    ensemble = Replayer(ReplaySettings(bundle=seeing.path, more_bundles=(seeing.path,)))
    assert ensemble.attention(ensemble.replay(melodious)) is None


def test_a_long_recording_takes_the_memory_of_a_picture(seeing: Bundle, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "long.wav", np.tile(melody(), 50))
    looked = attention_over(file, load_model(seeing), duration_s=300.0, hop_s=1.0)
    assert looked is not None
    assert looked.strength.shape == (SPEC.n_mels, COLUMNS)
    assert looked.strength.mean() == pytest.approx(1, abs=1e-3)
