"""Clips hold the call, say what they are, stay in their budget, and a full disk costs nothing
else.
"""

from __future__ import annotations

import errno
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.clock import Clock, rfc3339
from edge.config.sections import ClipsConfig
from edge.provenance import Provenance
from edge.recorder.clip_file import Content
from edge.recorder.clips import ClipFolder, ClipWriter
from edge.recorder.recent_audio import RecentAudio
from edge.section import MB
from edge.sources.callbacks import CardAudio
from edge.sources.header import audio_facts
from edge.types import Array, Detection, SignalHealth
from tests.support.disk import small_disk

RATE = 8000
CLOCK = Clock(
    start_utc=datetime(2024, 5, 1, 5, 30, tzinfo=timezone.utc),
    sample_rate_hz=RATE,
    source="system",
    synced=True,
    uncertainty_s=0.1,
)
PROVENANCE = Provenance(
    bundle="b" * 64, config="c" * 64, code="d" * 64, labels={}, backend="none", variant="fp32"
)
HEALTH = SignalHealth(rms_dbfs=-20, peak_dbfs=-10, clip_ratio=0, dc=0, dead=False, stuck=False)


def settings(
    folder: Path, *, form: str = "wav", budget: int = 10**6, reserve: int = 0
) -> ClipsConfig:
    return ClipsConfig(
        folder=folder,
        format=form,  # type: ignore[arg-type]
        padding_s=0.5,
        budget_mb=budget / MB,
        reserve_mb=reserve / MB,
    )


def detection(start: int, end: int, label: str | None = "peeper", number: int = 0) -> Detection:
    return Detection(
        id=f"{number:032x}",
        state="end",
        label=label,
        nearest="peeper",
        score=0.9,
        novelty=0.1,
        top=(),
        start_sample=start,
        end_sample=end,
        peak_sample=start,
        sample_rate_hz=RATE,
        windows=3,
        health=HEALTH,
        embedding=np.zeros(4, np.float32),
    )


def ramp(start: int, end: int) -> Array:
    """Exact in 16 bit."""
    return (np.arange(start, end) % 30_000 / 32_768).astype(np.float32)


def recent(seconds: float = 10.0, *, stream_rate_hz: int = RATE) -> RecentAudio:
    return RecentAudio(
        stream_rate_hz=stream_rate_hz, capacity=lambda rate_hz: round(seconds * rate_hz)
    )


def hear(audio: RecentAudio, samples: Array, *, rate_hz: int = RATE, chunk: int = 400) -> None:
    """Push what a card gave from its first sample on, as the microphone does."""
    for at in range(0, len(samples), chunk):
        part = samples[at : at + chunk]
        begins = None if at else 0
        audio.push(CardAudio(samples=part, sample_rate_hz=rate_hz, start_sample=begins))


def writer(folder: Path, *, form: str = "wav") -> tuple[ClipWriter, RecentAudio]:
    chosen, audio = settings(folder, form=form), recent()
    return ClipWriter(
        chosen, folder=ClipFolder(chosen), audio=audio, provenance=PROVENANCE, device="pond"
    ), audio


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_a_clip_is_the_event_with_its_padding_to_the_sample(tmp_path: Path, form: str) -> None:
    clips, audio = writer(tmp_path, form=form)
    hear(audio, ramp(0, 15 * RATE))
    name = clips.write(detection(8 * RATE, 10 * RATE), CLOCK)
    assert name == f"peeper/20240501T053007.500000Z_000000000000.{form}"
    samples, rate = soundfile.read(tmp_path / name, dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(samples, ramp(round(7.5 * RATE), round(10.5 * RATE)))


def test_a_rate_that_flac_does_not_have_is_kept_as_wav(tmp_path: Path) -> None:
    clips, audio = writer(tmp_path, form="flac")
    hear(audio, ramp(0, 300_000), rate_hz=768_000)
    name = clips.write(detection(0, RATE // 2), CLOCK)
    assert isinstance(name, str)
    assert name.endswith(".wav")
    samples, rate = soundfile.read(tmp_path / name, dtype="float32")
    assert rate == 768_000
    np.testing.assert_array_equal(samples, ramp(0, 300_000))


def test_replay_reads_when_a_clip_began(tmp_path: Path) -> None:
    clips, audio = writer(tmp_path)
    hear(audio, ramp(0, 4 * RATE))
    name = clips.write(detection(RATE, 2 * RATE, label=None), CLOCK)
    assert isinstance(name, str)
    assert name.startswith("unknown/")
    source, time = next(audio_facts(str(tmp_path / name)).metadata.starts())
    assert (source, rfc3339(time)) == ("guano", "2024-05-01T05:30:00.500000Z")


def test_the_budget_holds_before_each_write_and_rare_ones_stay(tmp_path: Path) -> None:
    folder = ClipFolder(settings(tmp_path, budget=1000))
    folder.add("rare", "000", b"x" * 100)
    folder.add("unknown", "001", b"x" * 100)
    for i in range(2, 50):
        assert folder.add("common", f"{i:03d}", b"x" * 100)
        assert (
            sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
            == folder.total_bytes
            <= 1000
        )
    assert (tmp_path / "rare" / "000").exists()
    assert (tmp_path / "unknown" / "001").exists()
    assert sorted(file.name for file in (tmp_path / "common").iterdir()) == [
        f"{i:03d}" for i in range(42, 50)
    ]


def test_unknowns_alone_do_not_fill_the_disk(tmp_path: Path) -> None:
    folder = ClipFolder(settings(tmp_path, budget=1000))
    for i in range(3):
        folder.add("common", f"c{i}", b"x" * 100)
    for i in range(50):
        assert folder.add("unknown", f"u{i:02d}", b"x" * 100)
    assert folder.total_bytes <= 1000
    assert (tmp_path / "unknown" / "u49").exists()
    assert folder.add("unknown", "huge", b"x" * 1001) is None


def test_what_an_earlier_run_left_counts_and_its_scraps_go(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "001").write_bytes(b"x" * 900)
    (tmp_path / "common" / ".002").write_bytes(b"x" * 50)
    folder = ClipFolder(settings(tmp_path, budget=1000))
    assert folder.total_bytes == 900
    assert not (tmp_path / "common" / ".002").exists()
    assert folder.add("common", "003", b"x" * 200)
    assert [file.name for file in (tmp_path / "common").iterdir()] == ["003"]


def test_the_reserve_of_the_disk_is_kept(tmp_path: Path) -> None:
    disk = [250]

    def free(path: Path) -> int:
        return disk[0] - sum(file.stat().st_size for file in path.rglob("*") if file.is_file())

    folder = ClipFolder(settings(tmp_path, reserve=100), free_bytes=free)
    for number in range(5):
        assert folder.add("common", str(number), b"x" * 60)
        assert free(tmp_path) >= 100
    assert sorted(file.name for file in (tmp_path / "common").iterdir()) == ["3", "4"]
    disk[0] = 150  # something else took the rest: giving up all that there is would not do
    assert folder.add("common", "5", b"x" * 60) is None
    assert folder.total_bytes == 120


def test_a_full_disk_costs_clips_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen, audio = settings(tmp_path), recent()

    class FullDisk(ClipFolder):
        def add(self, label: str, name: str, *content: Content) -> Path | None:
            raise OSError(errno.ENOSPC, "No space left on device")

    clips = ClipWriter(
        chosen, folder=FullDisk(chosen), audio=audio, provenance=PROVENANCE, device="pond"
    )
    hear(audio, ramp(0, 4 * RATE))
    assert [clips.write(detection(0, RATE, number=i), CLOCK) for i in range(100)] == [None] * 100
    assert (clips.failed, clips.written) == (100, 0)
    assert len(caplog.records) == 7  # 1, 2, 4, ... 64


def test_a_folder_that_cannot_be_made_yet_is_made_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = tmp_path / "disk"
    disk.write_text("not mounted yet")
    chosen, audio = settings(disk / "clips"), recent()
    clips = ClipWriter(
        chosen, folder=ClipFolder(chosen), audio=audio, provenance=PROVENANCE, device="pond"
    )
    assert "no clips for now" in caplog.text
    hear(audio, ramp(0, 4 * RATE))
    assert clips.write(detection(0, RATE), CLOCK) is None
    disk.unlink()
    kept = clips.write(detection(0, RATE), CLOCK)
    assert isinstance(kept, str)
    assert (disk / "clips" / kept).stat().st_size == clips.last_bytes > RATE
    assert (clips.failed, clips.written) == (1, 1)


def test_a_folder_that_somebody_removes_is_made_again(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    folder = ClipFolder(settings(clips, budget=1000))
    assert folder.add("common", "001", b"x" * 100)
    shutil.rmtree(clips)
    assert folder.add("common", "002", b"x" * 100) == clips / "common" / "002"
    assert folder.total_bytes == 100
    shutil.rmtree(clips / "common")
    assert folder.add("common", "003", b"x" * 100)


@pytest.mark.mount
def test_a_disk_that_is_taken_out_is_not_replaced_by_the_systems(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=4) as disk:
        folder = ClipFolder(settings(disk / "clips", budget=1000))
        assert folder.add("common", "001", b"x" * 100)
    if tmp_path.stat().st_dev != Path("/").stat().st_dev:
        pytest.fail("the temporary folder is to be on the system's disk")
    with pytest.raises(OSError, match="taken out"):
        folder.add("common", "002", b"x" * 100)
    assert not (tmp_path / "disk" / "clips").exists()


def test_a_clip_and_all_its_folders_are_on_the_disk_before_anybody_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    clips = tmp_path / "new" / "clips"
    folder = ClipFolder(settings(clips, budget=1000))
    assert {tmp_path, tmp_path / "new"} <= set(synced)
    synced.clear()
    folder.add("common", "001", b"x")
    names = [path.name if path.is_dir() else "the clip" for path in synced]
    # The name of the label's folder, the sound, and the sound's name.
    assert names == ["clips", "the clip", "common"]
