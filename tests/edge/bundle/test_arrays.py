"""Files of named arrays: what is in them is read, and any other bytes are one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from edge.bundle.arrays import NotArraysError, read_arrays
from tests.support.damage import CHANGES, KEPT, Changes, damaged

ARRAYS = {"numbers": np.arange(40.0), "names": np.array(["a", "bc"]), "text": np.array("{}")}


@pytest.fixture(params=[np.savez, np.savez_compressed])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    request.param(tmp_path / "arrays.npz", **ARRAYS)
    return tmp_path / "arrays.npz"


def test_what_is_written_is_read(file: Path) -> None:
    found = read_arrays(file)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "arrays.npz")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, kept=KEPT)
def test_damage_is_one_line_or_arrays(file: Path, changes: Changes, kept: float) -> None:
    other = file.with_name("damaged.npz")
    other.write_bytes(damaged(file.read_bytes(), changes, kept))
    found, reason = read_or_refused(other)
    assert len(reason.splitlines()) <= 1
    assert all(isinstance(array, np.ndarray) for array in found.values())


def read_or_refused(file: Path) -> tuple[dict[str, NDArray[Any]], str]:
    try:
        return read_arrays(file), ""
    except NotArraysError as exc:
        return {}, str(exc)


@pytest.mark.parametrize("flag", [1, 0x40])  # a password; strong encryption
def test_an_encrypted_member_is_one_line(file: Path, flag: int) -> None:
    content = bytearray(file.read_bytes())
    for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + offset] |= flag
    file.write_bytes(content)
    with pytest.raises(NotArraysError):
        read_arrays(file)


def test_an_unknown_compression_is_one_line(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 97
    file.write_bytes(content)
    with pytest.raises(NotArraysError, match="compression"):
        read_arrays(file)


def test_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", evil=np.array([object()], dtype=object))
    with pytest.raises(NotArraysError, match="allow_pickle"):
        read_arrays(tmp_path / "objects.npz")
