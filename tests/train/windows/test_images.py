"""Augmentation of features as images, noise of two colours, and mixtures with the labels of both:
laws, and PyTorch as oracle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edge.bundle import Frontend, FrontendSpec
from edge.bundle.features import power_to_db
from edge.errors import SpecError
from edge.types import Array
from tests.train.tones import write_collection
from train.corpus.corpus import Corpus
from train.corpus.prepare import prepare
from train.corpus.splits import SplitPlan
from train.recipe.augmentation import AugmentSpec
from train.recipe.load import parse_recipe
from train.windows.augment import to_peak_band
from train.windows.batches import Batches
from train.windows.cache import ComponentCache
from train.windows.dataset import TrainingWindows
from train.windows.images import crop_height, distort, turn_hue
from train.windows.noise import ColouredNoise, make_noise

MEL: dict[str, Any] = {"component": "mel", "level": {"kind": "max"}}
THREE = FrontendSpec.parse(
    {"n_mels": 32, "channels": [{**MEL, "n_fft": n} for n in (512, 1024, 2048)]}
)
INCEPTION: dict[str, Any] = {
    "brightness": 32 / 255,
    "contrast": 0.5,
    "saturation": 0.5,
    "hue": 0.2,
}
SOUNDCEPTION = AugmentSpec(crop_top=0.04, crop_bottom=0.01, grain=0.05, **INCEPTION)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tones")


@pytest.fixture(scope="module")
def corpus(folder: Path) -> Corpus:
    return prepare(
        write_collection(folder), folder / "prepared", plan=SplitPlan(test_share=0.25, folds=3)
    ).corpus


def windows_of(corpus: Corpus, folder: Path, spec: FrontendSpec) -> TrainingWindows:
    cache = ComponentCache(folder=folder / "cache", spec=spec)
    return TrainingWindows(corpus.of(split="dev"), cache=cache, labels=("hummer", "peeper"))


@pytest.fixture(scope="module")
def windows(corpus: Corpus, folder: Path) -> TrainingWindows:
    return windows_of(corpus, folder, THREE)


def calls(channels: int, seed: int) -> Array:
    """Five soft blobs: in a spectrogram, unlike in noise, neighbours are alike."""
    rng, blobs = np.random.default_rng(seed), np.zeros((channels, 100, 40), np.float32)
    band, frame = np.mgrid[:100, :40]
    for _ in range(5):
        b, f = rng.uniform(15, 85), rng.uniform(5, 35)
        blobs += np.exp(-(((band - b) / 6) ** 2) - ((frame - f) / 4) ** 2).astype(np.float32)
    return np.clip(blobs, 0, 1)


def image(channels: int = 3, seed: int = 0) -> Array:
    return np.random.default_rng(seed).random((channels, 100, 40), np.float32)


def test_a_crop_in_frequency_is_pytorchs_resize_of_the_bands_that_are_left() -> None:
    features = image()
    left = torch.from_numpy(features[None, :, 1:96])
    oracle = F.interpolate(left, (100, 40), mode="bilinear", align_corners=False)[0].numpy()
    ours = crop_height(features, top=0.96, bottom=0.01)
    # at the two edges there is a neighbour to look at, which the oracle was not given
    np.testing.assert_allclose(ours[:, 1:-1], oracle[:, 1:-1], atol=1e-5)
    np.testing.assert_array_equal(crop_height(features, top=1.0, bottom=0.0), features)


def test_a_crop_at_the_top_moves_what_is_heard_up_and_one_at_the_bottom_down() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.float32)[None, :, None], 4, axis=2)
    assert (crop_height(ramp, top=0.9, bottom=0.0) <= ramp).all()  # what was lower is now here
    assert (crop_height(ramp, top=1.0, bottom=0.1) >= ramp).all()


def test_hue_keeps_the_mean_and_a_third_of_a_turn_makes_each_channel_the_next() -> None:
    features = image()
    for turn in (-0.2, 0.07, 0.2):
        np.testing.assert_allclose(
            turn_hue(features, turn).mean(axis=0), features.mean(axis=0), atol=1e-5
        )
        np.testing.assert_allclose(turn_hue(turn_hue(features, turn), -turn), features, atol=1e-5)
    third = turn_hue(features, 1 / 3)
    assert min(np.abs(third - np.roll(features, shift, axis=0)).max() for shift in (1, 2)) < 1e-5
    np.testing.assert_allclose(turn_hue(features, 1.0), features, atol=1e-5)


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("contrast", lambda x: x.mean(axis=(1, 2))),
        ("saturation", lambda x: x.mean(axis=0)),
        ("hue", lambda x: x.mean(axis=0)),
        ("brightness", lambda x: x - x.mean()),
    ],
)
def test_each_colour_changes_one_thing(key: str, kept: Any) -> None:
    features = 0.4 + 0.2 * image()  # far enough from the limits that nothing is clipped
    spec = AugmentSpec(**{key: 0.1})  # type: ignore[arg-type]
    changed = distort(features, spec=spec, rng=np.random.default_rng(3))
    assert np.abs(changed - features).max() > 1e-3
    np.testing.assert_allclose(kept(changed), kept(features), atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_distorted_features_stay_features(channels: int, seed: int) -> None:
    spec = AugmentSpec(
        crop_top=0.04, crop_bottom=0.01, brightness=0.3, contrast=0.5, saturation=0.5, grain=0.2
    )
    features = calls(channels, seed)
    changed, again = (
        distort(features, spec=spec, rng=np.random.default_rng(seed)) for _ in range(2)
    )
    assert changed.shape == features.shape
    assert changed.dtype == np.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    assert np.corrcoef(changed.ravel(), features.ravel())[0, 1] > 0.5, (
        "what is heard is still there"
    )
    np.testing.assert_array_equal(changed, again)


def test_grain_is_noise_or_a_slow_change_of_brightness() -> None:
    features, kinds = np.full((3, 100, 40), 0.5, np.float32), set()
    for seed in range(12):
        change = (
            distort(features, spec=AugmentSpec(grain=0.1), rng=np.random.default_rng(seed))
            - features
        )
        kinds.add("slow" if np.abs(change - change[:1, :1]).max() < 1e-6 else "noise")
    assert kinds == {"slow", "noise"}


def test_what_is_not_asked_for_draws_nothing() -> None:
    rng, features = np.random.default_rng(0), image()
    before = rng.bit_generator.state
    np.testing.assert_array_equal(distort(features, spec=AugmentSpec(), rng=rng), features)
    assert rng.bit_generator.state == before


@pytest.mark.parametrize(("slope", "octave_db"), [(0.0, 0.0), (0.5, -3.01)], ids=["white", "pink"])
def test_noise_falls_by_its_decibels_an_octave(slope: float, octave_db: float) -> None:
    power = (
        np.abs(
            np.fft.rfft(
                make_noise(1 << 18, slope=slope, rng=np.random.default_rng(0)).astype(np.float64)
            )
        )
        ** 2
    )
    octaves = [10 * np.log10(power[1 << n : 2 << n].mean()) for n in range(8, 16)]
    np.testing.assert_allclose(np.diff(octaves), octave_db, atol=0.7)
    assert power[0] < 1e-6 * power[1:].mean(), "no direct current"


def test_noise_is_what_the_frontend_hears_and_repeats() -> None:
    frontend = Frontend(THREE)
    first, second = (ColouredNoise(frontend).draw(np.random.default_rng(5)) for _ in range(2))
    assert first.shape == (3, 32, THREE.component_frames)
    np.testing.assert_array_equal(first, second)
    drawn = [
        power_to_db(ColouredNoise(frontend).draw(np.random.default_rng(seed))[0]).mean(axis=1)
        for seed in range(6)
    ]
    fall = [bands[:8].mean() - bands[-8:].mean() for bands in drawn]
    assert min(fall) < 5, "white is drawn"
    assert max(fall) > 12, "pink is drawn"


def test_coloured_noise_is_mixed_at_the_level_asked_for(corpus: Corpus, folder: Path) -> None:
    # clips nothing, so that it can be undone
    level = {"kind": "fixed", "floor_db": -150.0, "ceiling_db": 150.0}
    spec = FrontendSpec.parse(
        {
            **THREE.as_mapping(),
            "channels": [{**c.as_mapping(), "level": level} for c in THREE.channels],
        }
    )
    windows = windows_of(corpus, folder, spec)
    noisy, clean = (
        Batches(windows, AugmentSpec(coloured_share=share, coloured_snr_db=(6.0, 6.0))).per_class(
            np.random.default_rng(2), 1
        )[0][0]
        for share in (1.0, 0.0)
    )
    power = np.power(10, (noisy.astype(np.float64) * 300 - 150) / 10)
    alone = to_peak_band(
        np.power(10, (clean.astype(np.float64) * 300 - 150) / 10).astype(np.float32)
    )
    assert 10 * np.log10((power - alone)[0].mean(axis=1).max()) == pytest.approx(-6, abs=0.05)


def test_mixtures_have_the_labels_of_both_in_much_the_same_share(windows: TrainingWindows) -> None:
    batches, rng = (
        Batches(windows, AugmentSpec(mixup_share=1.0, mixup_alpha=5.0)),
        np.random.default_rng(0),
    )
    _, targets, _ = batches.classification(rng, 40, 0.0)
    assert set((targets > 0).sum(axis=1)) == {1, 2}, "of two species one may be drawn twice"
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    shares = np.array([batches._share(rng) for _ in range(2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.std() == pytest.approx(1 / (2 * np.sqrt(11)), abs=0.01), (
        "the deviation of Beta(5, 5)"
    )
    plain = Batches(windows, AugmentSpec(mixup_share=1.0))
    assert all(0.2 <= plain._share(rng) <= 0.8 for _ in range(100))


def test_everything_of_both_papers_at_once_makes_batches(windows: TrainingWindows) -> None:
    spec = AugmentSpec(
        **{
            **vars(SOUNDCEPTION),
            "coloured_share": 0.5,
            "mixup_share": 0.5,
            "mixup_alpha": 4.5,
            "stretch": 0.05,
        }
    )
    first, second = (
        Batches(windows, spec).classification(np.random.default_rng(7), 12, 0.2)[0]
        for _ in range(2)
    )
    assert first.shape == (12, *THREE.shape)
    assert np.isfinite(first).all()
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hue": 0.7}, "hue: 0.7 is outside 0..0.5"),
        ({"crop_top": -0.1}, "crop_top: -0.1 is outside"),
        ({"coloured_share": 2}, "coloured_share: 2 is outside 0..1"),
        ({"mixup_alpha": -1}, "mixup_alpha: -1 is outside"),
        (
            {"coloured_snr_db": [20, 5]},
            "coloured_snr_db: 20 to 5 dB: the lower number must come first",
        ),
        ({"sharpness": 1}, "unknown key 'sharpness'"),
        (
            {"hue": 0.2},
            "augment.hue needs three channels to turn into each other, the frontend has 1",
        ),
    ],
)
def test_what_cannot_be_is_one_line(changes: dict[str, Any], reason: str) -> None:
    values = {
        "name": "x",
        "frontend": {"channels": [MEL]},
        "network": {"kind": "compact"},
        "objective": {"kind": "cross_entropy"},
        "steps": 1,
        "augment": changes,
    }
    with pytest.raises(SpecError, match=reason) as caught:
        parse_recipe(values, where="x.yaml")
    assert "\n" not in str(caught.value)
