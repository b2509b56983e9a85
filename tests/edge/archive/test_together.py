"""Short recordings are heard several in a task: none is lost, none moves, no task grows large."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge.archive.fingerprint import Fingerprint
from edge.archive.stretches import Stretch, stretches_of
from edge.archive.workers import MOST_BYTES_TOGETHER, MOST_TOGETHER, Asked, batches_of
from edge.replay.recordings import Recording
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import tiny_bundle

SIZES = st.lists(st.one_of(st.none(), st.integers(0, 3 * MOST_BYTES_TOGETHER)), max_size=100)


def asked(number: int, size: int | None, *, stretches: tuple[Stretch, ...] = ()) -> Asked:
    known = None if size is None else Fingerprint(size_bytes=size, modified_utc=None)
    recording = Recording(file=f"{number}.wav", name=f"{number}.wav")
    return Asked(recording=recording, fingerprint=known, stretches=stretches)


@given(SIZES)
def test_all_are_in_a_task_in_their_order(sizes: list[int | None]) -> None:
    every = [asked(i, size) for i, size in enumerate(sizes)]
    batches = list(batches_of(iter(every)))
    assert [one for batch in batches for one in batch] == every
    for batch in batches:
        assert 1 <= len(batch) <= MOST_TOGETHER
        assert len(batch) == 1 or sum(one.size_bytes for one in batch) <= MOST_BYTES_TOGETHER


def test_what_is_cut_is_a_task_of_its_own(tmp_path: Path) -> None:
    long = write_audio(tmp_path / "long.wav", soundscape())
    spec = tiny_bundle(tmp_path / "bundle").frontend
    stretches = stretches_of(long, spec, hop_s=1.0, task_s=5.0, labels=3)
    assert len(stretches) > 1
    every = [asked(0, 10), asked(1, 10), asked(2, 10, stretches=stretches), asked(3, 10)]
    assert [len(batch) for batch in batches_of(iter(every))] == [2, 1, 1]


def test_many_short_ones_are_few_tasks() -> None:
    batches = list(batches_of(asked(i, 60_000) for i in range(1000)))
    assert len(batches) == 32
