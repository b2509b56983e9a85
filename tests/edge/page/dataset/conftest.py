"""A dataset of several sites, heard once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle
from tests.support.labs import hear, season_of_sites


@pytest.fixture(scope="package")
def season(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of several sites."""
    return season_of_sites(tmp_path_factory.mktemp("season"))


@pytest.fixture(scope="package")
def dataset(bundle: Bundle, season: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was heard in them."""
    folder = tmp_path_factory.mktemp("archive") / "dataset"
    hear(bundle, folder, season)
    return folder
