"""A new head over what a network has said gives what hearing everything again gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.archive.schema import PRECISIONS
from edge.bundle import Bundle, Label
from edge.cli import main
from tests.support.archives import rows, season
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import tiny_bundle
from tests.support.heads import tiny_head

OWN = {
    Label(label="growler", common_name="Growler"): 0,
    Label(label="squeaker", common_name="Squeaker"): 2,
    Label(label="stranger", common_name="Stranger"): -1,
}
HEARD = ("--hop-s", "0.3", "--timezone", "Europe/Vienna")
SAME = ("id", "path", "label", "outcome", "nearest", "windows")
TOLERANCE = {"float16": 0.001, "int8": 0.02}  # of scores and novelty


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["archive", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def done(*arguments: str | Path) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


@pytest.fixture(scope="module")
def head(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    weights = np.random.default_rng(1).standard_normal((len(bundle.golden.embedding), 3))
    path = tmp_path_factory.mktemp("heads") / "head"
    return tiny_head(path, bundle, OWN, weights=weights.astype(np.float32), threshold=2.0)


def cells(dataset: Path, table: str, *, but: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    left_out = {"heard_utc", "embeddings", *but}
    return [
        {name: cell for name, cell in row.items() if name not in left_out}
        for row in rows(dataset, table)
    ]


@pytest.fixture(scope="module")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings of two sites: one is dead, one is no sound at all, one lasts half a window."""
    folder = tmp_path_factory.mktemp("season")
    season(folder / "pond", 3)
    season(folder / "wood", 1)
    write_audio(folder / "wood" / "20240502_050000.wav", soundscape()[:16_000] * 0)
    write_audio(folder / "wood" / "20240503_050000.wav", soundscape()[:4_000])
    (folder / "wood" / "20240504_050000.wav").write_bytes(b"RIFF")
    return folder


@pytest.fixture(scope="module")
def old(bundle: Bundle, pond: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    old = tmp_path_factory.mktemp("archive") / "old"
    run("hear", pond, "--out", old, "--bundle", bundle.path, "--embeddings", "float32", *HEARD)
    return old


@pytest.fixture(scope="module")
def heard_again(head: Bundle, pond: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    heard_again = tmp_path_factory.mktemp("archive") / "again"
    run("hear", pond, "--out", heard_again, "--bundle", head.word, *HEARD)
    return heard_again


def test_every_cell_is_that_of_hearing_it_again(
    old: Path, heard_again: Path, head: Bundle, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    said = done("rescore", old, "--out", new, "--bundle", head.word).stderr
    assert "6 recordings judged again" in said
    assert "other settings" not in said
    for table in ("detections", "files"):
        assert cells(new, table) == cells(heard_again, table)
    labels = {row["label"] for row in rows(new, "detections")}
    assert len(labels & {label.label for label in OWN}) > 1
    assert {row["site"] for row in rows(new, "files")} == {"pond", "wood"}
    for form in ("csv", "jsonl"):
        exported = [done("export", place, "--format", form).stdout for place in (new, heard_again)]
        assert exported[0] == exported[1]


@pytest.mark.parametrize("kind", ["smoothed", "list", "loudest"])
def test_with_other_settings_too(
    bundle: Bundle, old: Path, head: Bundle, pond: Path, tmp_path: Path, kind: str
) -> None:
    listed = tmp_path / "species.yaml"
    listed.write_text("- growler\n- squeaker\n")
    choice: dict[str, tuple[str | Path, ...]] = {
        "smoothed": ("--slide-s", "1", "--boost", "1.5"),
        "list": ("--offlist", "next", "--species", listed),
        "loudest": ("--channel", "loudest"),
    }
    options = choice[kind]
    new, heard_again = tmp_path / "new", tmp_path / "again"
    run("hear", pond, "--out", heard_again, "--bundle", head.word, *HEARD, *options)
    if kind == "loudest":  # how it was heard is known
        old = tmp_path / "old"
        with_bundle = ("--bundle", bundle.path, "--embeddings", "float32")
        run("hear", pond, "--out", old, *with_bundle, *HEARD, *options)
        options = ()
    said = done("rescore", old, "--out", new, "--bundle", head.word, *options).stderr
    assert ("judged with other settings" in said) == bool(options)
    for table in ("detections", "files"):
        assert cells(new, table) == cells(heard_again, table)
    assert len(rows(new, "detections")) > 3


@pytest.mark.data
def test_real_recordings_too(
    recordings: Path, bundle: Bundle, head: Bundle, tmp_path: Path
) -> None:
    for folder in ("known", "background"):
        for file in sorted((recordings / folder).rglob("*.*"))[:2]:
            (tmp_path / "in" / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, tmp_path / "in" / folder)
    given = tmp_path / "in"
    done(
        "hear", given, "--out", tmp_path / "old", "--bundle", bundle.path, "--embeddings", "float32"
    )
    done("hear", given, "--out", tmp_path / "expected", "--bundle", head.word)
    done("rescore", tmp_path / "old", "--out", tmp_path / "new", "--bundle", head.word)
    for table in ("detections", "files"):
        assert cells(tmp_path / "new", table) == cells(tmp_path / "expected", table)
    assert len(rows(tmp_path / "new", "detections")) > 3


@pytest.mark.parametrize("precision", [p for p in PRECISIONS if p != "float32"])
def test_less_exact_embeddings_give_the_same_labels(
    bundle: Bundle, heard_again: Path, head: Bundle, pond: Path, tmp_path: Path, precision: str
) -> None:
    less, new = tmp_path / "less", tmp_path / "new"
    run("hear", pond, "--out", less, "--bundle", bundle.path, "--embeddings", precision, *HEARD)
    done("rescore", less, "--out", new, "--bundle", head.word)
    found, expected = rows(new, "detections"), rows(heard_again, "detections")
    for a, b in zip(found, expected, strict=True):
        assert [a[name] for name in SAME] == [b[name] for name in SAME]
        for name in ("start_s", "end_s"):
            assert a[name] == pytest.approx(b[name], abs=0.02)
        for name in ("score", "novelty"):
            assert a[name] == pytest.approx(b[name], abs=TOLERANCE[precision])
    assert cells(new, "files") == cells(heard_again, "files")
    errors = [abs(a["score"] - b["score"]) for a, b in zip(found, expected, strict=True)]
    assert max(errors) > 0


def test_what_is_there_is_not_judged_again(
    bundle: Bundle, head: Bundle, pond: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with_bundle = ("--bundle", bundle.path, "--embeddings", "int8")
    done("hear", pond / "pond", "--out", old, *with_bundle)
    rescored = ("rescore", old, "--out", new, "--bundle", head.word)
    assert "3 recordings judged again: " in done(*rescored).stderr
    run("hear", pond, "--out", old, *with_bundle)
    assert "3 recordings judged again, 3 there already: " in done(*rescored).stderr
    before = rows(new, "files")
    assert "0 recordings judged again, 7 there already: " in done(*rescored).stderr
    assert rows(new, "files") == before


def test_what_cannot_be_is_one_line(
    bundle: Bundle, head: Bundle, pond: Path, tmp_path: Path
) -> None:
    bare, old = tmp_path / "bare", tmp_path / "old"
    fast = tiny_bundle(tmp_path / "fast", variant_errors={"fast": 0.0})
    other = tiny_bundle(tmp_path / "other", order=(2, 1, 0))
    on_fast = tiny_head(tmp_path / "on_fast", fast, OWN)
    done("hear", pond / "pond", "--out", bare, "--bundle", bundle.path)
    done("hear", pond / "pond", "--out", old, "--bundle", bundle.path, "--embeddings", "int8")
    fastest = ("--bundle", fast.path, "--embeddings", "int8")
    done("hear", pond / "pond", "--out", tmp_path / "fastest", *fastest)
    for arguments, said in (
        ((bare, "--out", tmp_path / "new"), f"DATASET = {bare}: has no embeddings"),
        ((tmp_path, "--out", tmp_path / "new"), "is no dataset"),
        ((old, "--out", old, "--bundle", head.word), "is DATASET itself"),
        ((old, "--out", tmp_path / "new", "--bundle", other.path), "does not stand on the network"),
        ((tmp_path / "fastest", "--out", tmp_path / "new", "--bundle", on_fast.word), "--fp32"),
    ):
        result = run("rescore", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert said in result.stderr
        assert not (tmp_path / "new").exists()


def test_a_recording_of_which_answers_are_missing_is_said(
    bundle: Bundle, head: Bundle, pond: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for file in sorted((pond / "pond").iterdir()):
        done("hear", file, "--out", old, "--bundle", bundle.path, "--embeddings", "int8")
    next((old / "embeddings").rglob("part-*2.parquet")).unlink()
    result = run("rescore", old, "--out", new, "--bundle", head.word)
    assert result.exit_code == 1
    assert "2 recordings judged again, 1 damaged" in result.stderr
    assert "20240501_050100.wav: not all that the network said of it is there" in result.stderr
