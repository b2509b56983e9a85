"""The file of windows: what is written is read, and any other file is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle.windows import COLUMNS, KNOWN, QUIET, UNKNOWN, Split, Windows, read, write
from edge.errors import UserError
from train.judging import truth

SHAPE = (2, 5, 7)


def split(seed: int, n: int = 6) -> Split:
    kind = np.array([KNOWN, QUIET, UNKNOWN, "noise: rain", KNOWN, KNOWN])[:n]
    return Split(
        features=np.random.default_rng(seed).random((n, *SHAPE), np.float32),
        recording=np.arange(n),
        species=np.where(kind == KNOWN, 1, -1),
        kind=kind,
        origin=np.where(kind == QUIET, KNOWN, kind),
    )


@pytest.fixture
def windows() -> Windows:
    return Windows(
        frontend="f" * 64,
        training_data="0" * 64,
        labels=("low_hummer", "mid_whistler"),
        calibration=np.random.default_rng(0).random((3, *SHAPE), np.float32),
        validation=split(1),
        test=split(2),
    )


@pytest.fixture
def file(tmp_path: Path, windows: Windows) -> Path:
    write(tmp_path / "windows.npz", windows)
    return tmp_path / "windows.npz"


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert "'edge-train windows'" in message
    return message


def changed(file: Path, **arrays: Any) -> Path:
    """Replace arrays of the file by their names, or leave one out with None."""
    with np.load(file) as written:
        kept = {name: a for name, a in {**written, **arrays}.items() if a is not None}
    np.savez(file, **kept)
    return file


def test_what_is_written_is_read(file: Path, windows: Windows) -> None:
    found = read(file)
    assert (found.frontend, found.training_data) == (windows.frontend, windows.training_data)
    assert found.labels == windows.labels
    np.testing.assert_array_equal(found.calibration, windows.calibration)
    for ours, theirs in ((found.validation, windows.validation), (found.test, windows.test)):
        for column in COLUMNS:
            np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
            assert getattr(ours, column).dtype == getattr(theirs, column).dtype
        assert ours.known.tolist() == [True, False, False, False, True, True]
    assert [path.name for path in file.parent.iterdir()] == ["windows.npz"]


def test_the_names_on_the_disk_are_those_of_every_file_written_so_far(file: Path) -> None:
    columns = ("features", "recording", "species", "kind", "origin")
    with np.load(file) as arrays:
        assert arrays["format"] == 1
        assert list(arrays) == [
            "format",
            "frontend",
            "training_data",
            "labels",
            "train_features",
            *(f"validation_{column}" for column in columns),
            *(f"test_{column}" for column in columns),
        ]


def test_training_has_the_same_words() -> None:
    words = (truth.KNOWN, truth.UNKNOWN, truth.BACKGROUND, truth.LEFT_OUT, truth.QUIET)
    assert words == (
        "known species",
        "unknown species",
        "background",
        "species left out",
        "quiet windows",
    )


def test_a_missing_file_says_what_writes_it(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "windows.npz")


@pytest.mark.parametrize("content", [b"", b"not arrays", b"PK\x03\x04", b"\x93NUMPY\x01"])
def test_a_foreign_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "windows.npz"
    path.write_bytes(content)
    assert "cannot be read as windows" in refused(path)


def test_a_single_array_is_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    assert "single array" in refused(tmp_path / "one.npy")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_one_line(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    assert "cannot be read as windows" in refused(file)


def test_a_damaged_file_is_one_line(file: Path) -> None:
    content = bytearray(file.read_bytes())
    place = len(content) // 2
    content[place] ^= 0xFF
    file.write_bytes(content)
    assert "cannot be read as windows" in refused(file)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"format": np.array(2)}, "format 2, this program reads 1"),
        ({"format": np.array("one")}, "format one, this program reads 1"),
        ({"format": np.ones(2)}, "format [1. 1.], this program reads 1"),
        ({"format": None}, "format is missing"),
        ({"labels": None}, "labels is missing"),
        ({"validation_origin": None}, "validation_origin is missing"),
        ({"train_features": np.zeros((3, 5, 7), np.float32)}, "train_features is an array of"),
        ({"test_features": np.zeros((6, *SHAPE))}, "test_features is an array of float64"),
        ({"test_species": np.zeros(6)}, "test_species is an array of float64"),
        ({"test_kind": np.zeros(6, np.int64)}, "not one of str_ with 1 dimensions"),
        ({"test_recording": np.zeros(4, np.int64)}, "columns of test have different lengths"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arrays_that_are_missing_or_wrongly_shaped_are_named(
    file: Path, arrays: dict[str, Any], said: str
) -> None:
    assert said in refused(changed(file, **arrays))


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, windows: Windows) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "windows.npz"
    with pytest.raises(UserError, match="cannot be written") as caught:
        write(path, windows)
    assert "\n" not in str(caught.value)
