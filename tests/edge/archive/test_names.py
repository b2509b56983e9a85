"""Recordings under several names: each is heard once, and no two become one."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edge.archive.fingerprint import fingerprint_of
from edge.archive.hear import ArchiveJob
from edge.archive.names import spelled
from edge.archive.rows import path_cell
from edge.replay.recordings import find_recordings
from edge.replay.replayer import Replayer
from tests.support.archives import season, timeless


@pytest.fixture
def pond(tmp_path: Path) -> Path:
    season(tmp_path / "pond", 2)
    return tmp_path / "pond"


def hear(scheduler: str, replayer: Replayer, dataset: Path, *inputs: object) -> dict[str, int]:
    found = find_recordings([str(path) for path in inputs]).recordings
    fates = ArchiveJob(replayer, dataset).run(found, scheduler=scheduler).fates
    return {fate: count for fate, count in fates.items() if count}


def test_a_recording_with_several_names_is_heard_once(
    scheduler: str, replayer: Replayer, pond: Path, tmp_path: Path
) -> None:
    """Links to folders and to files, in one run and over several, in any order."""
    dataset, linked, file = tmp_path / "dataset", tmp_path / "linked", next(pond.iterdir())
    linked.symlink_to(pond)
    link, twin = tmp_path / "link.wav", tmp_path / "twin.wav"
    link.symlink_to(file)
    os.link(file, twin)
    fates = hear(scheduler, replayer, dataset, file, link, twin)
    assert fates == {"heard": 1, "given twice": 2}
    assert hear(scheduler, replayer, dataset, linked) == {"there already": 1, "heard": 1}
    before = timeless(dataset)
    assert len(before[1]) == 2
    for given in (pond, linked, link, twin, tmp_path / "pond" / ".." / "linked"):
        assert set(hear(scheduler, replayer, dataset, given)) == {"there already"}
    assert timeless(dataset) == before


def test_a_copy_is_another_recording(
    scheduler: str, replayer: Replayer, pond: Path, tmp_path: Path
) -> None:
    """As of a card that is in two places, which nobody can tell from two recordings."""
    dataset = tmp_path / "dataset"
    assert hear(scheduler, replayer, dataset, pond) == {"heard": 2}
    shutil.copytree(pond, tmp_path / "copy")
    assert hear(scheduler, replayer, dataset, tmp_path / "copy") == {"heard": 2}


def test_a_folder_above_a_link_is_the_one_that_the_system_means(tmp_path: Path) -> None:
    (tmp_path / "x" / "deep").mkdir(parents=True)
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "link").symlink_to(tmp_path / "x" / "deep")
    for place in ("x", "y"):
        (tmp_path / place / "r.wav").write_text(place)
    given = str(tmp_path / "y" / "link" / ".." / "r.wav")
    assert Path(spelled(given)).read_text() == Path(given).read_text() == "x"
    assert spelled(str(tmp_path / "y" / "link" / "r.wav")) == str(tmp_path / "y" / "link" / "r.wav")


def test_no_two_names_have_one_cell() -> None:
    pieces = ("", "\\", "\\\\", "\udcff", "xff", "xFF", "x7f", "\udc80", "x80")
    names = {a + b + c for a in pieces for b in pieces for c in pieces}
    assert len({path_cell(name) for name in names}) == len(names)
    assert path_cell("/pond/a\\b.wav") == "/pond/a\\b.wav"
    assert path_cell("/pond/caf\udce9.wav") == "/pond/caf\\xe9.wav"


def test_a_file_of_the_last_day_of_all_has_no_time() -> None:
    """A table would not be read again with it."""
    with TemporaryDirectory(dir="/dev/shm") as folder:  # a disk may have no such time
        file = Path(folder, "a.wav")
        file.write_bytes(b"sound")
        for year, is_told in ((2024, True), (9999, False)):
            since_s = datetime(year, 12, 31, tzinfo=timezone.utc).timestamp()
            os.utime(file, (since_s, since_s))
            assert file.stat().st_mtime == since_s
            found = fingerprint_of(str(file))
            assert found is not None
            assert (found.modified_utc is not None) == is_told
