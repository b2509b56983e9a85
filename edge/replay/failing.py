"""What of one recording must not cost the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from edge.errors import AudioError, BackendError
from edge.replay.recordings import Recording

__all__ = ["failing_alone"]

Result = TypeVar("Result")
log = logging.getLogger(__name__)


def failing_alone(recording: Recording, work: Callable[[], Result]) -> Result | AudioError:
    """Return what `work` on a recording gives; its failure is a value, so that the others go on."""
    file = recording.name
    try:
        return work()
    except AudioError as exc:
        # What came from a pipe stands in a file that nobody knows.
        return AudioError(
            exc.fault.reason.replace(recording.file, file), suggestion=exc.fault.suggestion
        )
    except BackendError as exc:
        return AudioError(f"{file}: {exc}")
    except OSError as exc:  # the medium failed under the file: a card pulled, a share gone
        return AudioError(f"{file}: {exc.strerror or exc}")
    # The border between one file and a batch of thousands: a fault of ours in one of them is told,
    # with all that is known of it, and must not cost the others.
    except Exception as exc:
        log.exception("%s: a fault of this program", file)
        return AudioError(f"{file}: {type(exc).__name__}: {exc} (a fault of this program)")
