"""Whatever a manifest can hold is written by a command of training or of deployment."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.bundle import Manifest

# What writes a bundle, and what it is given a part of the manifest by.
WRITERS = {"Manifest", "replace", "write_bundle", "write_head", "calibrated_bundle", "Stored"}
# Parts that the writer itself fills in from what it is given.
FILLED_IN = {"files": "model", "trunk": "trunk", "probability": "calibration"}
FIELDS = [f.name for f in dataclasses.fields(Manifest) if f.name != "format_version"]


def _named(root: Path, *folders: str) -> Iterator[str]:
    """Names of arguments in the calls that write bundles."""
    for file in (f for folder in folders for f in sorted((root / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in WRITERS:
                    yield from (keyword.arg for keyword in node.keywords if keyword.arg)


@pytest.mark.parametrize("field", FIELDS)
def test_a_command_writes_every_field(root: Path, field: str) -> None:
    assert FILLED_IN.get(field, field) in set(_named(root, "train", "deploy")), (
        f"no command writes the manifest's {field}: write it, or remove it from the format"
    )
