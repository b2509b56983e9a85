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
    """The places of an installation below `root`, which is / but for a trial.

    There is no user to make: the unit has DynamicUser=yes, so systemd lends one while the service
    runs. What the recorder writes is below /var/lib/edge-monitor, a folder that systemd makes and
    gives to that user. Bundles are not there but below /var/opt: they are root's, so that nothing
    the recorder does can change what it judges by.
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
        """Of people: edge.yaml and the credentials."""
        return self.root / "etc/edge-monitor"

    @property
    def units(self) -> Path:
        """Of systemd, those that people install."""
        return self.root / "etc/systemd/system"

    @property
    def kept(self) -> Path:
        """What this command keeps for itself: bundles, and the configuration as it was shipped."""
        return self.root / "var/opt/edge-monitor"

    @property
    def bundles(self) -> Path:
        """DIGEST/ for each bundle that was installed, and the link `current`."""
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
        """A unit or configuration whose paths are those of this root."""
        if self.live:
            return text
        return re.sub(
            r"(?<![\w.])(/var)?/(opt|etc)/edge-monitor",
            lambda found: f"{self.root}{found[0]}",
            text,
        )


def checkout() -> Path | None:
    """The checkout that this program runs from, or None for an installed one."""
    folder = Path(__file__).resolve().parents[2]
    return (
        folder if (folder / "pyproject.toml").is_file() and (folder / "systemd").is_dir() else None
    )


def shipped(name: str) -> str:
    """The text of a file that comes with the program, such as systemd/edge.service: in a checkout,
    or below PREFIX/share.
    """
    here = checkout()
    file = (
        here if here is not None else Path(sysconfig.get_path("data"), "share", "edge-monitor")
    ) / name
    try:
        return file.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(
            f"{file}: cannot be read ({exc.strerror}); install the program again, or run from a "
            "checkout"
        ) from exc
