"""The program on a recorder: a virtual environment for each version, and a link to the one in use.

A new one is built beside the old one, which goes on running meanwhile; only the link decides which
it is.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.install.layout import Layout
from deploy.install.steps import Step, Undo, link, remove
from edge.errors import ConfigError

__all__ = ["Program", "old_programs", "program_steps"]

STAMP = "edge-monitor.installed"  # last of all, so that what has none is half an environment
SOURCES = ("config", "deploy", "edge", "systemd", "train")
PYAUDIO_NEEDS = "python3-dev gcc libc6-dev portaudio19-dev"


@dataclass(frozen=True, kw_only=True)
class Program:
    """What an environment is made of: the package (a checkout, a wheel or a name), further
    `requirements`, and its Python.

    `system_site_packages` lets it see the system's own packages: JetPack's tensorrt is one, and no
    other fits the board. `wheels` is a folder to take everything from, for a machine without a
    network.
    """

    package: str
    python: Path
    requirements: tuple[str, ...] = ()
    system_site_packages: bool = False
    wheels: Path | None = None

    @property
    def digest(self) -> str:
        """Changes with anything that makes another environment necessary."""
        parts = [
            self.package,
            str(self.python),
            *self.requirements,
            str(self.system_site_packages),
            _content(Path(self.package)),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def place(self, layout: Layout) -> Path:
        """Where its environment stands."""
        return layout.program.with_name(f"{layout.program.name}.{self.digest[:12]}")

    def build(self, venv: Path) -> Undo:
        """Make the environment; raises `ConfigError` with what pip said, and leaves nothing
        then.
        """
        remove(venv)  # half of one, left by a power cut
        venv.parent.mkdir(parents=True, exist_ok=True)
        options = ["--system-site-packages"] if self.system_site_packages else []
        source = ["--no-index", f"--find-links={self.wheels}"] if self.wheels is not None else []
        wanted = self.package if "[" in self.package else f"{self.package}[mic]"
        try:
            # -I: nothing that this process was told about packages holds for the new environment.
            _run(
                [str(self.python), "-I", "-m", "venv", *options, str(venv)],
                "is python3-venv installed? `apt-get install python3-venv`",
            )
            pip = [
                str(venv / "bin/python"),
                "-I",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                *source,
            ]
            _run(
                [*pip, wanted, *self.requirements],
                f"PyAudio is built from `apt-get install {PYAUDIO_NEEDS}`",
            )
            (venv / STAMP).write_text(f"{self.digest}\n", encoding="ascii")
        except BaseException:
            remove(venv)
            raise
        return lambda: remove(venv)


def program_steps(layout: Layout, program: Program) -> Iterator[Step]:
    """Build the environment and let the link lead there."""
    venv = program.place(layout)
    seen = " that sees the system's packages" if program.system_site_packages else ""
    yield Step(
        what=f"make the virtual environment {venv}{seen} with {program.package}",
        why="the running one stays as it is meanwhile",
        done=(venv / STAMP).is_file,
        do=lambda: program.build(venv),
    )
    yield link(layout.program, venv.name, "the units look for the program there")


def old_programs(layout: Layout, *, keep: set[Path]) -> list[Path]:
    """Environments made here that are not to be kept."""
    ours = re.compile(re.escape(layout.program.name) + r"\.[0-9a-f]{12}")
    found = sorted(layout.program.parent.glob(f"{layout.program.name}.*"))
    return [
        path
        for path in found
        if ours.fullmatch(path.name) and (path / STAMP).is_file() and path not in keep
    ]


def _run(command: Sequence[str], hint: str) -> None:
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


def _content(package: Path) -> str:
    """sha256 of a checkout's program or of a wheel; nothing for a name."""
    if package.is_file():
        return hashlib.sha256(package.read_bytes()).hexdigest()
    if not package.is_dir():
        return ""
    files = [
        file
        for name in SOURCES
        for file in (package / name).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    ]
    digest = hashlib.sha256()
    for file in sorted([package / "pyproject.toml", *files]):
        digest.update(
            file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0"
        )
    return digest.hexdigest()
