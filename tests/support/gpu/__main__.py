"""`python -m tests.support.gpu`: tests, speed and training on this machine's GPU, as one document.

`make gpu` calls it. What is not installed is a line of the document. Each section is written when
it is finished, so that a run that is ended early leaves what it had.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch

from edge.errors import UserError
from edge.files import write_whole
from tests.support.gpu import report
from tests.support.gpu.engines import engine_rows
from tests.support.gpu.inference import subject_of, torch_rows
from tests.support.gpu.marked import run_marked
from tests.support.gpu.plan import FULL, TINY, Measured, Plan
from tests.support.gpu.timing import Ceilings, measure
from tests.support.gpu.training import training_rows
from train.learning.trainer import pick_device

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[3]
log = logging.getLogger(__name__)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/gpu.md"))
@click.option(
    "--device",
    type=click.Choice(["cuda", "cpu"]),
    default="cuda",
    show_default=True,
    help="cpu runs what can run without a card.",
)
@click.option("--tiny", is_flag=True, help="Small and short: a trial of the program.")
@click.option("--tests/--no-tests", default=True, help="Run the tests marked gpu, too.")
@click.option("--only", help="Only networks and recipes whose title contains this.")
def main(out: Path, device: str, tiny: bool, tests: bool, only: str | None) -> None:
    """Measure this machine's GPU with the networks of this project, and write OUT.

    Exit code 1: a section failed, an answer was wrong, or a test failed; OUT says which.
    """
    try:
        chosen = pick_device(device)
    except UserError as exc:
        raise click.ClickException(str(exc)) from exc
    document = _Document(out)
    plan = (TINY if tiny else FULL).only(only or "")
    _write(document, plan, chosen, tests=tests)
    click.echo(f"{out}: {document.faults or 'no'} faults", err=True)
    sys.exit(1 if document.faults else 0)


class _Document:
    """The file, of which every finished section is on the disk; a failed one says why."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._parts = ["# Measured on a GPU"]
        self._began_s = time.monotonic()
        self.faults = 0

    def add(self, name: str, section: Callable[[], str]) -> None:
        began_s = time.monotonic()
        try:
            text = section()
        except Exception as exc:  # the rest is still worth having
            log.exception("%s", name)
            self.faults += 1
            text = f"## {name}\n\nFAILED: {type(exc).__name__}: {exc}"
        self._parts.append(text)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._file, "\n\n".join(self._parts) + "\n")
        spent_s, since_s = time.monotonic() - began_s, time.monotonic() - self._began_s
        click.echo(f"{name}: {spent_s:.1f} s, {since_s:.0f} s since the start", err=True)

    def judged(self, wrong: int) -> None:
        """Count what was measured but is wrong."""
        self.faults += wrong


def _write(document: _Document, plan: Plan, device: torch.device, *, tests: bool) -> None:
    document.add("Machine", lambda: report.machine_section(device))
    ceilings = measure(device, matrix=plan.matrix, copied=plan.copied, seconds=plan.seconds)
    document.add("Ceilings", lambda: report.ceilings_section(ceilings))
    if tests:
        document.add("Tests", lambda: _tests(document))
    document.add("Networks", report.networks_preface)
    for measured in plan.networks:
        section = partial(_network, document, measured, plan, device, ceilings)
        document.add(measured.title, section)
    document.add("Training", lambda: _training(document, plan, device, ceilings))


def _network(
    document: _Document, measured: Measured, plan: Plan, device: torch.device, ceilings: Ceilings
) -> str:
    subject = subject_of(measured, ROOT, device)
    with TemporaryDirectory() as folder:
        engines = engine_rows(subject, plan, Path(folder, "engines"))
        rows = [*torch_rows(subject, plan, device), *engines]
    document.judged(sum(row.is_wrong for row in rows))
    return report.network_section(subject, rows, ceilings)


def _training(document: _Document, plan: Plan, device: torch.device, ceilings: Ceilings) -> str:
    rows = list(training_rows(plan, ROOT, device, ceilings))
    document.judged(sum(row.is_wrong for row in rows))
    return report.training_section(rows)


def _tests(document: _Document) -> str:
    rows = run_marked(ROOT)
    document.judged(sum(row.outcome == "FAILED" for row in rows))
    return report.tests_section(rows)


if __name__ == "__main__":
    main()
