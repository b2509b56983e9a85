"""The packages of a program's environment: those of the lock that comes with the program.

The lock, config/lock/ in a checkout and below share/ in a wheel, names a version of each with its
hashes. pip takes no other, and builds with no other.
"""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.errors import ConfigError

__all__ = ["Pip", "run"]

PLACE = "share/edge-monitor/config/lock"  # in the data of a wheel: pyproject.toml
PYAUDIO_NEEDS = "python3-dev gcc libc6-dev portaudio19-dev"
BUILD_IT = "build its wheel anew from a checkout, with `pip wheel --no-deps .`"
LARGEST_BYTES = 10_000_000


class Pip:
    """The pip of the environment `venv`; `wheels` is a folder to take all from, or None.

    Every call raises `ConfigError` with pip's error.
    """

    def __init__(self, venv: Path, wheels: Path | None) -> None:
        self._python = str(venv / "bin/python")
        self._source = [] if wheels is None else ["--no-index", f"--find-links={wheels}"]

    def install(self, package: str, extras: Sequence[str], scratch: Path) -> None:
        """Install a checkout, a wheel or a name, and what its lock has for it and its extras."""
        path = Path(package) if Path(package).exists() else self._downloaded(package, scratch)
        for names in (["build"], ["base", *extras]):
            locks = [_lock(path, name, scratch) for name in names]
            chosen = [f"--requirement={lock}" for lock in locks if _has_packages(lock)]
            if chosen:
                self._run("install", "--require-hashes", "--no-build-isolation", *chosen)
        self._run("install", "--no-deps", "--no-build-isolation", str(path))

    def _downloaded(self, name: str, scratch: Path) -> Path:
        """Return the wheel that a package index has under this name."""
        self._run("download", "--no-deps", "--only-binary=:all:", f"--dest={scratch}", name)
        return next(scratch.glob("*.whl"))

    def _run(self, command: str, *arguments: str) -> None:
        # -I: where this process looks for packages does not matter to the new environment.
        pip = [self._python, "-I", "-m", "pip", command, "--quiet", "--disable-pip-version-check"]
        run([*pip, *self._source, *arguments], f"PyAudio needs `apt-get install {PYAUDIO_NEEDS}`")


def run(command: Sequence[str], hint: str) -> None:
    """Run a command; raises `ConfigError` with its error and the hint when it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as exc:
        raise ConfigError(f"{command[0]}: cannot be run ({exc.strerror}); {hint}") from exc
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = next(
            (line for line in said if line.lower().startswith("error")),
            said[-1] if said else f"exit {done.returncode}",
        )
        raise ConfigError(f"{' '.join(command)}: {reason}; {hint}")


def _lock(package: Path, name: str, scratch: Path) -> Path:
    """Return the file of the lock for the extra `name`, copied out of a wheel."""
    if package.is_dir():
        lock = package / "config/lock" / f"{name}.txt"
        if lock.is_file():
            return lock
    else:
        lock = scratch / f"{name}.txt"
        for content in _in_the_wheel(package, f".data/data/{PLACE}/{name}.txt"):
            lock.write_bytes(content)
            return lock
    raise ConfigError(f"{package}: has no lock of the packages it needs, {lock.name}; {BUILD_IT}")


def _in_the_wheel(package: Path, end: str) -> Iterator[bytes]:
    """Yield the content of each member whose name ends so."""
    try:
        with zipfile.ZipFile(package) as wheel:
            for member in wheel.infolist():
                if member.filename.endswith(end) and member.file_size <= LARGEST_BYTES:
                    yield wheel.read(member)
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as exc:
        raise ConfigError(f"{package}: is no wheel ({exc}); {BUILD_IT}") from exc


def _has_packages(lock: Path) -> bool:
    lines = lock.read_text(encoding="utf-8").splitlines()
    return any(line.strip() and not line.startswith("#") for line in lines)
