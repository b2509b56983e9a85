"""BirdNET tells people from animals where a recorder's privacy needs it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from deploy.importing.birdnet import import_birdnet, installed_birdnet
from edge.detect.engines import load_model
from edge.detect.privacy import Privacy, PrivacyConfig
from edge.types import Array, Window

pytestmark = [pytest.mark.birdnet, pytest.mark.data]

WINDOW, RATE_HZ = 144_000, 48_000
WINDOWS = 60


def windows(folder: Path, column: str, value: str) -> Iterator[Array]:
    """Yield up to three windows of each recording; a shorter one is repeated, as in a replay."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        paths = [folder / row["path"] for row in csv.DictReader(file) if row[column] == value]
    for path in paths[:: max(1, len(paths) // WINDOWS)]:
        rate_hz = soundfile.info(path).samplerate
        samples, _ = soundfile.read(path, frames=10 * rate_hz, dtype="float32", always_2d=True)
        mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
        mono = np.resize(mono, max(len(mono), WINDOW))
        for start in range(0, min(len(mono) - WINDOW + 1, 3 * WINDOW), WINDOW):
            yield mono[start : start + WINDOW].astype(np.float32)


def test_people_are_found_and_animals_are_not_taken_for_them(
    recordings: Path, tmp_path: Path
) -> None:
    model = load_model(import_birdnet(installed_birdnet(), tmp_path / "birdnet"))
    privacy = Privacy(PrivacyConfig(dog="drop_clip"), [model.bundle.labels])

    def share(column: str, value: str) -> float:
        found = []
        for samples in islice(windows(recordings, column, value), WINDOWS):
            window = Window(
                start_sample=0, end_sample=WINDOW, samples=samples, sample_rate_hz=RATE_HZ
            )
            found.append(privacy.found(model.predict(window)) is not None)
        return float(np.mean(found))

    shares = {
        "words": share("label", "speech"),
        "dogs": share("label", "dog_bark"),
        "animals": share("role", "known"),
        "others": share("role", "unknown"),
    }
    print(shares)
    assert shares["words"] > 0.5
    assert shares["dogs"] > 0.8
    assert shares["animals"] < 0.02
    assert shares["others"] < 0.05
