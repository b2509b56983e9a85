"""A machine in a folder for `edge-deploy install`, with a program that answers as a test says.

The program is a script that answers `edge check --json`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.install.layout import Layout
from deploy.install.program import STAMP, Program
from edge.bundle import load_bundle

__all__ = ["JETSON", "PYTHON", "Machine", "found"]

PYTHON = Path(sys.executable).resolve()
JETSON = "# R{} (release), REVISION: {}, GCID: 1, BOARD: generic, EABI: aarch64\n"
CHECK = '#!/bin/sh\necho "$@" >>{root}/asked\ncat {root}/answer\nexit $(cat {root}/status)\n'


def found(subject: str, fault: str = "") -> str:
    """Return a line of `edge check --json`; without a `fault` the subject is in order."""
    parts = {"key": "", "value": "", "reason": fault, "suggestion": ""} if fault else None
    return json.dumps({"subject": subject, "detail": "", "fault": parts, "text": fault})


class Machine:
    """A file system that begins in a folder, and a package whose environment is there already."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "machine"
        self.layout = Layout(root=self.root)
        self.package = folder / "edge_monitor-9.9-py3-none-any.whl"
        self.root.mkdir()
        self.answers(found("model"))
        self.offers("first")

    def offers(self, content: str) -> Path:
        """Offer another version of the package, and return its environment."""
        self.package.write_text(content, encoding="utf-8")
        digest = Program(package=str(self.package), python=PYTHON).digest
        venv = self.root / f"opt/edge-monitor.{digest[:12]}"
        (venv / "bin").mkdir(parents=True)
        (venv / STAMP).touch()
        (venv / "bin/edge").write_text(CHECK.format(root=self.root), encoding="utf-8")
        (venv / "bin/edge").chmod(0o755)
        return venv

    def answers(self, *lines: str, status: int = 0) -> None:
        """Have `edge check` print these lines and exit with `status` from now on."""
        (self.root / "answer").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        (self.root / "status").write_text(f"{status}\n", encoding="utf-8")

    def install(self, *options: str) -> Result:
        arguments = [
            "install",
            "--root",
            str(self.root),
            "--package",
            str(self.package),
            "--python",
            str(PYTHON),
            *options,
        ]
        return CliRunner().invoke(main, arguments)

    def installs(self, *options: str) -> str:
        result = self.install(*options)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refuses(self, *options: str) -> str:
        result = self.install(*options)
        assert result.exit_code == 2, result.output
        assert result.stderr.count("\n") == 1
        return result.stderr

    def files(self) -> dict[str, str]:
        """Return everything that is there, by path: its content, or where a link leads.

        What the checking script notes is left out.
        """
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_symlink():
                found[name] = f"-> {os.readlink(path)}"
            elif path.is_file() and name not in ("asked", "answer", "status"):
                found[name] = path.read_bytes().hex()
        return found

    @property
    def config(self) -> Path:
        return self.layout.settings / "edge.yaml"

    @property
    def current(self) -> str:
        return load_bundle(self.layout.current).digest
