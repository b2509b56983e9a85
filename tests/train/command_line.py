"""`edge-train` as a person calls it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from click.testing import CliRunner, Result

import train.commands.cli
from tests.train.tones import write_collection

__all__ = ["assert_done", "edge_train", "prepared_tones", "write_recipe"]


def edge_train(*arguments: object) -> Result:
    """Run a command; an exception that it does not turn into a line is raised."""
    result = CliRunner().invoke(train.commands.cli.main, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def assert_done(result: Result) -> None:
    assert result.exit_code == 0, result.output


def prepared_tones(folder: Path, *, folds: int = 3) -> Path:
    """Prepare a collection of tones as `folder`/corpus; returns the folder."""
    collection = write_collection(folder / "collection")
    options = ("--test-share", 0.25, "--folds", folds)
    assert_done(edge_train("prepare", collection, "--out", folder / "corpus", *options))
    return folder


def write_recipe(folder: Path, values: Mapping[str, object]) -> Path:
    path = folder / f"{values['name']}.yaml"
    path.write_text(yaml.safe_dump(dict(values)), encoding="utf-8")
    return path
