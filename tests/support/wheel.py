"""A wheel of this project that installs within seconds and without a network.

It leads to the packages that run the test.
"""

from __future__ import annotations

import sysconfig
import zipfile
from collections.abc import Iterable
from pathlib import Path

from deploy.install.packages import PLACE

__all__ = ["here", "linked_wheel"]

INFO = "edge_monitor-9.9.dist-info"


def linked_wheel(folder: Path, paths: Iterable[Path | str]) -> Path:
    """Write the wheel, with the real commands.

    The environment that it is installed into imports from `paths`.
    """
    file = folder / "edge_monitor-9.9-py3-none-any.whl"
    files = {
        "edge_monitor_linked.pth": "".join(f"{path}\n" for path in paths),
        f"{INFO}/METADATA": (
            "Metadata-Version: 2.1\nName: edge-monitor\nVersion: 9.9\nProvides-Extra: mic\n"
        ),
        f"{INFO}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
        f"{INFO}/entry_points.txt": (
            "[console_scripts]\nedge = edge.cli:main\nedge-deploy = deploy.cli:main\n"
        ),
    }
    for name in ("build", "base", "mic"):  # it needs nothing that is not there
        files[f"edge_monitor-9.9.data/data/{PLACE}/{name}.txt"] = "# nothing\n"
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {
            **files,
            f"{INFO}/RECORD": "".join(f"{name},,\n" for name in [*files, f"{INFO}/RECORD"]),
        }.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return file


def here(checkout: Path) -> list[Path]:
    """What runs this test."""
    return [checkout, Path(sysconfig.get_path("purelib"))]
