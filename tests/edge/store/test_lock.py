"""One recorder at a time on one store, whatever ended the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.errors import UserError
from edge.store.lock import holder_of, sole_user
from tests.support.disk import small_disk

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys, time
from pathlib import Path
from edge.store.lock import sole_user
with sole_user(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_has_it_and_a_kill_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "edge.db"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert holder_of(path) == f"the process {holder.pid}"
        with pytest.raises(UserError) as caught, sole_user(path):
            raise AssertionError("two have it")
        assert caught.value.fault.key == "store.path"
        assert str(holder.pid) in caught.value.fault.reason
        assert "\n" not in str(caught.value)
        holder.send_signal(signal.SIGKILL)
    assert holder_of(path) is None
    with sole_user(path):
        assert holder_of(path) == f"the process {os.getpid()}"
    assert holder_of(path) is None


@pytest.mark.mount
def test_a_disk_that_takes_no_file_keeps_two_apart_all_the_same(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=1) as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with (
            sole_user(disk / "edge.db"),
            pytest.raises(UserError, match="in use by another process"),
            sole_user(disk / "edge.db"),
        ):
            raise AssertionError("two have it")
