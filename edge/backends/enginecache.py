"""Compiled engines of this device: a folder with one folder for each engine.

DIGEST/engine.plan    what TensorRT made
DIGEST/engine.json    the key in full and the sha256 of the plan
DIGEST/parity.json    how it answered the golden window; without it the engine is not trusted

DIGEST is that of the engine's key (`enginekey.py`). An engine appears whole, by one rename, or not
at all. What turns out to be damaged or foreign is set aside as `set-aside.N`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.enginekey import BuildOptions, EngineKey, Machine, difference, machine_of
from edge.bundle.digest import sha256_of
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import EngineError
from edge.files import sync, write_whole

__all__ = [
    "PLAN",
    "BuildOptions",
    "CompiledEngine",
    "EngineCache",
    "EngineKey",
    "Machine",
    "machine_of",
    "write_parity",
]

PLAN = "engine.plan"
KEY = "engine.json"
PARITY = "parity.json"
SET_ASIDE = "set-aside."
KEPT_ASIDE = 2  # for a person to look at; more would fill the disk
KEPT_ENGINES = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompiledEngine:
    """An engine in the cache, verified as whole; `plan` is what TensorRT made."""

    key: EngineKey
    folder: Path
    plan: bytes = dataclasses.field(repr=False)
    build_s: float


class EngineCache:
    """The engines in `folder`, for one writer at a time; readers never see half an engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, onnx: Path, machine: Machine) -> CompiledEngine:
        """Return the newest engine of the graph for this very machine.

        A damaged one is set aside on the way. Raises `EngineError`, which says why there is none.
        """
        wanted = sha256_of(onnx.read_bytes())
        reasons: list[str] = []
        for folder in self._folders():
            try:
                engine = self._load(folder)
            except EngineError as exc:
                log.warning("%s: %s", folder, exc)
                self.set_aside(folder)
                reasons.append(f"one was set aside: {exc}")
                continue
            if engine.key.onnx_sha256 != wanted:
                continue
            if engine.key.machine == machine:
                return engine
            reasons.append(difference(engine.key.machine, machine))
        reason = f" ({reasons[0]})" if reasons else ""
        raise EngineError(
            f"{self.folder} has no engine of {onnx.name} for this device{reason}; run `edge-deploy "
            "compile`"
        )

    def holds(self, key: EngineKey) -> CompiledEngine | None:
        """Return the engine of exactly this key, or None; a damaged one is set aside."""
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
        """Return the folder of the engine of this key, whether it exists or not."""
        return self.folder / key.digest[:32]

    def staging(self) -> tempfile.TemporaryDirectory[str]:
        """Make a folder on the same disk to build in; what `keep` has not moved goes at the end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for stale in self.folder.glob(".new.*"):  # of a build that was killed
            shutil.rmtree(stale, ignore_errors=True)
        return tempfile.TemporaryDirectory(
            prefix=".new.", dir=self.folder, ignore_cleanup_errors=True
        )

    def keep(
        self, staged: Path, key: EngineKey, *, build_s: float, parity: Mapping[str, Any]
    ) -> CompiledEngine:
        """Move a plan that was built and proved in `staged` into the cache, durably.

        All of it is on the disk before a reader can see it. Raises OSError.
        """
        plan = (staged / PLAN).read_bytes()
        sidecar = {
            "key": dataclasses.asdict(key),
            "sha256": sha256_of(plan),
            "build_s": round(build_s, 1),
        }
        write_whole(staged / KEY, _json(sidecar), durable=True)
        write_parity(staged, parity)
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
        """Take an engine out of use but keep it for a person to look at, and return where.

        Returns None where it cannot be moved.
        """
        numbers = [old.suffix[1:] for old in self.folder.glob(f"{SET_ASIDE}*")]
        taken = sorted(int(number) for number in numbers if number.isdecimal())
        place = self.folder / f"{SET_ASIDE}{taken[-1] + 1 if taken else 1}"
        try:
            folder.rename(place)
        except OSError as exc:  # a folder that may only be read: the next compilation sees it again
            log.warning("%s cannot be set aside: %s", folder, exc.strerror or exc)
            return None
        for number in taken[: -(KEPT_ASIDE - 1) or None]:
            shutil.rmtree(self.folder / f"{SET_ASIDE}{number}", ignore_errors=True)
        return place

    def _folders(self) -> list[Path]:
        """Return the folders of whole engines, the newest first."""
        if not self.folder.is_dir():
            return []
        found = [path.parent for path in self.folder.glob(f"[0-9a-f]*/{KEY}")]
        return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)

    def _load(self, folder: Path) -> CompiledEngine:
        try:
            sidecar = read_json(folder / KEY)
            parity = read_json(folder / PARITY)
            key = EngineKey.parse(sidecar["key"])
            plan = (folder / PLAN).read_bytes()
            build_s = float(sidecar["build_s"])
            whole = sha256_of(plan) == sidecar["sha256"]
            passed = parity["passed"] is True
        except (OSError, NotJsonError, ValueError, KeyError, TypeError, OverflowError) as exc:
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


def write_parity(folder: Path, parity: Mapping[str, Any]) -> None:
    """Write beside the plan in `folder` how it answered the golden window; raises OSError."""
    write_whole(folder / PARITY, _json(parity), durable=True)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
