"""What a test run that is killed leaves mounted does not outlive the start of the next one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.disk import small_disk, unmount_left_behind

_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.support.disk import small_disk

with small_disk(Path(sys.argv[1]), megabytes=1):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.mount
def test_only_the_disks_of_dead_runs_are_unmounted(tmp_path: Path, root: Path) -> None:
    left = tmp_path / "left behind"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(left)], cwd=root, check=False)
    assert killed.returncode == -9
    assert left.is_mount()
    with small_disk(tmp_path / "in use", megabytes=1) as disk:
        unmount_left_behind()
        assert disk.is_mount()
        assert not left.is_mount()
