"""What lies among the parts of a dataset and is none counts nowhere, and is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge.archive.activity import activity_of
from edge.archive.part_files import strange_files
from edge.bundle import Bundle
from tests.support.archives import archive, heard_season

TABLES = ("files", "detections", "embeddings")
COPIES = ("part-0000001 (1).parquet", "part-0000001.sync-conflict-1.parquet")


@pytest.fixture(scope="module")
def heard(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard_season(tmp_path_factory.mktemp("parts"), 2, bundle)


@pytest.fixture
def copied(heard: Path, tmp_path: Path) -> Path:
    """A dataset with copies of its parts beside them, and below."""
    dataset = tmp_path / "dataset"
    shutil.copytree(heard, dataset)
    for table in TABLES:
        part = min((dataset / table).glob("part-*.parquet"))
        for name in COPIES:
            shutil.copy(part, part.with_name(name))
        (dataset / table / "old").mkdir()
        shutil.copy(part, dataset / table / "old")
    return dataset


def test_status_says_what_is_not_read(heard: Path, copied: Path) -> None:
    (copied / "files" / "._part-0000001.parquet").write_bytes(b"of macOS")
    lines, before = (archive("status", dataset).stdout.splitlines() for dataset in (copied, heard))
    (said,) = [line for line in lines if line.startswith("not read ")]
    for table in TABLES:
        assert all(f"{table}/{name}" in said for name in (*COPIES, "old/part-0000001.parquet"))
    assert "._part" not in said
    assert [line for line in lines if line != said][1:] == before[1:]
    assert strange_files(heard, TABLES) == []


def test_nothing_counts_twice(
    heard: Path, copied: Path, bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert activity_of(copied).heard_s.sum() == activity_of(heard).heard_s.sum() > 0
    assert f"{COPIES[0]} is no part of the dataset, and is not read" in caplog.text
    clip = heard.parent / "pond" / "20240501_050000.wav"
    searched = ("--bundle", bundle.path, "--at", "0", "--format", "csv")
    found = [archive("search", dataset, clip, *searched).stdout for dataset in (copied, heard)]
    assert found[0] == found[1] != ""
    compared = archive("compare", heard, copied).stdout
    assert compared.splitlines()[0] == "2 recordings heard by both"
    rescored = archive("rescore", copied, "--bundle", bundle.path, "--out", tmp_path / "new")
    assert rescored.exit_code == 0
    assert archive("compare", copied, tmp_path / "new").stdout == compared


def test_a_recording_that_is_in_two_parts_is_judged_once(
    heard: Path, bundle: Bundle, tmp_path: Path
) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(heard, dataset)
    for table in TABLES:
        part = max((dataset / table).glob("part-*.parquet"))
        shutil.copy(part, part.with_name("part-0000099.parquet"))
    rescored = archive("rescore", dataset, "--bundle", bundle.path, "--out", tmp_path / "new")
    assert rescored.exit_code == 0
    assert ": 2 recordings judged again: " in rescored.stderr
