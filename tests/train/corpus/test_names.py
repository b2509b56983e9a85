"""Whatever names a stranger's files have: each is used, or left out with a reason."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge.errors import UserError
from edge.terminal import printable
from tests.train.corpus.test_prepare import sing
from train.commands.cli import main
from train.commands.prepared import prepared_corpus
from train.corpus.corpus import read_corpus
from train.corpus.prepare import Prepared, prepare
from train.corpus.quality import check_file
from train.corpus.readers import read_listing
from train.recipe.load import load_recipe

OWN = Path(__file__).resolve().parents[3] / "config" / "recipes" / "own.yaml"
QUIETLY: Any = {"workers": 1, "say": lambda line: None}
NOT_TEXT = "name is not UTF-8, rename it"
NOT_SHOWN = "name has characters that cannot be shown, rename it"
# A path below the collection, and why it is left out; "" where it is not.
NAMES = {
    b"owl/m\xf6nch.wav": NOT_TEXT,
    b"m\xf6nch/a.wav": NOT_TEXT,
    b"owl/a\nb.wav": NOT_SHOWN,
    b"owl/a\r.wav": NOT_SHOWN,
    b"ow\x1b[31ml/a.wav": NOT_SHOWN,
    "owl/\u202eab.wav".encode(): NOT_SHOWN,
    "owl/\u2028.wav".encode(): NOT_SHOWN,
    "owl/m\u00f6nch \u00a0\u4e2d.wav".encode(): "",
    "owl/\U0001f426.wav".encode(): "",
    b'owl/a;b, "c" | d.wav': "",
    b" owl / a.wav": "",
    b"owl/" + b"x" * 251 + b".wav": "",
    b"owl/a/b/c/d.wav": "",
}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    for s, name in enumerate(("crow", "owl")):
        for i in range(6):
            sing(root / name / f"{name}{i}.wav", seed=10 * s + i, seconds=0.2)
    sing(root / "noise" / "rain.wav", seed=50)
    return root


def prepared(collection: Path) -> Prepared:
    """The prepared corpus, which is UTF-8 and is read as it was written."""
    out = collection.parent / "corpus"
    found = prepare(collection, out, workers=1)
    for file in out.iterdir():
        assert file.is_dir() or file.read_bytes().decode()
    assert read_corpus(out).digest == found.corpus.digest
    assert [r.path for r in read_corpus(out).recordings] == [
        r.path for r in found.corpus.recordings
    ]
    return found


def test_a_file_is_used_or_left_out_with_the_reason(collection: Path) -> None:
    for seed, name in enumerate(NAMES):
        path = Path(os.fsdecode(os.fsencode(collection) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sing(collection.parent / "more.wav", seed=100 + seed, seconds=0.2), path)
    found = prepared(collection)
    below = os.fsencode(collection)
    used = {os.fsencode(r.path)[len(below) + 1 :] for r in found.corpus.recordings}
    left_out = {os.fsencode(q.recording.path)[len(below) + 1 :]: q for q in found.quarantine}
    assert {name: left_out[name].reason if name in left_out else "" for name in NAMES} == NAMES
    assert {name for name in NAMES if name in used} == {n for n, why in NAMES.items() if not why}
    assert f"{NOT_TEXT}: 2" in found.summary
    with (collection.parent / "corpus" / "quarantine.csv").open(newline="") as file:
        rows = [row["path"] for row in csv.DictReader(file)]
    assert set(rows) == {printable(os.fsdecode(name)) for name in left_out}
    again = prepared_corpus(load_recipe(OWN), [collection], work=collection.parent, **QUIETLY)
    assert again.digest == found.corpus.digest  # it is known for the same collection


def test_links_are_followed_and_never_in_circles(collection: Path) -> None:
    elsewhere = sing(collection.parent / "disk" / "tit" / "a.wav", seed=99, seconds=0.2)
    (collection / "tit").symlink_to(elsewhere.parent)
    (collection / "owl" / "again").symlink_to(collection / "owl")
    (collection / "owl" / "up").symlink_to("..")
    (collection / "crow" / "self.wav").symlink_to("self.wav")
    (collection / "crow" / "gone.wav").symlink_to("nothing.wav")
    listing = read_listing(collection)
    assert len(listing.recordings) == len({r.path for r in listing.recordings})
    assert {r.label for r in listing.recordings if r.role == "known"} == {"crow", "owl", "tit"}
    found = prepared(collection)
    assert len([r for r in found.corpus.recordings if r.role == "known"]) == 13


def test_what_is_no_file_is_not_opened(collection: Path) -> None:
    os.mkfifo(collection / "owl" / "pipe.wav")
    (collection / "owl" / "folder.wav").mkdir()
    (collection / "owl" / "zero.wav").symlink_to("/dev/zero")
    (collection / "nothing").mkdir()
    assert len(read_listing(collection).recordings) == 13
    assert check_file(collection / "owl" / "pipe.wav").fault == "unreadable (is not a file)"
    assert check_file(collection / "owl" / f"{'x' * 300}.wav").fault == (
        "unreadable (File name too long)"
    )
    assert check_file(collection / "owl" / "owl0.wav" / "a.wav").fault == "missing"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_may_not_be_read_is_told_without_its_path_twice(collection: Path) -> None:
    for folder in (collection, *collection.parents):
        if folder != Path("/"):
            folder.chmod(0o755)
    file, closed = collection / "owl" / "owl0.wav", collection / "crow"
    file.chmod(0)
    os.seteuid(65_534)
    try:
        assert check_file(file).fault == "unreadable (Permission denied)"
        os.seteuid(0)
        closed.chmod(0)
        os.seteuid(65_534)
        with pytest.raises(UserError) as raised:
            read_listing(collection)
    finally:
        os.seteuid(0)
    assert str(raised.value) == f"{closed}: cannot be read (Permission denied)"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("\U0001f426", "the label '' has 0 characters"),
        ("x" * 200, "has 200 characters, not 1 to 80"),
        ("Unknown", "the label 'unknown' is kept for what has none"),
    ],
)
def test_a_folder_whose_name_makes_no_label_is_named(
    collection: Path, name: str, reason: str
) -> None:
    sing(collection / name / "a.wav", seed=99, seconds=0.2)
    done = CliRunner().invoke(main, ["prepare", str(collection), "--out", str(collection / "o")])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {collection / name}: ")
    assert reason in done.stderr
    assert done.stderr.endswith("; rename the folder\n")
    assert done.stderr.count("\n") == 1
    assert not (collection / "o").exists()


@pytest.mark.parametrize("given", ["empty", "owl/owl0.wav", "m\udcf6", "out:m\udcf6"])
def test_a_collection_that_is_none_is_one_line_and_nothing_is_written(
    collection: Path, given: str
) -> None:
    (collection / "empty").mkdir()
    out, _, name = given.rpartition(":")
    source = collection / (name if not out else "owl")
    target = collection.parent / (name if out else "corpus")
    done = CliRunner().invoke(main, ["prepare", str(source), "--out", str(target)])
    assert done.exit_code in (1, 2)
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not target.exists()
