"""What differs between two datasets of the same recordings."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge.archive.compare import Change, Comparison, Kind, compare
from edge.bundle import Bundle, Label
from edge.cli import main
from tests.support.archives import rows, season
from tests.support.audio import soundscape, write_audio
from tests.support.heads import tiny_head


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["archive", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def pair(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset over two months, and what a head makes of it that knows the hummer by its name, the
    peeper by another, and no whistler.
    """
    folder = tmp_path_factory.mktemp("season")
    season(folder / "pond", 2)
    for name in ("20240630_235955", "20240702_050000", "19700101_000554"):
        write_audio(folder / "pond" / f"{name}.wav", soundscape())
    own = {
        Label(label="low_hummer", common_name="Low Hummer"): 0,
        Label(label="squeaker", common_name="Squeaker"): 2,
    }
    head = tiny_head(tmp_path_factory.mktemp("heads") / "head", bundle, own)
    old, new = folder / "old", folder / "new"
    options = ("--bundle", bundle.path, "--timezone", "Europe/Vienna", "--hop-s", "0.5")
    heard = run("hear", folder / "pond", "--out", old, "--embeddings", "int8", *options)
    assert heard.exit_code == 0, heard.stderr
    assert run("rescore", old, "--out", new, "--bundle", head.word).exit_code == 0
    return old, new


def total(comparison: Comparison, label: str) -> Change:
    found = Change(label=label, month="all")
    for change in comparison.changes:
        if change.label == label:
            found.before += change.before
            found.after += change.after
            found.counts.update(change.counts)
    return found


def test_each_detection_stays_goes_comes_or_has_another_name(pair: tuple[Path, Path]) -> None:
    comparison = compare(*pair)
    assert (comparison.recordings, comparison.only) == (5, (0, 0))
    hummers = total(comparison, "low_hummer")
    assert hummers.counts["stays"] == hummers.before >= 5
    # The head calls more a hummer than the trunk did.
    assert hummers.after == hummers.before + hummers.counts["renamed from"]
    peepers, squeakers = total(comparison, "high_peeper"), total(comparison, "squeaker")
    assert peepers.counts["renamed to"] == peepers.before >= 5
    assert squeakers.counts["renamed from"] == squeakers.after >= 5
    assert (peepers.after, squeakers.before) == (0, 0)
    assert total(comparison, "mid_whistler").counts["stays"] == 0
    example = comparison.examples["high_peeper", "renamed to"][0]
    assert example.other == "squeaker"
    for side, name in zip(pair, ("before", "after"), strict=True):
        counts = Counter(row["label"] or "unknown" for row in rows(side, "detections"))
        assert {c.label: getattr(total(comparison, c.label), name) for c in comparison.changes} == {
            c.label: counts[c.label] for c in comparison.changes
        }


def test_months_are_those_of_the_place(pair: tuple[Path, Path]) -> None:
    comparison = compare(*pair)
    months = {c.month: c.before for c in comparison.changes if c.label == "low_hummer"}
    assert set(months) == {"2024-05", "2024-06", "2024-07", "no date"}
    # The hummer begins in June, the peeper 10 s later in July, by the clocks of the place.
    assert months["2024-06"] == 1
    assert "2024-06" not in {c.month for c in comparison.changes if c.label == "high_peeper"}


def test_nothing_differs_from_itself(pair: tuple[Path, Path]) -> None:
    for dataset in pair:
        comparison = compare(dataset, dataset)
        assert comparison.examples == {}
        assert all(c.before == c.after == c.counts["stays"] for c in comparison.changes)


def test_the_other_way_round_is_the_mirror(pair: tuple[Path, Path]) -> None:
    there, back = compare(*pair), compare(*reversed(pair))
    mirror: dict[Kind, Kind] = {
        "gone": "new",
        "new": "gone",
        "renamed to": "renamed from",
        "renamed from": "renamed to",
    }
    for change, other in zip(there.changes, back.changes, strict=True):
        assert (change.label, change.month) == (other.label, other.month)
        assert (change.before, change.after) == (other.after, other.before)
        for kind, mirrored in mirror.items():
            assert change.counts[kind] == other.counts[mirrored]


def test_it_is_said_in_words_and_as_csv(pair: tuple[Path, Path], tmp_path: Path) -> None:
    lines = run("compare", *pair, "--examples", "1").stdout.splitlines()
    assert lines[0] == "5 recordings heard by both"
    assert any(line.startswith("high_peeper   2024-05 ") for line in lines)
    assert sum("renamed to squeaker, score 1.00: " in line for line in lines) == 1
    out = tmp_path / "changes.csv"
    assert run("compare", *pair, "--format", "csv", "--out", out).stdout == ""
    table = list(csv.DictReader(io.StringIO(out.read_text())))
    peepers = [row for row in table if row["label"] == "high_peeper"]
    assert {row["before"] for row in peepers} == {row["renamed_to"] for row in peepers}


def test_recordings_of_one_only_are_left_out(
    bundle: Bundle, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    fewer = tmp_path / "fewer"
    paths = sorted({row["path"] for row in rows(pair[0], "files")})
    options = ("--bundle", bundle.path, "--timezone", "Europe/Vienna", "--hop-s", "0.5")
    assert run("hear", *paths[:2], "--out", fewer, *options).exit_code == 0
    comparison = compare(pair[0], fewer)
    assert (comparison.recordings, comparison.only, comparison.examples) == (2, (3, 0), {})
    said = run("compare", fewer, pair[0]).stdout
    assert "left out: 3 that only the second dataset has heard" in said
    result = run("compare", pair[0], tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("error: B = ")
