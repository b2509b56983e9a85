"""What a label is, and that nothing else is taken for one."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle import Label, load_bundle
from edge.bundle.labels import check_label
from edge.cli import main
from edge.errors import BundleError, SpecError
from edge.models import default_bundle_path
from tests.support.bundles import LABELS, tiny_bundle
from tests.support.strangers import resealed

GOOD = ["a", "_", "7", "great_tit", "mönchsgrasmücke", "ʻapapane", "синица", "大山雀", "a" * 80]
BAD = {
    "empty": "",
    "long": "a" * 81,
    "70,000 characters": "a" * 70_000,
    "too long for a folder": "𐐨" * 80,
    "elsewhere": "../x",
    "the root": "/x",
    "this folder": ".",
    "no character": "a\0b",
    "a line": "a\nb",
    "a blank": "a b",
    "no break": "a\u00a0b",
    "a topic's": "a+b",
    "all topics": "#",
    "an escape": "\x1b[2Ja",
    "right to left": "a\u202eb",
    "nothing to see": "a\u200bb",
    "half a character": "\ud800",
    "a capital": "Great_tit",
    "two characters for one": "mo\u0308nch",
    "a number": 7,
    "nothing": None,
    "a list": ["a"],
}


@pytest.mark.parametrize("label", GOOD)
def test_a_label_is_letters_digits_and_underscores(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize("label", BAD.values(), ids=BAD)
def test_nothing_else_is_one(label: object) -> None:
    with pytest.raises(SpecError, match="label") as caught:
        check_label(label)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


@given(st.text(max_size=90))
def test_what_is_a_label_is_one_everywhere(text: str) -> None:
    """A level of a topic, a folder and a word: for every text that is let through."""
    try:
        label = check_label(text)
    except SpecError:
        return
    assert all(c == "_" or c.isalnum() for c in label)
    assert label == label.lower() == unicodedata.normalize("NFC", label)
    assert len(label) <= 80
    assert Path("clips", label).parent == Path("clips")
    assert len(label.encode()) <= 255


@pytest.mark.parametrize("label", BAD.values(), ids=BAD)
def test_a_bundle_with_another_label_is_refused(tmp_path: Path, label: object) -> None:
    bundle = tiny_bundle(tmp_path / "tiny").path
    resealed(bundle, lambda m: m["labels"][0].update(label=label))
    with pytest.raises(BundleError, match=r"manifest\.json: .*") as caught:
        load_bundle(bundle)
    assert str(caught.value).removeprefix(str(tmp_path)).isprintable()


def test_the_labels_that_ship_are_labels() -> None:
    for label in load_bundle(default_bundle_path()).labels:
        assert check_label(label.label) == label.label


def test_a_terminal_obeys_no_name_of_a_bundle(tmp_path: Path) -> None:
    strange = "\x1b[2J\x07Fr\u202eog\r\n\u2066\x9b"
    labels = [Label(label=la.label, common_name=strange, scientific_name=strange) for la in LABELS]
    bundle = tiny_bundle(tmp_path / "tiny", labels=labels).path
    resealed(bundle, lambda m: m.update(metrics={strange: strange}))
    assert load_bundle(bundle).labels[0].common_name == "[2JFrog"
    result = CliRunner().invoke(main, ["info", "--bundle", str(bundle)])
    assert "[2JFrog" in result.output
    assert all(line.isprintable() for line in result.output.split("\n"))


@pytest.mark.parametrize("key", ["name", "code", "training_data"])
def test_what_no_person_writes_is_printable(tmp_path: Path, key: str) -> None:
    bundle = tiny_bundle(tmp_path / "tiny").path
    resealed(bundle, lambda m: m.update({key: "a\u202e"}))
    with pytest.raises(BundleError, match=r"'a\\u202e' has characters that cannot be printed"):
        load_bundle(bundle)


@pytest.mark.parametrize("name", ["a" * 201, 7, None])
def test_a_name_is_a_short_text(tmp_path: Path, name: object) -> None:
    bundle = tiny_bundle(tmp_path / "tiny").path
    resealed(bundle, lambda m: m["labels"][0].update(common_name=name))
    with pytest.raises(BundleError, match=r"manifest\.json: labels"):
        load_bundle(bundle)
