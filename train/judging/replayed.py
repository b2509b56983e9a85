"""The events of recordings as a recorder makes them: what `edge replay` itself writes of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.errors import UserError
from train.corpus.selections import Selection, read_selections

__all__ = ["replayed"]


def replayed(
    bundle: Path,
    recordings: Sequence[Path],
    *,
    species: Path | None,
    hop_s: float | None,
    workers: int,
) -> tuple[Selection, ...]:
    """Return what a recorder with this bundle and list of `species` names in `recordings`.

    Its windows are `hop_s` apart, None: by its default.

    It is the recorder's program, not another of the same rules, so that what is judged is what
    runs. Raises `UserError` with what that says where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "events.csv"
        command = [sys.executable, "-m", "edge.cli", "replay", *map(str, recordings)]
        command += ["--bundle", str(bundle), "--workers", str(workers)]
        command += ["--format", "csv", "--out", str(out)]
        command += ["--species", str(species)] if species else []
        command += [] if hop_s is None else ["--hop-s", str(hop_s)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not out.is_file():
            said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
            raise UserError(f"edge replay: {said[-1].removeprefix('error: ')}")
        return tuple(read_selections(out))
