"""Where an installation puts things, and where what it puts there comes from."""

from __future__ import annotations

import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError

__all__ = ["Layout", "checkout", "shipped"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The places of an installation below `root`, which is / except in a trial.

    No user has to be made: the unit has DynamicUser=yes, so systemd makes one up while the service
    runs. What the recorder writes is below /var/lib/edge-monitor, a folder that systemd makes and
    gives to that user. Bundles are below /var/opt instead and belong to root, so that nothing the
    recorder does can change the model that it runs.
    """

    root: Path = Path("/")

    @property
    def live(self) -> bool:
        """Whether this is the machine itself, with its services."""
        return self.root == Path("/")

    @property
    def program(self) -> Path:
        """A link to the virtual environment in use, which stands beside it."""
        return self.root / "opt/edge-monitor"

    @property
    def settings(self) -> Path:
        """The folder for people: edge.yaml and the credentials."""
        return self.root / "etc/edge-monitor"

    @property
    def units(self) -> Path:
        """The folder in which systemd looks for units that were installed by hand."""
        return self.root / "etc/systemd/system"

    @property
    def kept(self) -> Path:
        """What this command keeps for itself: bundles, and the configuration as it was shipped."""
        return self.root / "var/opt/edge-monitor"

    @property
    def bundles(self) -> Path:
        """The folder with DIGEST/ for each bundle that was installed, and the link `current`."""
        return self.kept / "bundles"

    @property
    def current(self) -> Path:
        """The link to the bundle in use."""
        return self.bundles / "current"

    @property
    def state(self) -> Path:
        """What the recorder writes; systemd makes it."""
        return self.root / "var/lib/edge-monitor"

    def placed(self, text: str) -> str:
        """Return the text of a unit with its paths below this root."""
        if self.live:
            return text
        return re.sub(
            r"(?<![\w.])(/var)?/(opt|etc)/edge-monitor",
            lambda found: f"{self.root}{found[0]}",
            text,
        )


def checkout() -> Path | None:
    """Return the checkout that this program runs from, or None where it is installed."""
    folder = Path(__file__).resolve().parents[2]
    if (folder / "pyproject.toml").is_file() and (folder / "systemd").is_dir():
        return folder
    return None


def shipped(name: str) -> str:
    """Return the text of a file that comes with the program, such as systemd/edge.service.

    It is in the checkout, or below PREFIX/share. Raises `ConfigError` when it cannot be read.
    """
    folder = checkout() or Path(sysconfig.get_path("data"), "share", "edge-monitor")
    file = folder / name
    try:
        return file.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(
            f"{file}: cannot be read ({exc.strerror}); install the program again, or run from a "
            "checkout"
        ) from exc
