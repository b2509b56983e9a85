"""Activity, the cache, and augmentation: the laws that keep a label true and sound physical."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import ChannelSpec, Frontend, FrontendSpec
from edge.bundle.features import power_to_db
from edge.bundle.spec import FixedLevel
from tests.train.tones import RATE_HZ, song, write_collection
from train.corpus.corpus import Corpus
from train.corpus.prepare import prepare
from train.corpus.splits import SplitPlan
from train.recipe.augmentation import AugmentSpec
from train.windows.activity import measure_activity
from train.windows.audio import loop_to, read_audio
from train.windows.augment import augment, mask, mix, to_peak_band
from train.windows.batches import Batches
from train.windows.cache import ComponentCache, to_power
from train.windows.dataset import TrainingWindows, most_active_window

SPEC = FrontendSpec(n_mels=32)
FRAMES = SPEC.shape[2]
EVERYTHING = AugmentSpec(
    noise_share=1,
    gain_db=20,
    equaliser_db=8,
    stretch=0.1,
    shift_bands=1,
    time_shift_share=1,
    masks=2,
    mixup_share=1,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("tones")
    return prepare(
        write_collection(folder), folder / "prepared", plan=SplitPlan(test_share=0.25, folds=3)
    ).corpus


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ComponentCache:
    return ComponentCache(folder=tmp_path_factory.mktemp("cache"), spec=SPEC)


@pytest.fixture(scope="module")
def windows(corpus: Corpus, cache: ComponentCache) -> TrainingWindows:
    return TrainingWindows(corpus.of(split="dev"), cache=cache, labels=("hummer", "peeper"))


def test_a_short_recording_is_repeated_from_its_beginning() -> None:
    samples = np.arange(3, dtype=np.float32)
    assert loop_to(samples, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert loop_to(samples, 2) is samples


def test_the_call_is_active_and_the_pause_is_quiet() -> None:
    call = song("peeper", 6, seed=1)
    samples = np.concatenate(
        [0.002 * np.random.default_rng(0).standard_normal(20 * RATE_HZ).astype(np.float32), call]
    )
    mel = Frontend(dataclasses.replace(SPEC, sample_rate_hz=RATE_HZ, fmax_hz=8000)).components(
        samples
    )[0]
    activity = measure_activity(power_to_db(mel), window_frames=156, hop_frames=15)
    seconds = activity.starts * 512 / RATE_HZ
    assert activity.active[seconds > 18].all()
    assert activity.quiet[seconds < 14].all()
    assert not (activity.active & activity.quiet).any()


def test_a_steady_chorus_has_no_quiet_windows() -> None:
    mel = np.full((32, 1000), -20.0) + np.random.default_rng(0).normal(0, 1, (32, 1000))
    activity = measure_activity(mel, window_frames=216, hop_frames=20)
    assert activity.active.all()
    assert not activity.quiet.any()


def test_the_cache_holds_what_the_frontend_computes(corpus: Corpus, cache: ComponentCache) -> None:
    recording = corpus.of(role="known")[0]
    samples = loop_to(read_audio(recording.path, SPEC.sample_rate_hz), SPEC.window_samples)
    expected = power_to_db(Frontend(SPEC).components(samples))
    assert np.abs(cache.load(recording).astype(np.float32) - expected).max() <= 0.07
    before = cache.path(recording).stat().st_mtime_ns
    cache.load(recording)
    assert cache.path(recording).stat().st_mtime_ns == before


def test_another_spec_is_another_cache_but_another_level_is_not(
    cache: ComponentCache, corpus: Corpus
) -> None:
    recording = corpus.recordings[0]
    fixed = tuple(ChannelSpec(component=c.component, level=FixedLevel()) for c in SPEC.channels)
    others = [
        dataclasses.replace(SPEC, **change)
        for change in ({"n_mels": 64}, {"window_s": 3.0}, {"channels": fixed})
    ]
    same = [
        ComponentCache(folder=cache.folder, spec=spec).path(recording) == cache.path(recording)
        for spec in others
    ]
    assert same == [False, False, True], (
        "the length of a window decides how far a short recording is looped"
    )


def test_windows_are_drawn_of_the_species_asked_for(windows: TrainingWindows) -> None:
    rng = np.random.default_rng(0)
    for label, low_hz, high_hz in ((0, 300, 500), (1, 2700, 3300)):
        loudest = [windows.known(rng, label)[0].mean(1).argmax() for _ in range(5)]
        edges = np.array([low_hz, high_hz])
        bands = (
            2595
            * np.log10(1 + edges / 700)
            / (2595 * np.log10(1 + SPEC.fmax_hz / 700))
            * SPEC.n_mels
        )
        assert (np.abs(np.array(loudest) - bands.mean()) <= 4).all()


def test_known_recordings_of_other_species_become_outliers(windows: TrainingWindows) -> None:
    assert set(windows._others["unknown"]) >= {"triller"}


def test_mixing_is_at_the_level_asked_for(windows: TrainingWindows) -> None:
    rng = np.random.default_rng(0)
    power, other = windows.known(rng, 0), windows.known(rng, 1)
    added = mix(power, other, other_db=-10.0) - to_peak_band(power)
    assert 10 * np.log10(added[0].mean(1).max()) == pytest.approx(-10, abs=0.01)


def test_augmentation_keeps_shape_and_stays_finite_and_repeats(windows: TrainingWindows) -> None:
    power = windows.known(np.random.default_rng(1), 0)
    first, second = (
        augment(power, spec=EVERYTHING, windows=windows, rng=np.random.default_rng(3))
        for _ in range(2)
    )
    assert first.shape == power.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert (first >= 0).all()
    assert np.array_equal(first, second)


def test_no_augmentation_is_the_frontend_itself(
    corpus: Corpus, cache: ComponentCache, windows: TrainingWindows
) -> None:
    features, classes = Batches(windows, AugmentSpec()).per_class(np.random.default_rng(0), 5)
    assert classes.tolist() == [0] * 5 + [1] * 5
    assert features.shape == (10, *SPEC.shape)
    assert features.min() >= 0
    assert features.max(axis=(2, 3)) == pytest.approx(np.ones((10, 3))), (
        "level max: every channel's maximum is 1"
    )


def test_masks_hide_and_do_not_invent() -> None:
    features = np.random.default_rng(0).random((3, 32, FRAMES)).astype(np.float32)
    masked = mask(features.copy(), count=2, rng=np.random.default_rng(0))
    changed = masked != features
    assert changed.any()
    assert np.unique(masked[changed].round(3)).max() <= 0.7, (
        "a mask is the mean, not a value of its own"
    )


def test_targets_share_one_and_outliers_are_other(windows: TrainingWindows) -> None:
    batches = Batches(windows, dataclasses.replace(EVERYTHING, mixup_share=0.5))
    _, targets, classes = batches.classification(np.random.default_rng(0), 60, 0.3)
    assert targets.sum(axis=1) == pytest.approx(np.ones(60))
    assert 0.1 < targets[:, -1].mean() < 0.5
    assert (classes[targets[:, -1] == 1] == -1).all()
    assert all(targets[i, c] == 1 for i, c in enumerate(classes) if c >= 0)


def test_the_most_active_window_has_the_call(cache: ComponentCache, corpus: Corpus) -> None:
    recording = corpus.of(role="known")[0]
    window = most_active_window(cache.load(recording), SPEC)
    assert window.shape == SPEC.shape
    assert window[0].max() == pytest.approx(to_power(cache.load(recording))[0].max(), rel=0.5)


def test_a_missing_recording_is_an_error_of_its_file(tmp_path: Path) -> None:
    import soundfile

    with pytest.raises(soundfile.LibsndfileError, match=r"none\.wav"):
        read_audio(tmp_path / "none.wav", 22_050)
