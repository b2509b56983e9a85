"""Why a head that was brought is not taken, whatever was raised when it was tried."""

from __future__ import annotations

import logging

from edge.errors import EdgeError, HeadRefusedError

__all__ = ["refusal_of", "told"]

log = logging.getLogger(__name__)


def refusal_of(exc: Exception) -> HeadRefusedError:
    """Return the refusal that an error is; one of ours is logged with its traceback."""
    if isinstance(exc, HeadRefusedError):
        return exc
    if isinstance(exc, OSError):
        reason = f"{exc.filename}: {exc.strerror or exc}"
        return HeadRefusedError("storage", f"the head cannot be kept: {reason}")
    if not isinstance(exc, EdgeError):  # which a stranger's head may have found
        log.error("a head that was sent cannot be tried", exc_info=exc)
    return HeadRefusedError("self_test", told(exc))


def told(exc: Exception) -> str:
    """Return what is told of an error, which says what it is where it is one of ours."""
    return str(exc) if isinstance(exc, EdgeError | OSError) else f"{type(exc).__name__}: {exc}"
