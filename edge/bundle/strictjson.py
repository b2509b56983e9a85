"""The one reader of JSON files: of bundles, engines, corpora, runs and reports.

A key that is there twice is a fault, and no content of a file gives a traceback.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edge.errors import UserError, one_line, shown

__all__ = ["NotJsonError", "json_object", "json_objects", "read_json"]


class NotJsonError(UserError):
    """A file that holds no JSON object; says which and why in one line."""


def read_json(file: Path) -> dict[str, Any]:
    """Return the object in `file`.

    Raises `FileNotFoundError`, and `NotJsonError` for whatever else is not a file with an object.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise NotJsonError(f"{file}: cannot be read ({exc.strerror or exc})") from exc
    return json_object(content, file)


def json_object(content: bytes, file: Path) -> dict[str, Any]:
    """Return the object in `content`, which is that of `file`; raises `NotJsonError`."""
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError, MemoryError) as exc:  # among them text that is not UTF-8
        raise NotJsonError(f"{file}: cannot be read as JSON ({one_line(str(exc))})") from exc
    if not isinstance(value, dict):
        raise NotJsonError(f"{file}: not a JSON object")
    return value


def json_objects(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects that a program prints, one a line; whatever else it prints is passed over.

    What several libraries print into one stream is not a file: a key twice is no fault here.
    """
    for line in lines:
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(content, dict):
            yield content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the key {shown(twice)} is there twice")
    return content
