"""A recorder that is killed with -9 at a chosen file operation while it takes a head.

    python -m tests.support.dying_heads CONFIG ORDER HEAD

reads a number on standard input and forks a recorder, which has the order and the packed head in
these files in its inbox and takes it. It is killed when it begins its N-th operation on a file: to
open one, to make, rename or remove anything. Then it says `killed`, or `done` where there were
fewer. Only the child opens anything, and the parent has no threads, so the fork is as good as a
start.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from edge.config.config import load_config
from edge.recorder.sent_heads import SentHeads
from edge.store.store import Store
from tests.support.sent import verified_plan

__all__ = ["DyingRecorder"]

ROOT = Path(__file__).resolve().parents[2]
TOUCHES = ("open", "os.", "shutil.")  # audit events of CPython


class DyingRecorder:
    """Runs one recorder after another on the same folder."""

    def __init__(self, config: Path, order: Path, head: Path) -> None:
        command = [sys.executable, "-m", "tests.support.dying_heads", str(config), str(order)]
        self._parent = subprocess.Popen(
            [*command, str(head)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> DyingRecorder:
        return self

    def __exit__(self, *exc: object) -> None:
        self._parent.kill()
        self._parent.communicate()

    def killed_at(self, operation: int) -> bool:
        """Whether it has come to that operation, and was killed there."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{operation}\n")
        self._parent.stdin.flush()
        line = self._parent.stdout.readline()
        assert line in ("killed\n", "done\n"), line
        return line == "killed\n"


def _take(config_file: Path, order: bytes, packed: bytes, operation: int) -> None:
    config = load_config(config_file)
    heads = SentHeads(config, plan_of=verified_plan, boot_id="this", wake=lambda: None)
    heads.first_plan()
    assert heads.inbox is not None
    believed = heads.inbox.believed(order)
    if believed is None:
        return
    heads.inbox.bring(believed, packed)
    left, kept = [operation], str(config.heads.kept)

    def count(event: str, arguments: tuple[object, ...]) -> None:
        if event.startswith(TOUCHES) and any(kept in str(given) for given in arguments):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    with Store(Path(":memory:"), outbox_bytes=10**6, history_bytes=10**6) as store:
        sys.addaudithook(count)
        heads.take(store=store, now=datetime.now(timezone.utc))


def main() -> None:
    """See the module."""
    logging.disable()
    config, order, head = map(Path, sys.argv[1:])
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _take(config, order.read_bytes(), head.read_bytes(), int(line))
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write("done\n" if status == 0 else "killed\n" if status == 9 else f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
