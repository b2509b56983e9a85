"""A machine to install on, and two bundles."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle
from tests.support.bundles import tiny_bundle
from tests.support.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


@pytest.fixture
def other(tmp_path: Path) -> Bundle:
    """Another bundle that is sound by its manifest, though it fails on its golden window."""
    return tiny_bundle(tmp_path / "other", golden_error=0.5)
