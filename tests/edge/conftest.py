"""What the tests of the device share."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import tiny_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="session")
def replayer(bundle: Bundle) -> Replayer:
    return Replayer(ReplaySettings(bundle=bundle.path, hop_s=0.5))


@pytest.fixture
def recording(tmp_path: Path) -> str:
    return write_audio(tmp_path / "20240501_053000.wav", soundscape())
