"""What is drawn is what is said to be in it, within its recording, and the same for one seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from train.corpus.corpus import Recording, Role
from train.learning.distilling.mixtures import Mixtures, disguised
from train.learning.distilling.places import Heard, Places, places_of
from train.learning.distilling.sounds import Sounds
from train.recipe.augmentation import AugmentSpec
from train.recipe.objectives import DistilSpec

RATE_HZ = 100
WINDOW, HEARD = 500, 300
SECONDS = 10
NAMES = ("ant", "bee")
ROLES: tuple[tuple[Role, str], ...] = (
    *(("known", "ant"), ("known", "bee"), ("unknown", "cat"), ("noise", "hiss")),
    ("background", "forest"),
)
AUGMENT = AugmentSpec(noise_share=0.5, noise_snr_db=(0, 20), equaliser_db=6, masks=2)


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return [Recording(path=Path(f"{label}.wav"), role=role, label=label) for role, label in ROLES]


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    rng = np.random.default_rng(0)
    length = SECONDS * RATE_HZ
    samples = rng.integers(-3000, 3000, len(ROLES) * length).astype(np.int16)
    starts = np.arange(len(ROLES)) * length
    return Sounds(torch.from_numpy(samples), starts, starts + length, RATE_HZ)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """A window each second; each animal's own logit is 5 in its third window, and low elsewhere."""
    offsets = np.arange(0, SECONDS * RATE_HZ - HEARD + 1, RATE_HZ)
    count = len(offsets)
    own = np.full((len(ROLES) * count, len(NAMES)), -8.0, np.float32)
    animal = np.full(len(own), -6.0, np.float32)
    for i, (_, label) in enumerate(ROLES):
        third = i * count + 2
        if label in NAMES:
            own[third, NAMES.index(label)] = 5
        if label in (*NAMES, "cat"):
            animal[third] = 5
    own[4 * count + 1, 0] = 4  # an ant in the forest
    return Heard(
        start=np.concatenate([i * SECONDS * RATE_HZ + offsets for i in range(len(ROLES))]),
        recording=np.repeat(np.arange(len(ROLES)), count),
        own=own,
        animal=animal,
    )


@pytest.fixture(scope="module")
def places(heard: Heard, sounds: Sounds, recordings: list[Recording]) -> dict[str, Places]:
    return dict(places_of(heard, sounds, recordings, NAMES))


def test_windows_are_where_the_teacher_hears_the_label(places: dict[str, Places]) -> None:
    assert set(places) == {"known", "unknown", "noise", "background", "quiet"}
    assert places["known"].start.tolist() == [200, 1200]
    assert places["known"].species.tolist() == [0, 1]
    assert places["unknown"].start.tolist() == [2200]
    # What holds one of the species is not shown as none of them.
    assert 4100 not in places["background"].start
    assert len(places["noise"].start) == len(places["background"].start) + 1
    for kind in ("unknown", "noise", "background", "quiet"):
        assert (places[kind].species == -1).all()
    # Pauses are of animals, and not where one is heard.
    assert set(places["quiet"].start // 1000) == {0, 1, 2}
    assert not set(places["quiet"].start) & {200, 1200, 2200}


def test_what_is_drawn_holds_what_was_heard_and_stays_in_its_recording(
    places: dict[str, Places],
) -> None:
    rng = np.random.default_rng(1)
    starts, species = places["known"].draw(rng, 500, window=WINDOW, heard=HEARD)
    heard_at = np.where(species == 0, 200, 1200)
    assert ((starts <= heard_at) & (heard_at + HEARD <= starts + WINDOW)).all()
    assert (starts // 1000 == (starts + WINDOW - 1) // 1000).all()
    assert 0.4 < species.mean() < 0.6  # species are as likely as each other
    middles = places["known"].middles(WINDOW, HEARD)
    assert ((middles >= places["known"].first) & (middles + WINDOW <= places["known"].end)).all()


def mixtures(sounds: Sounds, places: dict[str, Places], **spec: object) -> Mixtures:
    return Mixtures(
        sounds=sounds,
        places=places,
        spec=DistilSpec(**spec),  # type: ignore[arg-type]
        augment=AUGMENT,
        species=len(NAMES),
        window=WINDOW,
        heard=HEARD,
    )


def test_shares_are_of_what_is_mixed_and_levels_are_as_drawn(
    sounds: Sounds, places: dict[str, Places]
) -> None:
    mixed = mixtures(sounds, places, level_dbfs=(-40.0, -20.0))
    drawn = mixed.draw(np.random.default_rng(2), 400)
    assert drawn.sound.shape == (400, WINDOW)
    level_db = 10 * torch.log10(drawn.sound.square().mean(1))
    assert ((level_db > -40.1) & (level_db < -19.9)).all()
    np.testing.assert_allclose(drawn.shares.sum(1), 1, atol=1e-6)
    none = drawn.shares[:, -1]
    assert 0.2 < (none == 1).float().mean() < 0.4  # outliers without one of the species
    # The louder one is never less of the window than the fainter.
    first = drawn.shares[:, :-1].amax(1)
    assert (first[none < 0.5] >= 0.5).all()
    again = mixed.draw(np.random.default_rng(2), 400)
    assert torch.equal(again.sound, drawn.sound)


def test_without_other_animals_the_species_are_mixed_with_each_other(
    sounds: Sounds, places: dict[str, Places]
) -> None:
    few = {kind: places[kind] for kind in ("known", "noise")}
    drawn = mixtures(sounds, few, mixup_share=1.0, outlier_share=0.5).draw(
        np.random.default_rng(3), 200
    )
    assert ((drawn.shares[:, -1] == 0) | (drawn.shares[:, -1] == 1)).all()


def test_a_disguise_keeps_the_range_and_leaves_most_as_it_is() -> None:
    features = torch.rand(8, 1, 32, 100) * 0.5 + 0.25
    hidden = disguised(features, np.random.default_rng(4), augment=AUGMENT, db=130.0)
    assert hidden.shape == features.shape
    assert ((hidden >= 0) & (hidden <= 1)).all()
    moved = (hidden - features).abs()
    assert (moved[hidden > 0] <= 6 / 130 + 1e-6).all()
    assert 0 < (hidden == 0).float().mean() < 0.5
    plain = disguised(features, np.random.default_rng(4), augment=AugmentSpec(), db=130.0)
    assert torch.equal(plain, features)
