"""Which code trained something."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

__all__ = ["code_version"]


def code_version() -> str:
    """Return the package's version and, in a checkout, the commit, marked when it was dirty."""
    version = metadata.version("edge-monitor")
    try:
        command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
        here = Path(__file__).parent
        found = subprocess.run(
            command, cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{found.stdout.strip()}"
