"""How to add the parts that not every machine needs: the extras of `pyproject.toml`.

The project is on no package index, so that its name alone means nothing to pip. What pip takes is
the checkout or the wheel that the running program came from.
"""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

__all__ = ["how_to_install"]

PROJECT = "edge-monitor"
ORIGIN = "direct_url.json"  # where pip writes down what it has installed from (PEP 610)


def how_to_install(extra: str) -> str:
    """Return the command that adds `extra` to the running program, in words where none is sure."""
    checkout = Path(__file__).resolve().parents[1]
    return _advice(extra, checkout=checkout, installed=_installed())


def _advice(extra: str, *, checkout: Path, installed: Distribution | None) -> str:
    if (checkout / "pyproject.toml").is_file():
        return _command("-e", f"{checkout}[{extra}]")
    origin = _origin(installed) if installed is not None else None
    if origin is not None and origin.exists():
        return _command(f"{origin}[{extra}]")
    version = installed.version if installed is not None else "VERSION"
    return (
        f"pip install '.[{extra}]' in a checkout, or pip install "
        f"'edge_monitor-{version}-py3-none-any.whl[{extra}]' with the wheel"
    )


def _command(*what: str) -> str:
    # By this very Python: another pip would install for another program.
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


def _installed() -> Distribution | None:
    try:
        return distribution(PROJECT)
    except PackageNotFoundError:
        return None


def _origin(installed: Distribution) -> Path | None:
    """Return the folder or the wheel on this machine that was installed."""
    url = urlsplit(json.loads(installed.read_text(ORIGIN) or "{}").get("url", ""))
    return Path(url2pathname(url.path)) if url.scheme == "file" else None
