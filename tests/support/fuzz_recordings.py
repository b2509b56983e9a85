"""Mutated recordings against an independent decoder: `python -m tests.support.fuzz_recordings`.

Each mutant is replayed, and decoded by ffmpeg. Nothing may be lost in silence: what is heard, or
what is heard and what is said to be missing, is as long as what ffmpeg finds; or more is heard than
ffmpeg does, because the header said too little; or the file is refused by name.
"""

from __future__ import annotations

import argparse
import io
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from edge.errors import AudioError
from edge.replay.recordings import Recording
from edge.replay.replayer import Outcome, Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import add_chunk, noise
from tests.support.bundles import tiny_bundle

__all__ = ["Report", "fuzz", "main"]

KINDS = {
    "wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "MS_ADPCM"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
}
RATE_HZ = 24_000  # one that all of them take
SECONDS = 8.0
TOLERANCE, SLACK_S = 0.02, 0.3  # of ffmpeg's length, and what decoders lose at damage
S_PER_MB, FIXED_S = 2.0, 1.0
HEADER = 120
NUMBERS = (0, 1, 2, 44, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(kw_only=True)
class Report:
    """What became of the mutants; `faults` are lines that name the seed of each that failed."""

    outcomes: Counter[str]
    faults: list[str]
    slowest_s_per_mb: float = 0.0
    peak_mb: float = 0.0


def fuzz(seeds: range, folder: Path) -> Report:
    """Replay one mutant for each seed."""
    replayer = Replayer(ReplaySettings(bundle=tiny_bundle(folder / "bundle").path, hop_s=1.0))
    originals = {name: _original(folder, name) for name in KINDS}
    report = Report(outcomes=Counter(), faults=[])
    for seed in seeds:
        rng = np.random.default_rng(seed)
        name = list(KINDS)[seed % len(KINDS)]
        path = folder / f"mutant.{name.rpartition('.')[2]}"
        path.write_bytes(_mutated(originals[name], rng))
        began_s = time.process_time()
        outcome = replayer.outcome(Recording(file=str(path), name=str(path)))
        spent_s = time.process_time() - began_s
        megabytes = path.stat().st_size / 1e6
        report.slowest_s_per_mb = max(report.slowest_s_per_mb, spent_s / max(1.0, megabytes))
        if spent_s > FIXED_S + S_PER_MB * megabytes:
            report.faults.append(f"{seed} {name}: {spent_s:.1f} s for {megabytes:.2f} MB")
        verdict = _verdict(outcome, path)
        report.outcomes[verdict.partition(":")[0]] += 1
        if verdict.startswith("LOST") or "a fault of this program" in verdict:
            report.faults.append(f"{seed} {name}: {verdict}")
    report.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return report


def _original(folder: Path, name: str) -> bytes:
    container, subtype = KINDS[name]
    stream = io.BytesIO()
    seconds = noise(SECONDS, RATE_HZ, level=0.2)
    soundfile.write(stream, seconds, RATE_HZ, format=container, subtype=subtype)
    if name == "wav":
        path = folder / "tagged.wav"
        path.write_bytes(stream.getvalue())
        add_chunk(path, b"guan", b"GUANO|Version: 1.0\nTimestamp: 2024-05-01T05:30:00Z\n")
        return path.read_bytes()
    return stream.getvalue()


def _mutated(content: bytes, rng: np.random.Generator) -> bytes:
    for _ in range(int(rng.integers(1, 4))):
        content = _once(content, rng)
    return content


def _once(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a file once, as damage, recorders and converters do."""
    where = int(rng.integers(0, HEADER if rng.random() < 0.6 else max(1, len(content))))
    size = int(rng.choice([1, 1, 2, 4, 64, 512, 4096]))
    even = where // 2 * 2
    order: Literal["little", "big"] = "little" if rng.random() < 0.5 else "big"
    number = int(rng.choice(NUMBERS)).to_bytes(4, order)
    bit = bytes([content[where % len(content)] ^ 1 << int(rng.integers(0, 8))])
    changes = (
        content[:where] + rng.bytes(size) + content[where + size :],
        content[:even] + number + content[even + 4 :],
        content[:where] + rng.bytes(size) + content[where:],
        content[:where] + content[where + size :],
        content[: max(1, int(rng.integers(0, len(content) + 1)))],
        content + bytes(int(rng.choice([100, 10_000, 1 << 20]))),
        content + rng.bytes(int(rng.choice([100, 10_000, 100_000]))),
        content + b"\xff" * int(rng.choice([100, 1 << 20])),
        content[:where] + bit + content[where + 1 :],
    )
    return changes[int(rng.integers(0, len(changes)))] or b"\0"


def _verdict(outcome: Outcome, path: Path) -> str:
    if isinstance(outcome, AudioError):
        named = str(outcome).startswith(f"{path}: ") and "\n" not in str(outcome)
        return f"refused: {outcome}" if named else f"LOST: refused without a name: {outcome}"
    found_s = _by_ffmpeg(path)
    effort = outcome.effort
    heard_s, said_s = effort.audio_s, effort.audio_s + effort.missing_s
    for what, seconds in (("the same", heard_s), ("with what is missing", said_s)):
        if abs(seconds - found_s) <= TOLERANCE * found_s + SLACK_S:
            return what
    lengths = f"heard {heard_s:.2f} s, missing {effort.missing_s:.2f} s, ffmpeg {found_s:.2f} s"
    if heard_s > found_s:
        return f"more than ffmpeg: {lengths}"
    if said_s >= found_s:
        return f"less, and said so: {lengths}"
    if any("empty bytes behind" in note for note in outcome.notes):
        return f"without filler, and said so: {lengths}"
    return f"LOST: {lengths}; {outcome.notes}"


def _by_ffmpeg(path: Path) -> float:
    """Return how many seconds ffmpeg finds in a file; 0 where it finds none."""
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", str(path), "-map", "0:a:0"]
    done = subprocess.run(
        [*command, "-ac", "1", "-ar", "8000", "-f", "s16le", "-"],
        stdout=subprocess.PIPE,
        check=False,
        timeout=120,
    )
    return len(done.stdout) / 2 / 8000


def _lines(report: Report) -> Iterator[str]:
    yield from report.faults
    yield ", ".join(f"{count} {what}" for what, count in sorted(report.outcomes.items()))
    yield f"slowest {report.slowest_s_per_mb:.2f} s a MB, peak memory {report.peak_mb:.0f} MB"


def main() -> int:
    """Fuzz as many as asked for; return 1 when one failed."""
    parser = argparse.ArgumentParser(description="mutated recordings against ffmpeg")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a fault is told by its seed
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(range(args.first, args.first + args.count), Path(folder))
    print(*_lines(report), sep="\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
