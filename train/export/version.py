"""Which code trained something."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from edge.bundle.digest import digest_of_code, sha256_of

__all__ = ["code_version", "program_digest"]


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


@cache
def program_digest() -> str:
    """Return the sha256 of all that decides what a training gives: this program, and PyTorch's."""
    digests = (digest_of_code(package) for package in ("edge", "train"))
    return sha256_of(" ".join((metadata.version("torch"), *digests)).encode())
