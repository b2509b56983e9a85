"""What a compiled engine depends on: graph, way of building and machine, as one digest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.cuda import Gpu
from edge.bundle.digest import canonical_digest

__all__ = ["BuildOptions", "EngineKey", "Machine", "difference", "machine_of"]

L4T = Path("/etc/nv_tegra_release")
MACHINE_FIELDS = {
    "tensorrt": "TensorRT",
    "compute_capability": "compute capability",
    "device": "device",
    "l4t": "Jetson Linux",
}


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What ties an engine to a device; `l4t` is the release of Jetson's Linux, empty elsewhere."""

    tensorrt: str
    compute_capability: str
    device: str
    l4t: str


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How an engine is built.

    The limits of memory, in MiB, suit a board of 8 GB that has other work besides. `live_batch` is
    the batch that the engine is tuned for.
    """

    live_batch: int = 1
    largest_batch: int = 8
    workspace_mib: int = 256
    tactic_mib: int = 512

    @property
    def names(self) -> tuple[str, ...]:
        """The options in words, because the integers of enums move between versions."""
        limits = (f"WORKSPACE={self.workspace_mib}MiB", f"TACTIC_DRAM={self.tactic_mib}MiB")
        return ("STRONGLY_TYPED", "no TF32", "max_aux_streams=0", *limits)

    def profile(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Return smallest, usual and largest shape of the input, for windows of `shape`."""
        return tuple((batch, *shape) for batch in (1, self.live_batch, self.largest_batch))


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """All that an engine depends on."""

    onnx_sha256: str
    profile: tuple[tuple[int, ...], ...]
    options: tuple[str, ...]
    machine: Machine

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON."""
        return canonical_digest(dataclasses.asdict(self))

    @staticmethod
    def parse(mapping: Mapping[str, Any]) -> EngineKey:
        """Build from the JSON of `dataclasses.asdict`.

        Raises KeyError, TypeError or ValueError.
        """
        return EngineKey(
            onnx_sha256=str(mapping["onnx_sha256"]),
            profile=tuple(tuple(int(n) for n in shape) for shape in mapping["profile"]),
            options=tuple(str(option) for option in mapping["options"]),
            machine=Machine(**mapping["machine"]),
        )


def machine_of(gpu: Gpu, tensorrt_version: str, *, l4t: Path = L4T) -> Machine:
    """Return what this machine is, with the release of Jetson's Linux that the file `l4t` names."""
    try:
        line = l4t.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip("# ")
    except OSError:
        line = ""
    # The line goes on with a build number, the board and a date; release and revision count.
    release = ", ".join(line.split(", ")[:2])
    return Machine(
        tensorrt=tensorrt_version,
        compute_capability=gpu.compute_capability,
        device=gpu.name,
        l4t=release,
    )


def difference(there: Machine, here: Machine) -> str:
    """Say in words the first thing in which two machines differ; they must not be equal."""
    return next(
        f"one was built for {name} {getattr(there, field) or 'none'}, this is "
        f"{getattr(here, field) or 'none'}"
        for field, name in MACHINE_FIELDS.items()
        if getattr(there, field) != getattr(here, field)
    )
