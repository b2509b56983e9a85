"""What tests of several rooms of training share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train.numbered import Make, training_windows
from train.corpus.corpus import Recording
from train.windows.dataset import TrainingWindows


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Training windows of recordings whose components say which frame they are."""

    def build(recordings: list[Recording], **sampling: Any) -> TrainingWindows:
        return training_windows(tmp_path, recordings, **sampling)

    return build
