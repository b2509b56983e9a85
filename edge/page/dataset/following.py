"""Keeps the index of a dataset up to date while a job fills that: a process at a time reads it."""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.errors import UserError, one_line
from edge.page.dataset.state import KEY, part_states

__all__ = ["Follower"]

LOOK_S = 5.0
SAY_S = 3.0  # between two words on how far it is
log = logging.getLogger(__name__)


class Follower:
    """Looks at the dataset now and then; `fault` is why it could not be read the last time."""

    def __init__(
        self, dataset: Path, index: Path, *, bundle: str | None = None, look_s: float = LOOK_S
    ) -> None:
        self._dataset, self._index, self._bundle = dataset, index, bundle
        self._look_s = look_s
        self._read: dict[str, str] | None = None
        self._ended = threading.Event()
        self.fault = ""

    def read(self, say: Callable[[str], None] = lambda text: None) -> None:
        """Bring the index up to date if the dataset has changed, and `say` how far that is.

        Raises `UserError`.
        """
        try:
            found = part_states(self._dataset)
        except OSError as exc:
            reason = f"cannot be read ({exc.strerror or exc})"
            raise UserError(reason, key=KEY, value=self._dataset) from exc
        if found == self._read:
            return
        self._fill(say)
        self._read = found

    def _fill(self, say: Callable[[str], None]) -> None:
        command = [sys.executable, "-m", "edge.page.dataset.filling"]
        command += [str(self._dataset), str(self._index), *filter(None, [self._bundle])]
        # What it complains of goes into a file: of a pipe that nobody empties, it would wait.
        with (
            tempfile.TemporaryFile("w+", errors="backslashreplace") as complaints,
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=complaints, text=True
            ) as process,
        ):
            assert process.stdout is not None
            said_s = time.monotonic()
            for line in process.stdout:
                if time.monotonic() - said_s >= SAY_S:
                    said_s = time.monotonic()
                    say(f"{self._dataset}: {line.strip()} parts are read")
            if process.wait():
                complaints.seek(0)
                said = complaints.read().strip().splitlines()
                raise UserError(one_line(said[-1]) if said else f"{self._dataset}: cannot be read")

    def start(self) -> None:
        """Look again and again, on a thread of its own that ends with the process."""
        threading.Thread(target=self._run, name="dataset", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._look_s):
            before = self.fault
            try:
                self.read()
                self.fault = ""
            except UserError as exc:
                self.fault = str(exc)
            except OSError as exc:  # no memory for a process: later there may be
                self.fault = f"the dataset cannot be read now: {exc.strerror or exc}"
            except Exception as exc:  # a fault of ours must not leave the page to say nothing
                log.exception("the dataset %s cannot be followed", self._dataset)
                self.fault = f"the dataset cannot be read ({type(exc).__name__})"
            if self.fault and self.fault != before:
                log.warning("%s; what was read of it before is shown", self.fault)
