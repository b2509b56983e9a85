"""Whether the installed program's own `edge check` accepts an installation."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.install.layout import Layout
from edge.bundle.strictjson import json_objects
from edge.errors import ConfigError, one_line

__all__ = ["faults_of_the_place"]

# Faults of these are the installation's own. A microphone that is not plugged in yet, a broker that
# is away or a full disk cannot be mended by going back to the previous bundle: the recorder waits
# for them, and a person only reads about them.
DECIDE = ("configuration", "model")
PATIENCE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class _Fault:
    """A fault that `edge check` found: what it looked at, and one line for people."""

    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


def faults_of_the_place(layout: Layout) -> list[str]:
    """Run the check and return the faults of the place, such as a missing microphone.

    Raises `ConfigError` when the program, the configuration or the model is at fault.
    """
    edge = layout.program / "bin/edge"
    command = [str(edge), "check", "--json", "--config", str(layout.settings / "edge.yaml")]
    with _service_environment(layout) as environ:
        done = _run(command, environ)
    faults = list(_faults(done.stdout))
    ours = [str(fault) for fault in faults if fault.subject in DECIDE]
    if ours:
        raise ConfigError("; ".join(ours))
    if done.returncode != (1 if faults else 0):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise ConfigError(
            f"`{' '.join(command)}` ended with {done.returncode}: "
            f"{said[-1] if said else 'it printed no error'}"
        )
    return [str(fault) for fault in faults]


def _run(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env=environ,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE_S,
        )
    except OSError as exc:
        raise ConfigError(f"{command[0]}: cannot be run ({exc.strerror})") from exc
    except subprocess.TimeoutExpired as exc:
        raise ConfigError(f"`{' '.join(command)}` did not end within {PATIENCE_S:.0f} s") from exc


def _faults(output: str) -> Iterator[_Fault]:
    """Yield the faults among the findings of `edge check --json`, one JSON object a line.

    Other lines are passed over: the exit status says whether the check broke.
    """
    for finding in json_objects(output.split("\n")):
        match finding:
            case {"subject": str(subject), "fault": dict(), "text": str(text)}:
                yield _Fault(subject=subject, text=one_line(text))


@contextmanager
def _service_environment(layout: Layout) -> Iterator[Mapping[str, str]]:
    """Give the environment variables that systemd gives the service.

    They name the folder of its state, and one with its credentials under the names they have there.
    """
    parent = layout.state.parent
    parent.mkdir(parents=True, exist_ok=True)
    # On the disk of the state, because the check looks at the room left on it; systemd makes the
    # folder itself only at the first start.
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
