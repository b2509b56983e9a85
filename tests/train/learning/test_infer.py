"""Recordings are heard to their end: long ones in parts, which together are the whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.audio import noise
from tests.support.bundles import tone
from tests.train.numbered import SPEC
from train.corpus.corpus import Corpus, Recording
from train.learning.infer import cut_in_parts, cut_windows, run_network, windows_of
from train.windows.cache import MAX_S

HOP_S = 1.0
RATE_HZ = SPEC.sample_rate_hz


def written(path: Path, seconds: float) -> Recording:
    """A recording that is loud at its very end only."""
    samples = noise(seconds, RATE_HZ, level=1e-4)
    samples[-4 * RATE_HZ :] += tone(1000, 4, RATE_HZ)
    soundfile.write(path, samples, RATE_HZ)
    return Recording(path=path, role="known", label="a", seconds=seconds, sha256="ab" * 32)


@pytest.mark.parametrize("seconds", [MAX_S + 1.3, 2 * MAX_S, 2 * MAX_S + 1.0])
def test_parts_are_the_whole(tmp_path: Path, seconds: float) -> None:
    recording = written(tmp_path / "a.wav", seconds)
    whole = cut_windows(recording.path, spec=SPEC, hop_s=HOP_S)
    parts = list(cut_in_parts(recording.path, seconds, spec=SPEC, hop_s=HOP_S))
    assert len(parts) == (1 if seconds < MAX_S + SPEC.window_s else 2)
    starts = np.concatenate([part.start_s for part in parts])
    np.testing.assert_allclose(starts, whole.start_s, atol=1e-9)
    assert (np.concatenate([part.active for part in parts]) == whole.active).all()
    features = np.concatenate([part.features for part in parts])
    np.testing.assert_allclose(features, whole.features, atol=1e-4)
    assert whole.active[-1]
    assert not whole.active[: len(whole.active) // 2].any()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_network_hears_to_the_end(tmp_path: Path, workers: int) -> None:
    recording = written(tmp_path / "a.wav", 2.2 * MAX_S)
    seen: list[int] = []

    def network(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(features))
        return features.mean((1, 2, 3))[:, None], np.zeros((len(features), 2), np.float32)

    outputs = [
        run_network(
            network,
            Corpus(root=tmp_path, recordings=(recording,)),
            [recording],
            spec=SPEC,
            labels=("a", "b"),
            hop_s=HOP_S,
            cache=tmp_path / "cache",
            workers=workers,
        )
        for _ in range(2)  # the second time from the cache
    ]
    for found in outputs:
        assert found.start_s[-1] + SPEC.window_s > recording.seconds - HOP_S
        assert found.active[-1]
    assert (outputs[0].embedding == outputs[1].embedding).all()
    assert max(seen) < 1.1 * MAX_S / HOP_S, "not all of it is in memory at once"


@pytest.mark.parametrize("more_s", [-1.0, 0.0, 0.005, 3.0])
def test_a_window_may_be_longer_than_a_part(tmp_path: Path, more_s: float) -> None:
    spec = dataclasses.replace(SPEC, window_s=MAX_S + 10)
    recording = written(tmp_path / "a.wav", spec.window_s + more_s)
    cut = windows_of(recording, spec=spec, hop_s=HOP_S, cache=tmp_path / "cache")
    assert cut.start_s.tolist() == [HOP_S * i for i in range(1 + max(0, int(more_s)))]
    assert cut.features.shape[1:] == spec.shape
