"""`edge notify` as a process that looks more often than people need: python -m ... CONFIG."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from edge.notify.running import notify
from edge.page.place import place_of

if __name__ == "__main__":
    notify(place_of(Path(sys.argv[1])), ending=threading.Event(), every_s=0.1)
