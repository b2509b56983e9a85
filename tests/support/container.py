"""A real systemd in a container, booted within seconds from this machine's own /usr.

Everything else of the container is fresh, and vanishes.

`systemd-nspawn --volatile=yes` mounts /usr read-only below an empty tmpfs, so none of the machine's
settings, units or data are seen or touched, and nothing has to be downloaded. The network is the
machine's: a broker on a loopback port can be reached.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.support.daemons import until

__all__ = ["ENVIRONMENT", "LOOK_S", "Container", "cannot_boot", "install"]

NSPAWN = (
    "systemd-nspawn",
    "--quiet",
    "--directory=/",
    "--volatile=yes",
    "--register=no",
    "--keep-unit",
    "--private-users=no",
)
BOOT_S = 60.0
# between two looks inside: each is a process, and what is waited for needs the processor too
LOOK_S = 0.2


@cache
def cannot_boot() -> str | None:
    """Why no container can be started here, or None."""
    if os.geteuid() != 0:
        return "systemd-nspawn needs root"
    if shutil.which("systemd-nspawn") is None:
        return "no systemd-nspawn (`make test` installs the package systemd-container)"
    if not Path("/usr/lib/systemd/systemd").exists() and not Path("/lib/systemd/systemd").exists():
        return "no systemd to boot (`make test` installs the package systemd)"
    tried = subprocess.run(
        [*NSPAWN, "--pipe", "/usr/bin/true"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return (
        None
        if tried.returncode == 0
        else f"systemd-nspawn does not work on this machine: {' '.join(tried.stderr.split())}"
    )


class Container:
    """A booted system until the end of the block.

    `binds` and `read_only` are folders of this machine, by where the container sees them.
    """

    def __init__(
        self, folder: Path, *, binds: Mapping[str, Path], read_only: Mapping[str, Path]
    ) -> None:
        self._console = folder / "console.log"
        self._address = str(folder / "notify")
        self._options = [f"--bind={there}:{here}" for here, there in binds.items()]
        self._options += [f"--bind-ro={there}:{here}" for here, there in read_only.items()]
        self._leader = 0
        self._nspawn: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Container:
        try:
            self._boot()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def _boot(self) -> None:
        # A terminal of its own for the system, of which we only read.
        # It does not outlive a test run that was killed.
        command = [
            "setpriv",
            "--pdeathsig=KILL",
            *NSPAWN,
            "--boot",
            "--console=read-only",
            f"--machine=edge-test-{os.getpid()}",
            "--link-journal=no",
        ]
        command += [*self._options, "systemd.firstboot=off", "systemd.status_unit_format=name"]
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices,
            self._console.open("wb") as console,
        ):
            notices.bind(self._address)
            notices.settimeout(BOOT_S)
            # One tree of control groups, also where the machine still has one for each controller:
            # killing needs it.
            environ = {
                **os.environ,
                "NOTIFY_SOCKET": self._address,
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            }
            self._nspawn = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=environ,
                start_new_session=True,
            )
            while not self._leader:
                for line in notices.recv(4096).decode().splitlines():
                    name, _, value = line.partition("=")
                    if name == "X_NSPAWN_LEADER_PID":
                        self._leader = int(value)
        until(
            lambda: self.run("systemctl", "show", "--property=Version", check=False).startswith(
                "Version="
            ),
            BOOT_S,
            every_s=LOOK_S,
        )

    @property
    def console(self) -> str:
        """What the system has written while it booted."""
        return self._console.read_text(encoding="utf-8", errors="replace")

    def run(self, *command: str, check: bool = True, seconds: float = 60.0) -> str:
        """Standard output of a command inside, as root."""
        # --wd: in the folder of its first process; a folder of ours is nowhere below its root, and
        # some programs do not bear that.
        enter = [
            "nsenter",
            f"--target={self._leader}",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--root",
            "--wd",
        ]
        environ = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "SYSTEMD_PAGER": "cat",
        }
        done = subprocess.run(
            [*enter, "--", *command],
            capture_output=True,
            text=True,
            check=False,
            env=environ,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def path(self, inside: str) -> Path:
        """Return a path of the container as this machine sees it.

        Absolute symbolic links in it would be followed on this machine, and lead elsewhere.
        """
        return Path(f"/proc/{self._leader}/root{inside}")

    def kill(self) -> None:
        """End it and all its processes, whatever state they are in."""
        if self._leader:
            # The end of its first process is the end of every other, frozen ones too.
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(self._leader, signal.SIGKILL)
        if self._nspawn is not None:
            try:
                self._nspawn.wait(20)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
            self._nspawn = None


def install(folder: Path, checkout: Path) -> dict[str, Path]:
    """Make the program at /opt/edge-monitor, where the unit looks for it, of what runs this test.

    Returns what the container is to see read-only, by place.

    A virtual environment of its own in `folder`, with the packages of ours; its Python may be below
    somebody's home, where no service may look, so it is shown below /opt too.
    """
    venv = "/opt/edge-monitor"
    base = Path(sys.base_prefix)
    inside = base if base.is_relative_to("/usr") else Path(venv, "python")
    python = inside / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = Path("lib", python.name, "site-packages")
    for part in (Path("bin"), packages, Path("checkout"), Path("python")):
        (folder / part).mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    (folder / "bin" / "python").symlink_to(python)
    command = folder / "bin" / "edge"
    command.write_text(
        f"#!{venv}/bin/python\nfrom edge.cli import main\n\nmain()\n", encoding="utf-8"
    )
    command.chmod(0o755)
    shown = {
        venv: folder,
        f"{venv}/{packages}": Path(sysconfig.get_path("purelib")),
        f"{venv}/checkout": checkout,
    }
    return shown if inside == base else {**shown, str(inside): base}


# Of the drop-in: where the checkout is, and the libraries of a Python that was moved.
ENVIRONMENT = "PYTHONPATH=/opt/edge-monitor/checkout LD_LIBRARY_PATH=/opt/edge-monitor/python/lib"
