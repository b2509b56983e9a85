"""Files and folders are whole or not there, whatever ends the writing."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from edge.files import replacing, replacing_folder, write_whole


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_appears_when_the_block_ends_well(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "new" / "table.csv"
    with replacing(path, durable=durable) as staging:
        assert (staging.parent, staging.suffix) == (path.parent, ".csv")
        staging.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["table.csv"]


def test_a_block_that_fails_leaves_the_old_file_and_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_whole(path, "old")

    def fail() -> None:
        with replacing(path) as staging:
            staging.write_text("half of the n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


def test_its_mode_is_as_of_any_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"\0")
        write_whole(tmp_path / "secret", b"\0", mode=0o600)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "secret")]
    assert modes == [0o640, 0o600]


def test_a_name_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".csv")
    write_whole(path, "x")
    assert path.read_text() == "x"


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    for content in ("first", "second"):
        with replacing_folder(path, durable=True) as staging:
            (staging / "inside").mkdir()
            (staging / "inside" / content).write_text(content)
        assert names(path / "inside") == [content]
    assert names(tmp_path) == ["bundle"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o700 == 0o700


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with replacing_folder(path) as staging:
        (staging / "model").write_text("old")

    def fail() -> None:
        with replacing_folder(path) as staging:
            (staging / "model").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (path / "model").read_text() == "old"
    assert names(tmp_path) == ["bundle"]


def test_what_must_survive_a_power_cut_is_synced_before_and_after_its_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    path = tmp_path / "detections.db"
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(path, "x", durable=True)
    (first, there_before), (second, there_after) = synced
    assert Path(first).parent == tmp_path
    assert (there_before, second, there_after) == (False, str(tmp_path), True)


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def fill() -> None:
        with replacing(tmp_path / "table.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as failed:
        fill()
    assert failed.value.filename == str(tmp_path / "table.csv")
    assert names(tmp_path) == []
