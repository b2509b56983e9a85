"""A process of its own that offers one message to one service, and notes what became of it.

So a service that hangs can be ended, and what its program takes of memory goes back. It outlives
`edge notify` when that is killed: whether a service has taken a message is known all the same. Its
order comes on standard input, since everybody may read the arguments of a process.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge.errors import AudioError, UserError
from edge.notify.notebook import attached
from edge.notify.outgoing import TEXT_ONLY, Attempt, begin_attempt, end_attempt
from edge.notify.services import send
from edge.page.clips import clip_in
from edge.page.pictures import picture
from edge.store.lock import sole_user

__all__ = ["LONGEST_S", "files_of", "main"]

LONGEST_S = 60  # then the kernel ends it
MOST_SOUND_BYTES = 8_000_000  # of which the most usual services take an attachment


def main() -> None:
    """Read an order and carry it out."""
    signal.alarm(LONGEST_S)
    order = json.load(sys.stdin)
    if "book" not in order:
        answer = send(order["url"], title=order["title"], body=order["body"])
        print(json.dumps({"taken": answer.taken, "statuses": answer.statuses}))
        return
    try:
        with sole_user(Path(order["lock"])):
            _carry_out(order)
    except UserError:  # another courier of this service is at work, or the disk takes nothing
        sys.exit(1)


def _carry_out(order: Mapping[str, Any]) -> None:
    attempt = Attempt(**order["attempt"])
    with attached(Path(order["book"])) as book, tempfile.TemporaryDirectory() as folder:
        files = files_of(attempt, clips=Path(order["clips"]), folder=Path(folder))
        if not begin_attempt(book, attempt):
            return
        answer = send(order["url"], title=attempt.title, body=attempt.body, files=files)
        now = datetime.now(timezone.utc)
        end_attempt(book, attempt, answer, files=len(files), now=now)


def files_of(attempt: Attempt, *, clips: Path, folder: Path) -> list[Path]:
    """Return picture and sound of a message, in `folder`, by names that are not a stranger's."""
    clip = clip_in(clips, attempt.clip)
    if clip is None or attempt.plainer >= TEXT_ONLY:
        return []
    files = []
    try:
        drawn = folder / "spectrogram.png"
        drawn.write_bytes(picture(clip))
        files.append(drawn)
        if not attempt.plainer and clip.stat().st_size <= MOST_SOUND_BYTES:
            sound = folder / f"sound{clip.suffix}"
            sound.symlink_to(clip)
            files.append(sound)
    except (OSError, AudioError):  # the clip has gone for newer ones, or is damaged
        pass
    return files


if __name__ == "__main__":
    main()
