"""A dataset that several bundles have heard: the rows of all stay, and none counts twice."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edge.archive.activity import activity_of
from edge.archive.asking_command import archive_command
from edge.archive.compare import compare
from edge.archive.origin import read_origin
from edge.archive.parts import Parts
from edge.archive.stored import StoredRecordings
from edge.bundle import Bundle
from edge.cli import main
from edge.errors import ConfigError
from tests.support.archives import rows, season, timeless
from tests.support.bundles import tiny_bundle

HOPS_S = ("0.5", "0.3")  # each bundle has its own way of hearing


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["archive", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module")
def pond(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pond = tmp_path_factory.mktemp("season") / "pond"
    season(pond, 3)
    (pond / "strange.wav").write_bytes(b"?")
    return pond


@pytest.fixture(scope="module")
def bundles(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Bundle]:
    return bundle, tiny_bundle(tmp_path_factory.mktemp("other") / "other", order=(2, 1, 0))


class Hear:
    """Hears the pond with the first or the second bundle into a dataset."""

    def __init__(self, pond: Path, bundles: tuple[Bundle, Bundle], scheduler: str) -> None:
        self._given = (pond, "--scheduler", scheduler)
        self._bundles = bundles

    def __call__(self, which: int, out: Path, *options: str) -> Result:
        judge = ("--bundle", self._bundles[which].path, "--hop-s", HOPS_S[which])
        return run("hear", *self._given, *judge, "--out", out, *options)


@pytest.fixture(scope="module")
def hear(pond: Path, bundles: tuple[Bundle, Bundle], scheduler: str) -> Hear:
    return Hear(pond, bundles, scheduler)


@pytest.fixture(scope="module")
def alone(hear: Hear, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A dataset of each bundle."""
    folder = tmp_path_factory.mktemp("alone")
    for which, name in enumerate("ab"):
        assert hear(which, folder / name).exit_code == 1  # one recording is strange
    return folder / "a", folder / "b"


@pytest.fixture(scope="module")
def mixed(hear: Hear, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One dataset of both."""
    out = tmp_path_factory.mktemp("mixed") / "dataset"
    hear(0, out)
    hear(1, out, "--mix")
    return out


def test_without_being_asked_for_another_bundle_is_refused(
    hear: Hear, alone: tuple[Path, Path]
) -> None:
    before = timeless(alone[0])
    result = hear(1, alone[0])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: --out = {alone[0]}: was made with another bundle (")
    assert "another --out for a new dataset beside it, or have both in this one by --mix" in line
    assert timeless(alone[0]) == before


def test_the_rows_of_both_stay_as_each_would_have_them(
    mixed: Path, alone: tuple[Path, Path], bundles: tuple[Bundle, Bundle]
) -> None:
    of_both = [a + b for a, b in zip(*map(timeless, alone), strict=True)]
    for found, expected in zip(timeless(mixed), of_both, strict=True):
        assert sorted(map(repr, found)) == sorted(map(repr, expected))
    digests = Counter(row["bundle"] for row in rows(mixed, "files"))
    assert digests == dict.fromkeys((b.digest for b in bundles), 4)
    for name in Parts(mixed).names():  # so that what replaces a row of one leaves the other's
        assert len({row["bundle"] for row in Parts(mixed).files(name)}) == 1


def test_each_goes_on_where_it_was(hear: Hear, mixed: Path) -> None:
    before = timeless(mixed)
    for which in (0, 1):
        said = hear(which, mixed, "--mix").stderr
        assert "3 there already" in said, said
    assert "3 there already" in hear(1, mixed).stderr, "once it is mixed, each may go on"
    assert timeless(mixed) == before


def test_half_a_part_is_heard_again_by_the_bundle_that_it_was_of(
    hear: Hear, tmp_path: Path
) -> None:
    for which in (0, 1):
        hear(which, tmp_path / "mixed", "--mix")
    before = timeless(tmp_path / "mixed")
    last = Parts(tmp_path / "mixed").names()[-1]
    (tmp_path / "mixed" / "detections" / last).write_bytes(b"")
    assert "3 there already" in hear(0, tmp_path / "mixed", "--mix").stderr
    hear(1, tmp_path / "mixed", "--mix")
    assert timeless(tmp_path / "mixed") == before


def test_one_bundle_in_two_ways_is_refused_all_the_same(hear: Hear, mixed: Path) -> None:
    """Nothing would tell its detections apart."""
    result = hear(0, mixed, "--mix", "--hop-s", "0.25")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "was made with another hop s (0.5, not 0.25)" in result.stderr
    assert "--mix" not in result.stderr
    result = hear(1, mixed, "--mix", "--windows")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "keeps detections only, not windows" in result.stderr


def reading_commands() -> list[str]:
    """Return the commands that read a dataset, of which none may count both bundles."""
    return sorted(set(archive_command.commands) - {"hear", "status"})


@pytest.mark.parametrize("name", reading_commands())
def test_no_command_counts_both(mixed: Path, tmp_path: Path, name: str) -> None:
    command = archive_command.commands[name]
    places = [p for p in command.params if isinstance(p, click.Argument) and p.required]
    needed = [opt for p in command.params if p.required for opt in p.opts if opt.startswith("--")]
    options = [word for opt in needed for word in (opt, str(tmp_path / "new"))]
    like = ("--like", "0" * 32) if name == "search" else ()
    result = run(name, *[mixed] * len(places), *options, *like)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert f"= {mixed}: was heard by several bundles (" in line


def test_no_reader_counts_both(mixed: Path, bundles: tuple[Bundle, Bundle]) -> None:
    made_by = read_origin(mixed, key="DATASET")
    for read in (
        lambda: activity_of(mixed),
        lambda: compare(mixed, mixed),
        lambda: StoredRecordings(mixed, made_by),
    ):
        with pytest.raises(ConfigError, match="heard by several bundles"):
            read()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "command", [("export",), ("export", "--format", "jsonl"), ("activity",), ("status",)]
)
def test_of_one_bundle_it_says_what_its_own_dataset_says(
    mixed: Path,
    alone: tuple[Path, Path],
    bundles: tuple[Bundle, Bundle],
    command: tuple[str, ...],
    which: int,
) -> None:
    name, *options = command
    expected = run(name, alone[which], *options).stdout.replace(str(alone[which]), str(mixed))
    chosen = run(name, mixed, *options, "--bundle", bundles[which].digest[:10])
    assert chosen.exit_code == 0, chosen.stderr
    assert chosen.stdout == expected
    assert len(expected.splitlines()) > 4


def test_status_of_both_says_each(mixed: Path, bundles: tuple[Bundle, Bundle]) -> None:
    lines = run("status", mixed).stdout.splitlines()
    for bundle in bundles:
        assert sum(line.startswith(f"bundle      {bundle.digest[:12]} ") for line in lines) == 1
    assert lines.count("recordings  1 failed, 3 heard") == 2


def test_the_two_are_compared_within_it(
    mixed: Path, alone: tuple[Path, Path], bundles: tuple[Bundle, Bundle]
) -> None:
    a, b = (bundle.digest for bundle in bundles)
    within = run("compare", mixed, mixed, "--bundle-a", a, "--bundle-b", b)
    assert within.exit_code == 0, within.stderr
    assert within.stdout == run("compare", *alone).stdout


@pytest.mark.parametrize("given", ["f" * 64, "", "birdnet"])
def test_a_bundle_that_has_not_heard_it_is_one_line(
    mixed: Path, alone: tuple[Path, Path], given: str
) -> None:
    for dataset in (mixed, alone[0]):
        result = run("export", dataset, "--bundle", given)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
        assert "has not heard the dataset" in result.stderr
