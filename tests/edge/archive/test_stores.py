"""Recordings in an object store: a real server of S3 on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from edge.archive.stores import at_hand, fingerprint_in_store
from edge.bundle import Bundle
from edge.replay.recordings import Recording
from tests.support.archives import rows, season
from tests.support.clusters import ROOT
from tests.support.object_store import object_store, store_environment, upload

BUCKET = "season"
OURS = ("path", "site", "heard_utc", "modified_utc", "head_sha256", "etag", "size_bytes")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with object_store() as server:
        yield server


@pytest.fixture
def environment(server: str, tmp_path: Path) -> dict[str, str]:
    return store_environment(server, tmp_path)


def hear(
    environment: dict[str, str], out: Path, *arguments: Any
) -> subprocess.CompletedProcess[str]:
    return archive(environment, "hear", "--out", out, *arguments)


def archive(environment: dict[str, str], *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge.cli", "archive", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def sound_of(dataset: Path, table: str) -> list[dict[str, Any]]:
    found = [
        {name: cell for name, cell in row.items() if name not in OURS}
        for row in rows(dataset, table)
    ]
    return sorted(found, key=repr)


def test_what_stands_in_a_store_is_heard_as_what_stands_here(
    bundle: Bundle, environment: dict[str, str], tmp_path: Path
) -> None:
    files = season(tmp_path / "pond", 3)
    upload(environment, BUCKET, "2024/pond", *files)
    upload(environment, BUCKET, "2024/notes", __file__)
    options = ("--bundle", bundle.path, "--hop-s", "0.5")
    there, here = tmp_path / "there", tmp_path / "here"
    result = hear(environment, there, f"s3://{BUCKET}/2024", *options)
    assert result.returncode == 0, result.stderr
    assert hear(environment, here, tmp_path / "pond", *options).returncode == 0
    for table in ("detections", "files"):
        assert sound_of(there, table) == sound_of(here, table)
    found = rows(there, "files")
    assert [row["path"] for row in found] == [
        f"s3://{BUCKET}/2024/pond/{os.path.basename(file)}" for file in files
    ]
    assert {row["site"] for row in found} == {"pond"}
    assert all(len(row["etag"]) == 32 and row["head_sha256"] is None for row in found)

    upload(environment, BUCKET, "2024/pond", files[1])  # the same content, a later time
    changed = tmp_path / os.path.basename(files[2])
    changed.write_bytes(Path(files[0]).read_bytes())
    upload(environment, BUCKET, "2024/pond", str(changed))
    result = hear(environment, there, f"s3://{BUCKET}/**/*.wav", *options)
    assert "2 there already, 1 heard" in result.stderr


def test_clips_are_cut_from_what_stands_in_a_store(
    bundle: Bundle, environment: dict[str, str], tmp_path: Path
) -> None:
    files = season(tmp_path / "brook", 2)
    upload(environment, BUCKET, "clips/brook", *files)
    options = ("--bundle", bundle.path, "--hop-s", "0.5", "--embeddings", "float16")
    found = {}
    for name, given in (("there", f"s3://{BUCKET}/clips"), ("here", tmp_path / "brook")):
        dataset = tmp_path / name
        assert hear(environment, dataset, given, *options).returncode == 0
        like = rows(dataset, "detections")[0]["id"]
        search = ("search", dataset, "--like", like, "--top", 8, "--format", "clips", "--out")
        result = archive(environment, *search, tmp_path / f"clips-{name}")
        assert result.returncode == 0, result.stderr
        clips = (tmp_path / f"clips-{name}").glob("*.wav")
        found[name] = {file.name: file.read_bytes() for file in clips}
    assert len(found["there"]) == 8
    assert found["there"] == found["here"]

    upload(environment, BUCKET, "clips/brook", files[0])  # the same, at another time
    changed = tmp_path / os.path.basename(files[1])
    changed.write_bytes(Path(files[0]).read_bytes())
    upload(environment, BUCKET, "clips/brook", str(changed))
    result = archive(environment, "search", tmp_path / "there", *search[2:], tmp_path / "again")
    url = f"s3://{BUCKET}/clips/brook/{changed.name}"
    assert result.returncode == 1
    assert f"{url}: has changed since it was heard" in result.stderr
    stem = changed.stem
    assert not [clip.name for clip in (tmp_path / "again").glob(f"*{stem}*")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("s3://nowhere/season", "INPUT = s3://nowhere/season: no recording is there"),
        ("nonsense://a/b", "INPUT = nonsense://a/b: is no place that can be read ("),
        ("/nowhere/*.wav", "INPUT = /nowhere/*.wav: no file has a name like this"),
    ],
)
def test_what_is_not_there_is_one_line(
    bundle: Bundle, environment: dict[str, str], tmp_path: Path, given: str, said: str
) -> None:
    result = hear(environment, tmp_path / "dataset", given, "--bundle", bundle.path)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr
    assert said in result.stderr
    assert not (tmp_path / "dataset").exists()


def test_a_store_that_denies_is_one_line(
    bundle: Bundle, server: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    place = f"s3://{BUCKET}/2024"
    options = (place, "--bundle", bundle.path)
    keyless = {k: v for k, v in environment.items() if not k.startswith("AWS_")}
    keyless |= {"AWS_ENDPOINT_URL": server, "AWS_EC2_METADATA_DISABLED": "true"}
    result = hear(keyless, tmp_path / "dataset", *options)
    assert "the store cannot be read (NoCredentialsError: " in result.stderr
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    only_known_keys(server, after="0")
    try:
        result = hear(environment, tmp_path / "dataset", *options)
    finally:
        only_known_keys(server, after="inf")
    assert result.stderr.startswith(f"error: INPUT = {place}: the store denies it (")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)


def only_known_keys(server: str, *, after: str) -> None:
    """Let the server ask for keys that it knows, after so many requests."""
    address, kind = f"{server}/moto-api/reset-auth", {"Content-Type": "text/plain"}
    request = urllib.request.Request(address, after.encode(), kind)
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def test_the_date_in_a_name_is_read_whatever_else_is_in_it(
    bundle: Bundle, environment: dict[str, str], tmp_path: Path
) -> None:
    """What ends the path of a page ends no key of a store."""
    [file] = season(tmp_path / "odd", 1)
    names = [f"{odd}_20240504_053000.wav" for odd in ("site#1", "who?", "pc%20", "st[1]r")]
    for name in names:
        Path(file).with_name(name).write_bytes(Path(file).read_bytes())
    upload(environment, BUCKET, "odd/pond", *(str(Path(file).with_name(name)) for name in names))
    dataset = tmp_path / "dataset"
    result = hear(environment, dataset, f"s3://{BUCKET}/odd", "--bundle", bundle.path)
    assert result.returncode == 0, result.stderr
    found = {row["path"].rpartition("/")[2]: row for row in rows(dataset, "files")}
    assert set(found) == set(names)
    assert {row["clock_source"] for row in found.values()} == {"name"}
    assert {f"{row['start_utc']:%Y%m%d_%H%M%S}" for row in found.values()} == {"20240504_053000"}


@pytest.mark.parametrize(
    ("info", "known"),
    [
        ({"LastModified": datetime(2020, 2, 2, tzinfo=timezone.utc)}, True),
        ({"mtime": 1580601600.0}, True),
        ({"updated": "2020-02-02T00:00:00.000Z"}, True),
        ({"mtime": float("nan"), "modified": "yesterday", "created": 1580601600.0}, False),
        ({"mtime": 1e18}, False),
        ({"mtime": datetime(2020, 2, 2)}, False),  # in whose zone?
    ],
)
def test_a_store_tells_when_a_recording_was_changed_or_its_head_does(
    info: dict[str, object], known: bool, tmp_path: Path
) -> None:
    """Where neither is told, another sound of the same length is another recording, and no date is
    taken from the copy.
    """

    class Told(MemoryFileSystem):  # type: ignore[misc]  # which has no types
        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path.removeprefix("told:/")

        def info(self, path: str, **options: Any) -> dict[str, Any]:
            return {"name": path, "size": 3, "type": "file", **info}

    fsspec.register_implementation("told", Told, clobber=True)
    prints = []
    for content in (b"abc", b"abd"):
        Told().pipe("/pond/a.wav", content)
        prints.append(fingerprint_in_store("told://pond/a.wav"))
    assert (prints[0] == prints[1]) == known
    with at_hand(Recording(file="told://pond/a.wav", name="a")) as copy:
        since_s = os.stat(copy.file).st_mtime
    assert since_s == (1580601600.0 if known else 0.0)
