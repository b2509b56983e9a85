"""Species as people write them, found among what the recorder hears with."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.config.config import Config, load_config
from edge.notify.names import listed_names
from edge.notify.rules import Names
from tests.support.daemons import write_config
from tests.support.sent import STUDY, Sender


def configured(folder: Path, bundle: Path, **notify: object) -> Config:
    kept = {"kept": str(folder / "heads")}
    return load_config(write_config(folder, bundle, notify=notify, heads=kept), environ={})


def test_any_name_of_the_bundle_is_its_label(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["LOW-hummer", "Low Hummer", "low_hummer"]
    config = configured(tmp_path, bundle.path, first_today=names[:2], species=names)
    low = Names(labels=frozenset({"low_hummer"}))
    assert listed_names(config) == (low, low)
    assert caplog.messages == []


def test_a_name_that_no_bundle_has_is_told_and_looked_for(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(tmp_path, bundle.path, species=["Low humer", "Tawny Owl"])
    _, species = listed_names(config)
    assert species == Names(others=frozenset({"low humer", "tawny owl"}))
    assert "notify.species: the bundle has no label 'Low humer' (did you mean low_hummer?)" in (
        caplog.text
    )


def test_a_head_that_was_sent_has_names_too(tmp_path: Path) -> None:
    sender = Sender.in_folder(tmp_path / "sender")
    word = Path(f"{sender.trunk.path}+{sender.head().path}")
    config = configured(tmp_path, word, species=[STUDY.scientific_name])
    assert listed_names(config)[1] == Names(labels=frozenset({STUDY.label}))


def test_a_model_that_cannot_be_read_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = configured(tmp_path, tmp_path / "none", species=["Little Owl"])
    assert listed_names(config)[1] == Names(others=frozenset({"little owl"}))
    assert "are not compared with the model" in caplog.text
