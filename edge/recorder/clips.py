"""The sound of detections on the disk, in a byte budget: a full disk costs clips, nothing else."""

from __future__ import annotations

import errno
import logging
import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.bundle.labels import UNKNOWN
from edge.clock import Clock
from edge.config.sections import ClipsConfig
from edge.files import make_folder, replacing
from edge.provenance import Provenance
from edge.recorder.clip_file import Content, encode, form_for, guano
from edge.recorder.judged_sound import JudgedSound
from edge.recorder.recent_audio import Excerpt, RecentAudio
from edge.types import Detection, Score

__all__ = ["ClipFolder", "ClipWriter"]

log = logging.getLogger(__name__)


class ClipFolder:
    """The clips on the disk, one folder a label.

    It makes room before anything is written, and raises OSError for a failing disk. The label with
    most bytes gives up its oldest clip first, so that rare species stay; unknowns, which cannot be
    described afterwards, only when they alone fill half of the budget or nothing else is left.
    """

    def __init__(
        self,
        config: ClipsConfig,
        *,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
        on_removed: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._config = config
        self._free_bytes = free_bytes
        self._on_removed = on_removed
        self._sizes: dict[str, dict[Path, int]] = defaultdict(dict)
        # Bytes of all clips; a number of its own, so that another thread can read it.
        self.total_bytes = 0
        self._opened = False
        self._of_its_own = False  # whether the folder was on another disk than the system
        try:
            self._open()
        except OSError as exc:  # a disk that is not mounted yet: tried again with each clip
            log.warning("no clips for now: %s: %s", config.folder, exc.strerror)

    def _open(self) -> None:
        """Count what an earlier run has left, and remove its scraps."""
        folder = self._config.folder
        if self._of_its_own and _device(folder) == _device(Path("/")):
            raise OSError(errno.ENODEV, "its disk has been taken out", str(folder))
        self._sizes.clear()
        make_folder(folder, durable=True)
        self._of_its_own = _device(folder) != _device(Path("/"))
        for file in sorted(self._config.folder.glob("*/*"), key=lambda path: path.name):
            if file.name.startswith("."):
                file.unlink(missing_ok=True)  # begun when the power went
            elif file.is_file():
                self._sizes[file.parent.name][file] = file.stat().st_size
        self.total_bytes = sum(sum(sizes.values()) for sizes in self._sizes.values())
        self._opened = True

    def room_bytes(self) -> int:
        """Return what may be added before a clip has to go, of the budget and of the disk.

        Any thread may ask.
        """
        free = self._free_bytes(self._config.folder) - self._config.reserve_bytes
        return max(0, min(self._config.budget_bytes - self.total_bytes, free))

    def add(self, label: str, name: str, *content: Content) -> Path | None:
        """Write a whole file of these parts, or none.

        Returns None when there is not enough room even without the clips that may go.
        """
        if not (self._opened and self._config.folder.is_dir()):
            self._open()  # a disk that came late, or a folder that somebody has removed
        size = size_bytes(content)
        if not self._make_room(size):
            return None
        target = self._config.folder / label / name
        # Durable, as is the folder: the stored detection names it.
        with replacing(target, durable=True) as staging, staging.open("wb") as file:
            file.writelines(content)
        self._sizes[label][target] = size
        self.total_bytes += size
        return target

    def _make_room(self, size: int) -> bool:
        if size > self._config.budget_bytes or self._short_of(size - self.total_bytes):
            return False  # nothing is given up in vain
        while self.total_bytes + size > self._config.budget_bytes or self._short_of(size):
            label = self._poorest()
            if label is None:
                return False
            oldest = next(iter(self._sizes[label]))
            oldest.unlink(missing_ok=True)
            self.total_bytes -= self._sizes[label].pop(oldest)
            self._on_removed(1)
        return True

    def _short_of(self, size: int) -> bool:
        return self._free_bytes(self._config.folder) - size < self._config.reserve_bytes

    def _poorest(self) -> str | None:
        """Return the label whose clips are worth least."""
        totals = {label: sum(sizes.values()) for label, sizes in self._sizes.items() if sizes}
        species = {label: total for label, total in totals.items() if label != UNKNOWN}
        if totals.get(UNKNOWN, 0) > self._config.budget_bytes / 2 or not species:
            return UNKNOWN if UNKNOWN in totals else None
        return max(species, key=lambda label: (species[label], label))


class ClipWriter:
    """Cuts clips from the card's own sound, and writes them, on the pipeline's thread.

    It never raises for a disk: `failed` counts what could not be kept. With `judged`, a clip has
    only sound that was judged, and none is written that has something private in it.
    """

    def __init__(
        self,
        config: ClipsConfig,
        *,
        folder: ClipFolder,
        audio: RecentAudio,
        provenance: Provenance,
        device: str,
        position: tuple[float, float] | None = None,
        judged: JudgedSound | None = None,
    ) -> None:
        self._config = config
        self._folder = folder
        self._audio = audio
        self._provenance = provenance
        self._device = device
        self._position = position
        self._judged = judged
        self.written = self.failed = 0
        self.last_bytes = 0  # size of the last one

    @property
    def stored_bytes(self) -> int:
        """Bytes of all clips on the disk; any thread may ask."""
        return self._folder.total_bytes

    def room_bytes(self) -> int:
        """Return `ClipFolder.room_bytes`; raises OSError for a failing disk."""
        return self._folder.room_bytes()

    def write(self, d: Detection, clock: Clock) -> str | Score | None:
        """Keep the sound of `d` with padding.

        Returns the file's path below the folder, None when it could not be kept, and what is
        private in it where it is withheld for that.
        """
        excerpt = self._excerpt(d)
        if excerpt is None:
            return None
        private = self._private_in(excerpt, d.sample_rate_hz)
        if private is not None:
            return private
        metadata = guano(
            d,
            excerpt,
            clock=clock,
            device=self._device,
            position=self._position,
            provenance=self._provenance,
        )
        form = form_for(excerpt, self._config.format)
        content = encode(excerpt, form, metadata)
        stamp = clock.utc(excerpt.start_sample).strftime("%Y%m%dT%H%M%S.%fZ")
        file = self._added(d.label or UNKNOWN, f"{stamp}_{d.id[:12]}.{form}", content)
        if file is None:
            return None
        self.written += 1
        self.last_bytes = size_bytes(content)
        return str(file.relative_to(self._config.folder))

    def _excerpt(self, d: Detection) -> Excerpt | None:
        padding = round(self._config.padding_s * d.sample_rate_hz)
        span = d.start_sample - padding, d.end_sample + padding
        if self._judged is None:
            return self._audio.cut(*span)
        # The windows of the event were judged, that of its peak for one, which may begin before it;
        # around, the sound goes as far as that of others.
        within = min(max(d.peak_sample, d.start_sample), d.end_sample - 1)
        judged = self._judged.around(within, *span)
        return None if judged is None else self._audio.cut(*judged)

    def _private_in(self, excerpt: Excerpt, stream_rate_hz: int) -> Score | None:
        if self._judged is None:
            return None
        length = math.ceil(excerpt.length * stream_rate_hz / excerpt.sample_rate_hz)
        start = excerpt.start_sample
        return self._judged.private_within(start, start + length)

    def _added(self, label: str, name: str, content: Sequence[Content]) -> Path | None:
        try:
            file = self._folder.add(label, name, *content)
            reason = "no room within the budget and the reserve"
        except OSError as exc:
            file = None
            reason = exc.strerror or str(exc)
        if file is None:
            self.failed += 1
            # At 1, 2, 4, 8 ... losses: a full disk stays full.
            if self.failed & (self.failed - 1) == 0:
                log.warning("clip not kept: %s (%d so far); detections go on", reason, self.failed)
        return file


def _device(path: Path) -> int:
    """Return the disk that a folder is on, or would be on."""
    return next(folder for folder in (path, *path.parents) if folder.exists()).stat().st_dev


def size_bytes(content: Sequence[Content]) -> int:
    """Return the size of the parts of a file."""
    return sum(memoryview(part).nbytes for part in content)
