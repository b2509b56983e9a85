"""What a person waits for, and what it takes of memory: processes of `edge replay`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import soundfile

from edge import demo
from edge.bench.sound import write_recording

__all__ = ["memory_line", "start_line"]

# What is wanted.
MOST_MIB = 350
MOST_START_S = 2.5
# The process says itself what it took: to its parent, the system tells the peak of both.
REPLAY = """
import sys
from edge.cli import main
from edge.bench.measuring import peak_rss_mib
main(["replay", *sys.argv[1:]], standalone_mode=False)
print(peak_rss_mib(), file=sys.stderr)
"""


def start_line(bundle: str, scratch: Path, runs: int) -> str:
    """Return how long a process takes to its first detection, in words; it writes to `scratch`.

    What is found in a recording is written when the recording has ended.
    """
    recording, rate_hz = scratch / "call.wav", demo.SAMPLE_RATE_HZ
    soundfile.write(recording, demo.soundscape()[4 * rate_hz : 14 * rate_hz], rate_hz)
    times = [_first_line(bundle, recording) for _ in range(runs)]
    waited_s, computed_s = map(statistics.median, zip(*times, strict=True))
    return (
        f"start       {waited_s:.2f} s from the start of the process to what is heard in 10 s of "
        f"sound, {computed_s:.2f} s of CPU; wanted: {MOST_START_S:g} s"
    )


def memory_line(bundle: str, scratch: Path, minutes: float) -> str:
    """Return the largest memory of a process, in words; it writes to `scratch`."""
    recording = scratch / "long.wav"
    write_recording(recording, minutes)
    command = [sys.executable, "-c", REPLAY, "--bundle", bundle, str(recording)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = float(done.stderr.splitlines()[-1])
    return f"memory      {peak:.0f} MiB at most to replay {minutes:g} min; wanted: {MOST_MIB} MiB"


def _first_line(bundle: str, recording: Path) -> tuple[float, float]:
    """Return the seconds to the first line of a result, and those of CPU to the end."""
    options = ["replay", "--format", "jsonl", "--bundle", bundle]
    command = [sys.executable, "-m", "edge.cli", *options, str(recording)]
    before, began_s = os.times(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        waited_s = time.perf_counter() - began_s
    assert line, f"nothing was heard in {recording}"
    after = os.times()
    user_s = after.children_user - before.children_user
    return waited_s, user_s + after.children_system - before.children_system
