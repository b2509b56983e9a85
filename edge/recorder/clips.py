"""The sound of detections, in files that say what they are, inside a byte budget: a full disk costs
clips and nothing else.
"""

from __future__ import annotations

import io
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge.clock import Clock, rfc3339
from edge.config.sections import ClipsConfig
from edge.files import write_whole
from edge.provenance import Provenance
from edge.types import Array, AudioBlock, Detection

__all__ = ["ClipFolder", "ClipWriter", "ClipsConfig", "RecentAudio"]

UNKNOWN = "unknown"
log = logging.getLogger(__name__)


class RecentAudio:
    """The last `capacity` samples of the stream, by sample index; lost audio is silence in it. Used
    by the pipeline's thread.
    """

    def __init__(self, capacity: int) -> None:
        self._ring: Array = np.zeros(capacity, np.float32)
        self._begin = self._end = 0

    def push(self, block: AudioBlock) -> None:
        """Take what came, and silence for what did not."""
        self._put(
            np.zeros(min(block.start_sample - self._end, len(self._ring)), np.float32),
            block.start_sample,
        )
        self._put(block.samples[-len(self._ring) :], block.end_sample)

    def cut(self, start_sample: int, end_sample: int) -> tuple[int, Array]:
        """What there still is between the two, and the index of its first sample; the receiver owns
        the array.
        """
        start = max(start_sample, self._begin, self._end - len(self._ring))
        end = max(start, min(end_sample, self._end))
        return start, self._ring[np.arange(start, end) % len(self._ring)]

    def _put(self, samples: Array, end_sample: int) -> None:
        at = (end_sample - len(samples)) % len(self._ring)
        first = min(len(samples), len(self._ring) - at)
        self._ring[at : at + first] = samples[:first]
        self._ring[: len(samples) - first] = samples[first:]
        self._end = end_sample


class ClipFolder:
    """The clips on the disk, one folder a label. Makes room before anything is written; raises
    OSError for a failing disk.

    The label with most bytes gives up its oldest clip first, so that rare species stay; unknowns,
    which nobody can describe afterwards, only when they alone fill half of the budget or nothing
    else is left.
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
        # of all clips; a number of its own, so that another thread can read it
        self.total_bytes = 0
        self._opened = False
        try:
            self._open()
        except OSError as exc:  # a disk that is not mounted yet: tried again with each clip
            log.warning("no clips for now: %s: %s", config.folder, exc.strerror)

    def _open(self) -> None:
        """Count what an earlier run has left, and remove its scraps."""
        self._sizes.clear()
        self._config.folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._config.folder.glob("*/*"), key=lambda path: path.name):
            if file.name.startswith("."):
                file.unlink(missing_ok=True)  # begun when the power went
            elif file.is_file():
                self._sizes[file.parent.name][file] = file.stat().st_size
        self.total_bytes = sum(sum(sizes.values()) for sizes in self._sizes.values())
        self._opened = True

    def room_bytes(self) -> int:
        """What may be added before a clip has to go, of the budget and of the disk; any thread may
        ask.
        """
        free = self._free_bytes(self._config.folder) - self._config.reserve_bytes
        return max(0, min(self._config.budget_bytes - self.total_bytes, free))

    def add(self, label: str, name: str, content: bytes) -> Path | None:
        """Write a whole file, or none: None when there is no room even without the clips that may
        go.
        """
        if not self._opened:
            self._open()
        if not self._make_room(len(content)):
            return None
        target = self._config.folder / label / name
        target.parent.mkdir(exist_ok=True)  # not its parents: the disk may have been taken out
        write_whole(target, content, durable=True)  # the stored detection names it
        self._sizes[label][target] = len(content)
        self.total_bytes += len(content)
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
        """The label whose clips are worth least."""
        totals = {label: sum(sizes.values()) for label, sizes in self._sizes.items() if sizes}
        species = {label: total for label, total in totals.items() if label != UNKNOWN}
        if totals.get(UNKNOWN, 0) > self._config.budget_bytes / 2 or not species:
            return UNKNOWN if UNKNOWN in totals else None
        return max(species, key=lambda label: (species[label], label))


class ClipWriter:
    """Cuts and writes clips on the pipeline's thread; never raises for a disk: `failed` counts what
    could not be kept.
    """

    def __init__(
        self,
        config: ClipsConfig,
        *,
        folder: ClipFolder,
        audio: RecentAudio,
        provenance: Provenance,
        device: str,
    ) -> None:
        self._config = config
        self._folder = folder
        self._audio = audio
        self._provenance = provenance
        self._device = device
        self.written = self.failed = 0
        self.last_bytes = 0  # size of the last one

    @property
    def stored_bytes(self) -> int:
        """Of all clips on the disk; any thread may ask."""
        return self._folder.total_bytes

    def room_bytes(self) -> int:
        """As `ClipFolder.room_bytes`; raises OSError for a failing disk."""
        return self._folder.room_bytes()

    def write(self, d: Detection, clock: Clock) -> str | None:
        """Keep the sound of `d` with padding; the file's path below the folder, or None when it
        could not be kept.
        """
        padding = round(self._config.padding_s * d.sample_rate_hz)
        start, samples = self._audio.cut(d.start_sample - padding, d.end_sample + padding)
        if not len(samples):
            return None
        stamp = clock.utc(start).strftime("%Y%m%dT%H%M%S.%fZ")
        name = f"{stamp}_{d.id[:12]}.{self._config.format}"
        content = encode(
            samples,
            d.sample_rate_hz,
            self._config.format,
            self._guano(d, clock, start, len(samples)),
        )
        try:
            file = self._folder.add(d.label or UNKNOWN, name, content)
        except OSError as exc:
            file = None
            self._lament(exc.strerror or str(exc))
        else:
            if file is None:
                self._lament("no room within the budget and the reserve")
        if file is None:
            self.failed += 1
            return None
        self.written += 1
        self.last_bytes = len(content)
        return str(file.relative_to(self._config.folder))

    def _lament(self, reason: str) -> None:
        # At 1, 2, 4, 8 ... losses: a full disk stays full.
        if self.failed & (self.failed + 1) == 0:
            log.warning("clip not kept: %s (%d so far); detections go on", reason, self.failed + 1)

    def _guano(self, d: Detection, clock: Clock, start: int, count: int) -> str:
        """GUANO 1.0 metadata: one `key: value` a line."""
        fields = {
            "GUANO|Version": "1.0",
            "Timestamp": rfc3339(clock.utc(start)),
            "Length": f"{count / d.sample_rate_hz:.6f}",
            "Samplerate": d.sample_rate_hz,
            "Make": "edge-monitor",
            "Serial": self._device,
            "Species Auto ID": d.label or "",
            "Edge|Detection": d.id,
            "Edge|Nearest": d.nearest,
            "Edge|Score": f"{d.score:.6f}",
            "Edge|Novelty": f"{d.novelty:.6f}",
            "Edge|StartSample": start,
            "Edge|ClockSynced": str(clock.synced).lower(),
            "Edge|UncertaintySeconds": clock.uncertainty_s,
            "Edge|Bundle": self._provenance.bundle,
            "Edge|Config": self._provenance.config,
            "Edge|Code": self._provenance.code,
        }
        return "".join(f"{key}: {value}\n" for key, value in fields.items())


def encode(samples: Array, rate_hz: int, form: Literal["flac", "wav"], guano: str) -> bytes:
    """A whole file in memory, so that its size is known before the disk is touched: samples (n,) as
    16 bit, and its metadata.

    WAV has GUANO's own chunk `guan`; FLAC has no chunks and carries the same text as its comment.
    """
    stream = io.BytesIO()
    with soundfile.SoundFile(stream, "w", rate_hz, 1, "PCM_16", format=form.upper()) as file:
        if form == "flac":
            file.comment = guano
        # a second at a time: copies of a whole minute would be the recorder's peak
        for first in range(0, len(samples), rate_hz):
            file.write(_pcm(samples[first : first + rate_hz]))
    content = stream.getvalue()
    if form == "flac":
        return content
    chunk = guano.encode() + b"\n" * (len(guano.encode()) % 2)
    riff = content + b"guan" + len(chunk).to_bytes(4, "little") + chunk
    return riff[:4] + (len(riff) - 8).to_bytes(4, "little") + riff[8:]


def _pcm(samples: Array) -> NDArray[np.int16]:
    """By 32768, so that what came as 16 bit leaves as the same numbers; libsndfile scales by
    32767.
    """
    # A sample that is no number is silence: a driver's fault must not cost the clip.
    pcm: NDArray[np.int16] = np.clip(
        np.rint(np.nan_to_num(samples) * np.float32(32768)), -32768, 32767
    ).astype(np.int16)
    return pcm
