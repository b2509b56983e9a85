"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.errors import UserError

__all__ = ["replacing", "write_text"]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` (same suffix) that replaces it when the block ends well; a failed write is a `UserError`."""
    staged: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
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
