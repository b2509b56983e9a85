"""Ask whether a package of config/lock/ is known to have a hole: `make check` calls this.

Exit status 1 where one has. Where the service that knows cannot be asked, one line says so.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

PATIENCE_S = 180


def main() -> None:
    """Do it; see above."""
    found = asked(pins(sorted(Path("config/lock").glob("*.txt"))))
    known = [package for package in found if "skip_reason" not in package]
    if not known:
        print("audit: the service of advisories cannot be reached, so nothing was asked")
        return
    holes = [
        f"audit: {package['name']} {package['version']}: {hole['id']}, mended in "
        f"{', '.join(hole['fix_versions']) or 'no version yet'}"
        for package in known
        for hole in package["vulns"]
    ]
    print("\n".join(holes) or f"audit: no hole is known in {len(known)} of {len(found)} packages")
    sys.exit(1 if holes else 0)


def pins(locks: list[Path]) -> dict[str, str]:
    """Return the versions for this Python, by package."""
    lines = [line for lock in locks for line in lock.read_text(encoding="utf-8").splitlines()]
    chosen = [Requirement(line.rstrip(" \\")) for line in lines if line[:1].isalnum()]
    return {
        one.name: str(one.specifier).partition("+")[0]  # PyTorch without CUDA is PyTorch, too
        for one in chosen
        if one.marker is None or one.marker.evaluate()
    }


def asked(versions: dict[str, str]) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package, nothing where it cannot say anything."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(f"{name}{version}\n" for name, version in versions.items()))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--format=json"]
        try:
            done = subprocess.run(
                [*command, "--progress-spinner=off", "--requirement", file.name],
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            return []
    return found


if __name__ == "__main__":
    main()
