"""What a recipe may not say, and what does not change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.errors import SpecError
from train.recipe.load import load_recipe, parse_recipe
from train.recipe.sections import CropSpec

RECIPES = Path(__file__).parents[3] / "config" / "recipes"

S5: dict[str, Any] = {
    "name": "s5",
    "frontend": {"n_mels": 32, "channels": [{"component": "mel", "level": {"kind": "max"}}]},
    "network": {"kind": "segmentation"},
    "objective": {"kind": "focal", "frame_weight": 0.5},
    "pseudo": {},
    "steps": 10,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"network": {"kind": "resnest50"}},
            "pseudo: network resnest50 with objective focal has no time steps to label",
        ),
        (
            {"objective": {"kind": "cross_entropy"}},
            "with objective cross_entropy has no time steps",
        ),
        ({"pseudo": None}, "objective.frame_weight needs labels in time: add a pseudo section"),
        (
            {"pseudo": {"present": 0.2, "absent": 0.3}},
            "pseudo: absent 0.3 and present 0.2: need 0 < absent < present < 1",
        ),
        ({"pseudo": {"presnt": 0.2}}, "pseudo: unknown key 'presnt'"),
        ({"crop": {}}, "pseudo and crop both say where windows start"),
        (
            {"augment": {"time_shift_share": 0.5}},
            "augment.time_shift_share would move sound away from its pseudo label",
        ),
        ({"augment": {"stretch": 0.1}}, "augment.stretch would move"),
        ({"augment": {"masks": 1}}, "augment.masks would move"),
        ({"augment": {"animals_share": 1.5}}, "animals_share: 1.5 is outside 0..1"),
        (
            {"objective": {"kind": "focal", "secondary": 2}},
            "objective: secondary: 2 is outside 0..1",
        ),
        (
            {"frontend": {**S5["frontend"], "frames": 100}},
            "pseudo: frontend.stack and frontend.frames change",
        ),
        ({"head_rate": 0}, "head_rate: 0 is outside 0..1000"),
        ({"crop": {"ends_share": 2}}, "crop: ends_share: 2 is outside 0..1"),
        ({"crop": {"shift_s": [2, 1]}}, r"crop: shift_s: \[2, 1\] is not a range of seconds"),
        ({"crop": {"shift_s": []}}, r"crop: shift_s: \[\] is not a range of seconds"),
        ({"crop": {"longest_s": 600}}, "crop: longest_s: 600 is outside 0..90"),
    ],
)
def test_a_wrong_key_is_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as error:
        parse_recipe({**S5, **change}, where="s5.yaml")
    assert "\n" not in str(error.value)


def test_keys_that_change_nothing_leave_a_checkpoint_its_recipe() -> None:
    plain = {**S5, "objective": {"kind": "focal"}, "pseudo": None}
    neutral = {
        "head_rate": 1.0,
        "crop": None,
        "objective": {"kind": "focal", "secondary": 0.0},
        "augment": {"animals_share": 0.0},
    }
    assert (
        parse_recipe(plain, where="").digest == parse_recipe({**plain, **neutral}, where="").digest
    )
    # as it was before there were such keys
    assert (
        parse_recipe(plain, where="").digest
        == "33caa629ca4910bc7d8df1f3ba8a8bbd2eb058c251d96681eb89019249d857c5"
    )
    changes: list[dict[str, Any]] = [
        {"head_rate": 2},
        {"crop": {}},
        {"objective": {"kind": "focal", "secondary": 0.9}},
    ]
    for change in changes:
        assert (
            parse_recipe({**plain, **change}, where="").digest
            != parse_recipe(plain, where="").digest
        )


def test_the_recipes_of_the_stages_follow_each_other() -> None:
    train, segment, shift = (
        load_recipe(RECIPES / f"s5-{name}.yaml") for name in ("segmentation", "segment", "shift")
    )
    assert (
        train.pseudo,
        train.head_rate,
        train.augment.mixup_alpha,
        train.augment.coloured_share,
    ) == (
        None,
        10,
        4.5,
        0.5,
    )
    assert shift.learning_rate == segment.learning_rate / 2 == train.learning_rate / 2
    assert train.network == segment.network == shift.network
    assert shift.augment.animals_share > 0
    assert not train.augment.noise_share
    assert not segment.augment.noise_share
    assert shift.augment.noise_share > 0
    assert load_recipe(RECIPES / "s5-classification.yaml").crop == CropSpec()
