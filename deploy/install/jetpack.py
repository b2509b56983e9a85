"""Which Jetson this is, by files of its system.

So a software release that cannot work is refused before anything is changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError

__all__ = ["OLDEST_L4T", "OLDEST_TENSORRT", "Jetson", "jetson_of", "refuse_what_cannot_work"]

OLDEST_L4T = (36, 4)
OLDEST_TENSORRT = (10, 3)
# The packages that hold TensorRT's version; the name of the library ends in its major version.
PACKAGES = re.compile(r"tensorrt|python3-libnvinfer|libnvinfer\d+")


@dataclass(frozen=True, kw_only=True)
class Jetson:
    """A board of NVIDIA's; `l4t` is the release of its Linux.

    `tensorrt` is empty where TensorRT is not installed.
    """

    l4t: tuple[int, ...]
    tensorrt: tuple[int, ...] = ()

    @property
    def jetpack(self) -> str:
        """NVIDIA's name for the release, as far as it follows from that of the Linux."""
        major, minor = self.l4t[:2]
        if major < 36:
            return "JetPack 5 or older"
        if major == 36:
            return "JetPack 6.0" if minor < 4 else "JetPack 6.1 or 6.2"
        return "JetPack 7 or newer"

    @property
    def cuda_bindings(self) -> str:
        """The part of the lock that gives Python access to CUDA: 12 for JetPack 6, 13 for 7."""
        return "cuda12" if self.l4t[0] == 36 else "cuda13"


def jetson_of(root: Path = Path("/")) -> Jetson | None:
    """Return the Jetson whose file system begins at `root`, or None for any other machine.

    Raises `ConfigError` when its release cannot be read off.
    """
    try:
        text = (root / "etc/nv_tegra_release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", text)
    if found is None:
        raise ConfigError(
            f"{root / 'etc/nv_tegra_release'}: does not say which release this is; is the board's "
            "system damaged?"
        )
    return Jetson(
        l4t=(int(found[1]), *_numbers(found[2])), tensorrt=_tensorrt(root / "var/lib/dpkg/status")
    )


def refuse_what_cannot_work(jetson: Jetson) -> None:
    """Raise `ConfigError`, with the way out, where TensorRT is too old for these networks."""
    oldest = ".".join(str(n) for n in OLDEST_TENSORRT)
    if jetson.l4t < OLDEST_L4T:
        raise ConfigError(
            f"L4T {_dotted(jetson.l4t)} is {jetson.jetpack}{_with(jetson.tensorrt)}, and TensorRT "
            f"{oldest} or newer is needed: older ones cannot build a strongly typed network, "
            "which is how precision is given here; flash JetPack 6.2 (Orin) or 7 (Thor), then run "
            "this again"
        )
    if jetson.tensorrt and jetson.tensorrt < OLDEST_TENSORRT:
        raise ConfigError(
            f"TensorRT {_dotted(jetson.tensorrt)} is installed, and {oldest} or newer is needed; "
            f"L4T {_dotted(jetson.l4t)} comes with one: `apt-get install --reinstall "
            "nvidia-jetpack`, then run this again"
        )


def _tensorrt(status: Path) -> tuple[int, ...]:
    """Return the oldest version of TensorRT that dpkg lists as installed, or () without any.

    The oldest one decides what works. `status` is dpkg's list.
    """
    try:
        text = status.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    versions = []
    for paragraph in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", paragraph, re.MULTILINE))
        if PACKAGES.fullmatch(fields.get("Package", "")) and fields.get("Status", "").endswith(
            " installed"
        ):
            versions.append(_numbers(re.split(r"[-+~]", fields["Version"].rpartition(":")[2])[0]))
    return min(versions, default=())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(n) for n in version)


def _with(tensorrt: tuple[int, ...]) -> str:
    return f" with TensorRT {_dotted(tensorrt)}" if tensorrt else " with TensorRT 8"
