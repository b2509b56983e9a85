"""What `edge check` of the installed program says of an installation: whether it stays, and what is
still missing.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.install.layout import Layout
from edge.errors import ConfigError

__all__ = ["faults_of_the_place"]

# Faults of these are the installation's own. A microphone that is not plugged in yet, a broker that
# is away or a full disk are not mended by the bundle of yesterday: the recorder waits for them, and
# they are only told.
DECIDE = ("configuration", "model")
PATIENCE_S = 300.0


def faults_of_the_place(layout: Layout) -> list[str]:
    """Run the check and give what the place still lacks; `ConfigError` when program, configuration
    or model is at fault.
    """
    edge = layout.program / "bin/edge"
    with _surroundings(layout) as environ:
        command = [str(edge), "check", "--config", str(layout.settings / "edge.yaml")]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env=environ,
                stdin=subprocess.DEVNULL,
                timeout=PATIENCE_S,
            )
        except OSError as exc:
            raise ConfigError(f"{edge}: cannot be run ({exc.strerror})") from exc
        except subprocess.TimeoutExpired as exc:
            raise ConfigError(
                f"`{' '.join(command)}` did not end within {PATIENCE_S:.0f} s"
            ) from exc
    faults = [
        line.removeprefix("FAULT").strip()
        for line in done.stdout.splitlines()
        if line.startswith("FAULT ")
    ]
    ours = [fault for fault in faults if fault.partition(":")[0] in DECIDE]
    if ours:
        raise ConfigError("; ".join(ours))
    if done.returncode != (1 if faults else 0):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ConfigError(
            f"`{' '.join(command)}` ended with {done.returncode}: "
            f"{said[-1] if said else 'without a word'}"
        )
    return faults


@contextmanager
def _surroundings(layout: Layout) -> Iterator[Mapping[str, str]]:
    """The environment that systemd gives the service: where its state is, and its credentials by
    the names they have there.
    """
    parent = layout.state.parent
    parent.mkdir(parents=True, exist_ok=True)
    # On the disk of the state, whose room is looked at, for systemd has not made it before the
    # first start.
    with tempfile.TemporaryDirectory(prefix=".edge-monitor.", dir=parent) as scratch:
        state = layout.state if layout.state.is_dir() else Path(scratch, "state")
        secrets = Path(scratch, "credentials")
        for folder in (state, secrets):
            folder.mkdir(exist_ok=True)
        for file in sorted((layout.settings / "credentials").glob("*")):
            (secrets / f"edge_{file.name}").symlink_to(file.resolve())
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
        }
        yield {**environ, "STATE_DIRECTORY": str(state), "CREDENTIALS_DIRECTORY": str(secrets)}
