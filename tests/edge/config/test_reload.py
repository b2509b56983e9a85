"""What a reload does with each key: everything at once, or a word that it waits for a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge.config.config import Config
from edge.config.reload import TAKES_EFFECT, merged, waiting_for_restart

ROOT = Path(__file__).resolve().parents[3]
KEYS = [
    f"{section}.{key}"
    for section, field in Config.model_fields.items()
    for key in type(field.default).model_fields
]
RESTART = {
    *("store.path", "store.outbox_mb", "store.history_mb", "store.ballast_mb"),
    *("heads.broker", "heads.folder", "heads.url", "heads.every_s", "heads.kept"),
}


def test_every_key_has_an_entry() -> None:
    assert set(TAKES_EFFECT) == set(KEYS)


def test_the_document_has_the_same_table() -> None:
    text = (ROOT / "docs/recorder.md").read_text(encoding="utf-8")
    table = text.partition("### What a reload changes")[2].partition("###")[0]
    told = {
        f"{section}.{key}": when
        for when, keys in re.findall(r"^\| (\w+) \| (.+?) \|", table, re.MULTILINE)
        for section, names in re.findall(r"`(\w+)`: ([\w, ]+)", keys)
        for key in names.split(", ")
    }
    assert told == dict(TAKES_EFFECT)


def other(value: object) -> Any:
    """Return another value than this; nobody looks whether it makes sense."""
    return "another" if value != "another" else "yet another"


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_taken_or_waits(key: str) -> None:
    used = Config()
    section, _, name = key.partition(".")
    before = getattr(getattr(used, section), name)
    changed = getattr(used, section).model_copy(update={name: other(before)})
    wanted = used.model_copy(update={section: changed})
    result = getattr(getattr(merged(used, wanted), section), name)
    waits = key in RESTART
    assert result == (before if waits else other(before))
    assert waiting_for_restart(used, wanted) == ([key] if waits else [])
