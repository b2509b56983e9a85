"""The picture of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.bundle import Bundle
from edge.cli import main
from edge.plot import COLUMNS, spectrogram
from edge.replay import Replayer
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import SPEC, tone

pytest.importorskip("matplotlib", reason="--plot needs matplotlib")
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", ["20240501_053000.wav", "a $\\frac$ [b].wav"])
def test_plot_is_a_png_and_the_output_is_as_without(bundle: Bundle, tmp_path: Path, name: str) -> None:
    recording = write_audio(tmp_path / name, soundscape())
    plot = tmp_path / "plot.png"
    command = ["replay", recording, "--bundle", str(bundle.path), "--format", "jsonl"]
    drawn = CliRunner().invoke(main, [*command, "--plot", str(plot)])
    assert (drawn.exit_code, drawn.stderr) == (0, "")
    assert plot.read_bytes().startswith(PNG)
    assert drawn.stdout == CliRunner().invoke(main, command).stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "plot.png"])


def test_a_bad_recording_leaves_no_plot(bundle: Bundle, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    result = CliRunner().invoke(main, ["replay", str(tmp_path / "no.wav"), "--bundle", str(bundle.path), "--plot", str(plot)])
    assert result.exit_code == 1
    assert not plot.exists()


def test_the_spectrogram_shows_what_was_played_and_stays_narrow(replayer: Replayer, tmp_path: Path) -> None:
    heard = replayer.hear(write_audio(tmp_path / "a.wav", tone(1000, 90)))
    levels = spectrogram(heard, SPEC)
    assert levels.shape[0] == 1 + SPEC.n_fft // 2
    assert 500 < levels.shape[1] <= COLUMNS
    peaks_hz = levels.argmax(axis=0) * SPEC.sample_rate_hz / SPEC.n_fft
    assert np.abs(peaks_hz[1:-1] - 1000).max() < 2 * SPEC.sample_rate_hz / SPEC.n_fft
