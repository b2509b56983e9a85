"""Files that are written whole or not at all, and read with one line about what is wrong with
them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from edge.errors import ConfigError, UserError

__all__ = ["read_yaml", "replacing", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (same suffix) that replaces it when the block ends well; a
    failed write is a `UserError`.
    """
    staged: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        staged = Path(name)
        yield staged
        staged.chmod(0o644)
        staged.replace(path)
    except OSError as exc:
        raise UserError(f"{path}: cannot be written ({exc.strerror or exc})") from exc
    finally:
        if staged is not None:
            staged.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text`, UTF-8."""
    with replacing(path) as staged:
        staged.write_text(text, encoding="utf-8")


def read_yaml(path: Path, *, what: str) -> Any:
    """The plain types in a YAML file; `ConfigError` says that there is no such `what`, or that it
    is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such {what}") from exc
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ConfigError(f"{path}: cannot be read as YAML ({' '.join(str(exc).split())})") from exc
