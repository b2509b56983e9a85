"""Files of JSON: an object is read, and anything else is one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.bundle import load_bundle
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import BundleError
from tests.support.bundles import tiny_bundle

FAULTS = {
    "nothing": (b"", "cannot be read as JSON"),
    "half": (b'{"a": 1', "cannot be read as JSON"),
    "a list": (b"[1]", "not a JSON object"),
    "another encoding": ('{"a": "ä"}'.encode("latin-1"), "cannot be read as JSON"),
    "brackets": (b"[" * 200_000, "recursion"),
    "objects in objects": (b'{"a":' * 200_000, "recursion"),
    "a key twice": (b'{"a": 1, "a": 2}', "the key 'a' is there twice"),
    "a key twice, deep": (b'{"b": [{"a\\nc": 1, "a\\nc": 2}]}', "the key 'a\\nc' is there twice"),
    "a number of 5000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read as JSON"),
}


def test_an_object_is_read(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True], "ä": {"b": {}}}
    (tmp_path / "a.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    assert read_json(tmp_path / "a.json") == content


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(("content", "reason"), FAULTS.values(), ids=FAULTS)
def test_anything_else_is_one_line_that_names_the_file(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(NotJsonError) as caught:
        read_json(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert reason in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400 + len(str(file))


def test_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(NotJsonError, match="Is a directory"):
        read_json(tmp_path)


@pytest.mark.parametrize(("content", "reason"), FAULTS.values(), ids=FAULTS)
def test_a_bundles_manifest_is_read_so(tmp_path: Path, content: bytes, reason: str) -> None:
    bundle = tiny_bundle(tmp_path / "tiny").path
    (bundle / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json: ") as caught:
        load_bundle(bundle)
    assert reason in str(caught.value)
