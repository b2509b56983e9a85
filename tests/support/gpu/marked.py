"""The tests marked `gpu`: run as they are, by a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

__all__ = ["TestRow", "run_marked"]

MARK = "mark.gpu"
TIMEOUT_S = 240


@dataclass(frozen=True, kw_only=True)
class TestRow:
    """A test and what came of it: passed, FAILED, or not run, with the reason."""

    name: str
    outcome: str
    seconds: float = 0.0
    reason: str = ""


def run_marked(root: Path, *paths: str) -> list[TestRow]:
    """Run the tests marked `gpu`, of all files or those in `paths`, and return what came of each.

    Warnings are no errors here: the packages of such a machine are not those of the lock.
    """
    files = [*paths] if paths else sorted(_files(root))
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        command = [sys.executable, "-m", "pytest", "-m", "gpu", "-W", "default", "-q"]
        command += ["-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}"]
        try:
            done = subprocess.run(
                [*command, *files],
                cwd=root,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [TestRow(name="all", outcome="FAILED", reason=f"no end after {TIMEOUT_S} s")]
        print(done.stdout, done.stderr, file=sys.stderr)
        if not report.exists():
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            return [TestRow(name="all", outcome="FAILED", reason=" ".join(last))]
        return list(_rows(ElementTree.parse(report).getroot()))


def _files(root: Path) -> Iterator[str]:
    """Yield the files that have such tests; others need what only the lock has."""
    for file in (root / "tests").rglob("test_*.py"):
        if MARK in file.read_text(encoding="utf-8"):
            yield file.relative_to(root).as_posix()


def _rows(report: ElementTree.Element) -> Iterator[TestRow]:
    for case in report.iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        seconds = float(case.get("time", 0))
        wrong = [part for part in case if part.tag in ("failure", "error")]
        skipped = [part for part in case if part.tag == "skipped"]
        if wrong:
            reason = wrong[0].get("message", "").partition("\n")[0]
            yield TestRow(name=name, outcome="FAILED", seconds=seconds, reason=reason)
        elif skipped:
            reason = skipped[0].get("message", "")
            yield TestRow(name=name, outcome="not run", seconds=seconds, reason=reason)
        else:
            yield TestRow(name=name, outcome="passed", seconds=seconds)
