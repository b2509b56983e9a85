"""Compiled engines of this device: a folder of folders, one for each engine, named by the digest of
all that it depends on.

DIGEST/engine.plan    what TensorRT made
DIGEST/engine.json    the key in full and the sha256 of the plan
DIGEST/parity.json    how it answered to the golden window; without it the engine is not trusted

An engine appears whole, by one rename, or not at all. What turns out to be damaged or foreign is
set aside as `set-aside.N`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.cuda import Gpu
from edge.bundle.digest import canonical_digest
from edge.errors import EngineError
from edge.files import sync, write_whole

__all__ = ["BuildOptions", "CompiledEngine", "EngineCache", "EngineKey", "Machine", "machine_of"]

PLAN, KEY, PARITY = "engine.plan", "engine.json", "parity.json"
SET_ASIDE = "set-aside."
KEPT_ASIDE = 2  # to look at; more would fill the disk
KEPT_ENGINES = 8
L4T = Path("/etc/nv_tegra_release")
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What ties an engine to a device: `l4t` is the release of Jetson's Linux, empty elsewhere."""

    tensorrt: str
    compute_capability: str
    device: str
    l4t: str


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How an engine is built. Memory in MiB, for a board of 8 GB that is at work besides;
    `live_batch` is what it is tuned for.
    """

    live_batch: int = 1
    largest_batch: int = 8
    workspace_mib: int = 256
    tactic_mib: int = 512

    @property
    def names(self) -> tuple[str, ...]:
        """In words, never as the integers of enums, which move between versions."""
        limits = (f"WORKSPACE={self.workspace_mib}MiB", f"TACTIC_DRAM={self.tactic_mib}MiB")
        return ("STRONGLY_TYPED", "no TF32", "max_aux_streams=0", *limits)

    def profile(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Smallest, usual and largest shape of the input, whose windows have `shape`."""
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
        """The inverse of `dataclasses.asdict` by way of JSON; raises KeyError, TypeError or
        ValueError.
        """
        return EngineKey(
            onnx_sha256=str(mapping["onnx_sha256"]),
            profile=tuple(tuple(int(n) for n in shape) for shape in mapping["profile"]),
            options=tuple(str(option) for option in mapping["options"]),
            machine=Machine(**mapping["machine"]),
        )


@dataclass(frozen=True, kw_only=True)
class CompiledEngine:
    """One that is in the cache, whole and of this machine."""

    key: EngineKey
    folder: Path
    plan: bytes = dataclasses.field(repr=False)
    build_s: float


class EngineCache:
    """The engines in `folder`. Not for several writers at once; readers never see half of one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, onnx: Path, machine: Machine) -> CompiledEngine:
        """The newest engine of the graph for this very machine; raises `EngineError` saying why
        there is none.

        One that is damaged is set aside on the way.
        """
        wanted, foreign = sha256_of(onnx.read_bytes()), []
        for folder in self._folders():
            try:
                engine = self._load(folder)
            except EngineError as exc:
                log.warning("%s: %s", folder, exc)
                self.set_aside(folder)
                foreign.append(f"one was set aside: {exc}")
                continue
            if engine.key.onnx_sha256 != wanted:
                continue
            if engine.key.machine == machine:
                return engine
            foreign.append(_difference(engine.key.machine, machine))
        told = f" ({foreign[0]})" if foreign else ""
        raise EngineError(
            f"{self.folder} has no engine of {onnx.name} for this device{told}; run `edge-deploy "
            "compile`"
        )

    def holds(self, key: EngineKey) -> CompiledEngine | None:
        """The engine of exactly this key, or None; one that is damaged is set aside."""
        folder = self.place(key)
        if not folder.is_dir():
            return None
        try:
            return self._load(folder)
        except EngineError as exc:
            log.warning("%s: %s", folder, exc)
            self.set_aside(folder)
            return None

    def place(self, key: EngineKey) -> Path:
        """The folder of the engine of this key, whether it is there or not."""
        return self.folder / key.digest[:32]

    def staging(self) -> tempfile.TemporaryDirectory[str]:
        """A folder on the same disk to build in; removed at the end unless `keep` has moved it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(".new.*"):  # of a build that was killed
            shutil.rmtree(stale, ignore_errors=True)
        return tempfile.TemporaryDirectory(
            prefix=".new.", dir=self.folder, ignore_cleanup_errors=True
        )

    def keep(
        self, staged: Path, key: EngineKey, *, build_s: float, parity: Mapping[str, Any]
    ) -> CompiledEngine:
        """Put the plan that was built and proved in `staged` into place, on the disk before it is
        seen.
        """
        plan = (staged / PLAN).read_bytes()
        sidecar = {
            "key": dataclasses.asdict(key),
            "sha256": sha256_of(plan),
            "build_s": round(build_s, 1),
        }
        write_whole(staged / KEY, _json(sidecar), durable=True)
        write_whole(staged / PARITY, _json(parity), durable=True)
        sync(staged / PLAN)
        place = self.place(key)
        if place.exists():
            self.set_aside(place)
        staged.rename(place)
        place.chmod(0o755)
        sync(self.folder)
        self._prune()
        return self._load(place)

    def set_aside(self, folder: Path) -> Path | None:
        """Take an engine out of use, but keep it to be looked at; None where it cannot be moved."""
        taken = [
            int(old.suffix[1:])
            for old in self.folder.glob(f"{SET_ASIDE}*")
            if old.suffix[1:].isdigit()
        ]
        place = self.folder / f"{SET_ASIDE}{max(taken, default=0) + 1}"
        try:
            folder.rename(place)
        except OSError as exc:  # a folder that may only be read: the next compilation sees it again
            log.warning("%s cannot be set aside: %s", folder, exc.strerror or exc)
            return None
        for number in sorted(taken)[: -(KEPT_ASIDE - 1) or None]:
            shutil.rmtree(self.folder / f"{SET_ASIDE}{number}", ignore_errors=True)
        return place

    def _folders(self) -> list[Path]:
        """Of whole engines, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [path.parent for path in self.folder.glob(f"[0-9a-f]*/{KEY}")]
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def _load(self, folder: Path) -> CompiledEngine:
        try:
            sidecar = json.loads((folder / KEY).read_text(encoding="utf-8"))
            parity = json.loads((folder / PARITY).read_text(encoding="utf-8"))
            key = EngineKey.parse(sidecar["key"])
            plan = (folder / PLAN).read_bytes()
            build_s = float(sidecar["build_s"])
            whole = sha256_of(plan) == sidecar["sha256"]
            passed = parity["passed"] is True
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise EngineError(f"it cannot be read ({type(exc).__name__}: {exc})") from exc
        if not whole:
            raise EngineError(
                "the plan is damaged or truncated (its sha256 is not the one beside it)"
            )
        if self.place(key) != folder:
            raise EngineError("its key was edited, or it was copied from elsewhere")
        if not passed:
            raise EngineError("it did not give the bundle's answers")
        return CompiledEngine(key=key, folder=folder, plan=plan, build_s=build_s)

    def _prune(self) -> None:
        for folder in self._folders()[KEPT_ENGINES:]:
            shutil.rmtree(folder, ignore_errors=True)


def machine_of(gpu: Gpu, tensorrt_version: str, *, l4t: Path = L4T) -> Machine:
    """The one that this is."""
    try:
        release = l4t.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip("# ")
    except OSError:
        release = ""
    # The line ends in the date it was made on, and a fingerprint of the board: what counts is
    # release and revision.
    release = ", ".join(release.split(", ")[:2])
    return Machine(
        tensorrt=tensorrt_version,
        compute_capability=gpu.compute_capability,
        device=gpu.name,
        l4t=release,
    )


def sha256_of(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _difference(there: Machine, here: Machine) -> str:
    """In words, the first thing in which they differ."""
    return next(_differences(there, here))


def _differences(there: Machine, here: Machine) -> Iterator[str]:
    names = {
        "tensorrt": "TensorRT",
        "compute_capability": "compute capability",
        "device": "device",
        "l4t": "Jetson Linux",
    }
    for field, name in names.items():
        built, found = getattr(there, field), getattr(here, field)
        if built != found:
            yield f"one was built for {name} {built or 'none'}, this is {found or 'none'}"
