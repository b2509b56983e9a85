from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge.errors import UserError
from tests.train.synthetic import corpus, outputs
from train.windows.outputs import WindowOutputs


def test_outputs_read_back(tmp_path: Path) -> None:
    written = outputs(corpus())
    written.save(tmp_path / "deep" / "outputs.npz")
    read = WindowOutputs.load(tmp_path / "deep" / "outputs.npz")
    assert read.labels == written.labels
    for name in ("recording", "start_s", "active", "embedding", "logits"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        assert getattr(read, name).dtype == getattr(written, name).dtype


def test_a_selection_keeps_columns_together() -> None:
    everything = outputs(corpus())
    mask = everything.active
    chosen = everything.select(mask)
    assert len(chosen) == mask.sum()
    np.testing.assert_array_equal(chosen.logits, everything.logits[mask])
    with pytest.raises(ValueError, match="fit together"):
        dataclasses.replace(everything, active=everything.active[1:])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outputs.npz"
    with pytest.raises(UserError, match="no such file"):
        WindowOutputs.load(path)
    outputs(corpus()).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"outputs\.npz"):
        WindowOutputs.load(path)
