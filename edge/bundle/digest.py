"""The one way to name a value or a file by its content: sha256, of canonical JSON for a value."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path

__all__ = ["canonical_digest", "digest_of_code", "sha256_of"]


def sha256_of(content: bytes) -> str:
    """Return the sha256 of `content` in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def canonical_digest(value: object) -> str:
    """Return the sha256, in hexadecimal, of plain JSON types with their keys sorted.

    Raises ValueError for NaN and infinity, which JSON does not have, and TypeError for other types.
    """
    return sha256_of(json.dumps(value, sort_keys=True, allow_nan=False).encode())


def digest_of_code(package: str) -> str:
    """Return the sha256 of the names and contents of all modules of `package`, as installed."""
    root = Path(str(files(package)))
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*.py"), key=lambda f: f.relative_to(root).as_posix()):
        name = file.relative_to(root).as_posix().encode()
        digest.update(name + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
