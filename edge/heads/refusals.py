"""Why a head that was brought is not taken, whatever was raised when it was tried."""

from __future__ import annotations

import logging

from edge.errors import EdgeError, HeadRefusedError

__all__ = ["refusal_of"]

log = logging.getLogger(__name__)


def refusal_of(exc: Exception) -> HeadRefusedError:
    """Return the refusal that an error is; one of ours is logged with its traceback."""
    if isinstance(exc, HeadRefusedError):
        return exc
    if isinstance(exc, OSError):
        reason = f"{exc.filename}: {exc.strerror or exc}"
        return HeadRefusedError("storage", f"the head cannot be kept: {reason}")
    if isinstance(exc, EdgeError):
        return HeadRefusedError("self_test", str(exc))
    log.error("a head that was sent cannot be used", exc_info=exc)  # a stranger has found a bug
    return HeadRefusedError("self_test", f"{type(exc).__name__}: {exc}")
