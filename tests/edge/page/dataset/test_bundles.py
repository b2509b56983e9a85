"""The page over a dataset that several bundles have heard: what one of them has heard."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.archive.parts import Parts
from edge.bundle import Bundle
from edge.cli import main
from edge.errors import ConfigError, UserError
from edge.page.access import Access
from edge.page.app import create_app
from edge.page.dataset.filling import fill
from edge.page.dataset.lab import Lab, dataset_places
from edge.store.events import Question, known_labels, select
from tests.support.archives import rows
from tests.support.bundles import tiny_bundle
from tests.support.labs import hear
from tests.support.pages import seen, token_in

HERE = "http://localhost"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("other") / "other", order=(2, 1, 0))


@pytest.fixture(scope="module")
def mixed(
    bundle: Bundle, other: Bundle, season: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A dataset of both."""
    folder = tmp_path_factory.mktemp("mixed") / "dataset"
    hear(bundle, folder, season)
    hear(other, folder, season, mix=True)
    return folder


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CACHE", "STATE"):
        monkeypatch.delenv(f"{name}_DIRECTORY", raising=False)
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path


def lab_with(dataset: Path, bundle: str) -> Lab:
    lab = Lab(dataset_places(dataset, bundle=bundle), [])
    lab.follower.read()
    return lab


def ids_of(lab: Lab) -> set[str]:
    with lab.index.reading() as db:
        return {event.id for event in select(db, Question())}


def test_it_shows_what_the_chosen_bundle_has_heard(
    mixed: Path, bundle: Bundle, other: Bundle, own_folders: Path
) -> None:
    labs = [lab_with(mixed, one.digest[:8]) for one in (bundle, other)]
    every = rows(mixed, "detections")
    for lab, of in zip(labs, (bundle, other), strict=True):
        own = {row["id"]: row for row in every if row["bundle"] == of.digest}
        assert ids_of(lab) == set(own)
        with lab.index.reading() as db:
            assert set(known_labels(db)) == {row["label"] for row in own.values()} - {None}
            assert {e.text("bundle") for e in select(db, Question())} == {of.digest}
        client = create_app(lab, access=Access()).test_client()
        text = " ".join(seen(client, "/health").texts)
        files = [row for row in rows(mixed, "files") if row["bundle"] == of.digest]
        assert f"{len(files)} heard" in text
        assert f"bundle {of.digest[:12]}" in text
    assert ids_of(labs[0]).isdisjoint(ids_of(labs[1]))


def test_answers_of_each_are_its_own(
    mixed: Path, bundle: Bundle, other: Bundle, own_folders: Path
) -> None:
    lab = lab_with(mixed, bundle.digest[:8])
    client = create_app(lab, access=Access()).test_client()
    event = min(ids_of(lab))
    token = token_in(client.get(f"/event/{event}", base_url=HERE).text)
    form = {"token": token, "answer": "noise", "who": "Ada"}
    assert client.post(f"/event/{event}/answer", data=form, base_url=HERE).status_code == 303
    assert lab.labels.is_relative_to(own_folders)
    counts = []
    for one in (bundle, other):
        command = ["labels", "export", "--dataset", str(mixed), "--bundle", one.digest[:8]]
        done = CliRunner().invoke(main, [*command, "--format", "csv"])
        assert done.exit_code == 0, done.output
        counts.append([row["event"] for row in csv.DictReader(done.stdout.splitlines())])
    assert counts == [[event], []]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "was heard by several bundles ("),
        (["--bundle", "ffff0000"], "has not heard the dataset"),
        (["--bundle", ""], "has not heard the dataset"),
    ],
)
def test_whose_detections_are_meant_must_be_said(
    mixed: Path, own_folders: Path, given: list[str], reason: str
) -> None:
    done = CliRunner().invoke(main, ["page", "--dataset", str(mixed), "--port", "1", *given])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert reason in line
    assert "--bundle" in line


def test_a_recorder_has_no_such_choice() -> None:
    done = CliRunner().invoke(main, ["page", "--bundle", "1f0c4e7a"])
    assert (done.exit_code, done.stderr) == (2, "error: --bundle: is for --dataset\n")


def test_of_one_bundle_its_digest_changes_nothing(
    dataset: Path, bundle: Bundle, own_folders: Path
) -> None:
    assert dataset_places(dataset, bundle=bundle.digest[:6]) == dataset_places(dataset)
    with pytest.raises(ConfigError, match="has not heard the dataset"):
        dataset_places(dataset, bundle="0000")


def test_a_dataset_that_another_bundle_hears_meanwhile_is_told_and_what_was_read_stays(
    bundle: Bundle, other: Bundle, season: Path, own_folders: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dataset"
    hear(bundle, folder, season, pattern="b0.wav")
    lab = Lab(dataset_places(folder), [])
    lab.follower.read()
    before = ids_of(lab)
    hear(other, folder, season, pattern="b0.wav", mix=True)
    assert len(Parts(folder).names()) == 2
    with pytest.raises(UserError, match="several bundles"):
        lab.follower.read()
    assert ids_of(lab) == before
    fill(folder, lab.index.path, bundle=bundle.digest)
    assert ids_of(lab) == before
