"""The folder of a run: whatever is in it that is not a run is one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from edge.errors import UserError
from tests.support.damage import CHANGES, KEPT, Changes, damaged
from tests.train.command_line import write_recipe
from tests.train.tiny import TINY
from train.learning.checkpoint import load_torch, save_torch
from train.learning.members import member_network
from train.learning.run import load_run
from train.recipe.load import load_recipe

FACTS = {"labels": ["a", "b"], "fold": 0, "corpus": "0" * 64}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run whose network has learnt nothing."""
    write_recipe(tmp_path, TINY).rename(tmp_path / "recipe.yaml")
    network = member_network(load_recipe(tmp_path / "recipe.yaml"), ("a", "b"))
    save_torch(tmp_path / "model.pt", network.state_dict())
    (tmp_path / "run.json").write_text(json.dumps(FACTS), encoding="utf-8")
    return tmp_path


def test_a_run_is_read(folder: Path) -> None:
    run = load_run(folder)
    assert (run.labels, run.fold, run.corpus) == (("a", "b"), 0, "0" * 64)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", "[" * 200_000, json.dumps({**FACTS, "fold": "0"}), '{"fold": 0, "fold": 1}'],
    ids=["nothing", "list", "object", "deep", "text", "twice"],
)
def test_facts_that_are_none_are_one_line(folder: Path, content: str) -> None:
    (folder / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"run\.json: ") as caught:
        load_run(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_weights_of_another_program_are_one_line(folder: Path) -> None:
    (folder / "model.pt").write_bytes(b"not weights")
    with pytest.raises(UserError, match=r"model\.pt: cannot be read .*; delete it and train again"):
        load_run(folder)
    save_torch(folder / "model.pt", torch.zeros(3))
    with pytest.raises(UserError, match=r"model\.pt: holds no weights"):
        load_run(folder)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, kept=KEPT)
def test_damage_is_one_line_or_weights(tmp_path: Path, changes: Changes, kept: float) -> None:
    file = tmp_path / "state.pt"
    save_torch(file, {"weights": torch.ones(20), "steps": [1, {"more": torch.zeros(3)}]})
    file.write_bytes(damaged(file.read_bytes(), changes, kept))
    state, reason = read_or_refused(file)
    assert len(reason.splitlines()) <= 1
    assert isinstance(state, dict)


def read_or_refused(file: Path) -> tuple[object, str]:
    try:
        return load_torch(file), ""
    except UserError as exc:
        return {}, str(exc)
