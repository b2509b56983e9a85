"""The program on a recorder: a virtual environment for each version, and a link to the one in use.

A new one is built beside the old one, which goes on running meanwhile.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.install.layout import Layout
from deploy.install.packages import Pip, run
from deploy.install.steps import Step, Undo, link, remove
from edge.bundle.digest import sha256_of

__all__ = ["Program", "old_programs", "program_steps"]

STAMP = "edge-monitor.installed"  # written last: an environment without it is unfinished
SOURCES = ("config", "deploy", "edge", "systemd", "train")


@dataclass(frozen=True, kw_only=True)
class Program:
    """What an environment is made of.

    `package` is a checkout, a wheel or a name, `locks` are further files of its lock. `wheels` is a
    folder to take all of them from, for a machine without a network. `system_site_packages` lets
    the environment see the system's own packages: JetPack's tensorrt is one, and no other fits the
    board.
    """

    package: str
    python: Path
    locks: tuple[str, ...] = ()
    system_site_packages: bool = False
    wheels: Path | None = None

    @property
    def digest(self) -> str:
        """A digest that changes with anything that makes another environment necessary."""
        parts = [
            self.package,
            str(self.python),
            *self.locks,
            str(self.system_site_packages),
            _content(Path(self.package)),
        ]
        return sha256_of("\0".join(parts).encode())

    def place(self, layout: Layout) -> Path:
        """Return the folder of its environment."""
        return layout.program.with_name(f"{layout.program.name}.{self.digest[:12]}")

    def build(self, venv: Path) -> Undo:
        """Make the environment; raises `ConfigError` with pip's error, and then leaves nothing."""
        remove(venv)  # an unfinished one may be left from a power cut
        venv.parent.mkdir(parents=True, exist_ok=True)
        options = ["--system-site-packages"] if self.system_site_packages else []
        package, extras = _parted(self.package)
        try:
            # -I: where this process looks for packages does not matter to the new environment.
            run(
                [str(self.python), "-I", "-m", "venv", *options, str(venv)],
                "is python3-venv installed? `apt-get install python3-venv`",
            )
            with tempfile.TemporaryDirectory() as scratch:
                pip = Pip(venv, self.wheels)
                pip.install(package, [*extras, *self.locks], Path(scratch))
            (venv / STAMP).write_text(f"{self.digest}\n", encoding="ascii")
        except BaseException:
            remove(venv)
            raise
        return lambda: remove(venv)


def program_steps(layout: Layout, program: Program) -> Iterator[Step]:
    """Build the environment and let the link lead there."""
    venv = program.place(layout)
    seeing = " that sees the system's packages" if program.system_site_packages else ""
    yield Step(
        what=f"make the virtual environment {venv}{seeing} with {program.package}",
        why="the running one stays as it is meanwhile",
        done=(venv / STAMP).is_file,
        do=lambda: program.build(venv),
    )
    yield link(layout.program, venv.name, "the units look for the program there")


def old_programs(layout: Layout, *, keep: set[Path]) -> list[Path]:
    """Return the environments that `Program.build` made, but for those to `keep`."""
    ours = re.compile(re.escape(layout.program.name) + r"\.[0-9a-f]{12}")
    found = sorted(layout.program.parent.glob(f"{layout.program.name}.*"))
    return [
        path
        for path in found
        if ours.fullmatch(path.name) and (path / STAMP).is_file() and path not in keep
    ]


def _parted(package: str) -> tuple[str, list[str]]:
    """Return a package without the extras in brackets behind it, and these: a recorder's, mic."""
    found = re.fullmatch(r"(.+)\[([\w,-]+)\]", package)
    return (found[1], found[2].split(",")) if found else (package, ["mic"])


def _content(package: Path) -> str:
    """Return the sha256 of a checkout's program or of a wheel, and "" for a name."""
    if package.is_file():
        return sha256_of(package.read_bytes())
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
