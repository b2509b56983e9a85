"""A dataset that one process fills: what is in it, what is still to be heard, and by whom."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.archive.fingerprint import Fingerprint, fingerprint_in
from edge.archive.keeping import Keeps
from edge.archive.manifest import MANIFEST, OTHER, makers_of, settle_maker
from edge.archive.parquet import Row
from edge.archive.parts import Parts
from edge.archive.rows import Heard, Status
from edge.errors import ConfigError
from edge.files import make_folder
from edge.store.lock import ANYBODYS, holder_of, sole_user

__all__ = ["Dataset", "Known", "dataset_at", "holder"]

LOCK = "job"
# What a kill may cost: a hundredth of the time so far or, on a slow disk, twenty times what writing
# takes; a minute at most.
SHARE, WRITES, MOST_S, MOST_BYTES = 0.01, 20.0, 60.0, 150_000_000
TO_WAIT = "wait until it is done, or choose another --out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What a dataset knows of a recording, and the part that has it, `is_whole` or damaged."""

    fingerprint: Fingerprint | None
    status: Status
    part: str
    is_whole: bool = True

    @staticmethod
    def of(row: Row, part: str, *, is_whole: bool = True) -> Known:
        """Return what a row of `files` says."""
        return Known(
            fingerprint=fingerprint_in(row), status=row["status"], part=part, is_whole=is_whole
        )


@contextmanager
def dataset_at(
    folder: Path,
    made_by: dict[str, object],
    keeps: Keeps,
    *,
    mix: bool = False,
    least_s: float = 0.0,
    now_s: Callable[[], float] = time.monotonic,
) -> Iterator[Dataset]:
    """Hold the dataset at `folder` for this process; it is made where nothing is.

    What was heard is in it when the block ends, also by a signal; a kill may cost `least_s` in any
    case. With `mix`, it may be one that other bundles have heard. Raises `ConfigError` where
    something else is there, a dataset `made_by` others or of another version, one that `keeps`
    other tables, or a process that has it.
    """
    _check_place(folder)
    make_folder(folder)
    lock = sole_user(folder / LOCK, key="--out", value=folder, suggestion=TO_WAIT, mode=ANYBODYS)
    with lock:
        settle_maker(folder, made_by, keeps, mix=mix)
        several = len(makers_of(folder, key="--out")) > 1
        bundle = str(made_by.get("bundle")) if several else None
        dataset = Dataset(folder, keeps, now_s, least_s=least_s, bundle=bundle)
        try:
            yield dataset
        except Exception:
            raise  # such as a full disk: what is not written would not be now
        except BaseException:  # a signal
            dataset.commit()
            raise
        dataset.commit()


class Dataset:
    """What was heard, and what is added to it; not thread-safe. See `dataset_at`.

    Where several bundles have heard it, it is what `bundle` has; no part has rows of two.
    """

    def __init__(
        self,
        folder: Path,
        keeps: Keeps,
        now_s: Callable[[], float],
        *,
        least_s: float = 0.0,
        bundle: str | None = None,
    ) -> None:
        self._parts = Parts(folder, keeps)
        self._parts.make()
        self.known = {
            row["path"]: Known.of(row, part, is_whole=is_whole)
            for part, row, is_whole in self._parts.mend()
            if bundle is None or row["bundle"] == bundle
        }
        self._pending: list[Heard] = []
        self._pending_bytes = 0
        self._now_s, self._least_s = now_s, least_s
        self._began_s = self._written_s = now_s()
        self._writing_s = 0.0  # that the last commit took

    def add(self, heard: Heard) -> bool:
        """Add a recording in place of what there is of it; it is on the disk before long.

        Returns False where nothing is heard now and something was: it may be all that is left, and
        stays.
        """
        known = self.known.get(heard.file["path"])
        if heard.file["status"] != "heard" and known is not None and known.status == "heard":
            return False
        self._pending.append(heard)
        now_s = self._now_s()
        self._pending_bytes += heard.size_bytes
        patience_s = max(SHARE * (now_s - self._began_s), WRITES * self._writing_s, self._least_s)
        patience_s = min(MOST_S, patience_s)
        if now_s - self._written_s >= patience_s or self._pending_bytes >= MOST_BYTES:
            self.commit()
        return True

    def commit(self) -> None:
        """Write all that was added."""
        if not self._pending:
            return
        began_s = self._now_s()
        outdated: dict[str, set[str]] = defaultdict(set)
        for one in self._pending:
            if known := self.known.pop(one.file["path"], None):
                outdated[known.part].add(one.file["path"])
        for part, paths in outdated.items():
            self._parts.drop(part, paths)
        part = self._parts.add(self._pending)
        self.known |= {one.file["path"]: Known.of(one.file, part) for one in self._pending}
        self._pending, self._pending_bytes = [], 0
        self._written_s = self._now_s()
        self._writing_s = self._written_s - began_s


def holder(folder: Path) -> str | None:
    """Return who fills the dataset at `folder`, None where nobody does."""
    return holder_of(folder / LOCK)


def _check_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError("is a file, and a dataset is a folder", key="--out", value=folder)
    if folder.is_dir() and not (folder / MANIFEST).exists():
        left = [file.name for file in folder.iterdir() if not file.name.startswith(".")]
        if set(left) - {f"{LOCK}-lock"}:
            raise ConfigError(
                "has files in it that are no dataset", key="--out", value=folder, suggestion=OTHER
            )
