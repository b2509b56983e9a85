"""One recorder at a time on one store, whatever ended the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edge.errors import UserError
from edge.store.lock import ANYBODYS, holder_of, sole_user
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


STRANGER = """
import os, pwd, sys
from pathlib import Path
from edge.errors import UserError
from edge.store.lock import holder_of, sole_user
if not os.geteuid():
    os.seteuid(65534)
print(holder_of(Path(sys.argv[1])), flush=True)
try:
    with sole_user(Path(sys.argv[1])):
        print("two have it")
except UserError as exc:
    print(exc)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that anybody may write in."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def stranger(path: Path) -> list[str]:
    """Return what another user is told of the store at `path`."""
    command = [sys.executable, "-c", STRANGER, str(path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def test_a_lock_that_cannot_be_read_is_not_passed_by(shared: Path) -> None:
    """Two people fill one dataset in a folder that they share."""
    path = shared / "job"
    with sole_user(path):
        path.with_name("job-lock").chmod(0)
        there, refused = stranger(path)
    assert there.startswith("a process of ")
    assert "cannot be locked" in refused
    assert str(path.with_name("job-lock")) in refused


def test_a_lock_may_be_anybodys(shared: Path) -> None:
    path = shared / "job"
    with sole_user(path, mode=ANYBODYS):
        there, refused = stranger(path)
    assert there == f"the process {os.getpid()}"
    assert f"in use by {there}" in refused
    assert stranger(path) == ["None", "two have it"]
