"""Which code trained something."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["code_version", "program_digest"]

PACKAGES = ("edge", "train")


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
    digest = hashlib.sha256(metadata.version("torch").encode())
    for package in PACKAGES:
        found = importlib.util.find_spec(package)
        assert found is not None, "this very program"
        assert found.origin is not None
        folder = Path(found.origin).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{package}/{file.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
