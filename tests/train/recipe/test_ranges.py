"""Every number of a recipe has a range, and nothing outside it passes."""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import pytest

from edge.bundle.spec import from_mapping
from edge.errors import SpecError
from tests.train.tiny import TINY, TRIPLET
from train.networks import KINDS as NETWORKS
from train.networks.compact import CompactCnn
from train.networks.local import LocalCnn
from train.networks.mobilenet import ReducedMobileNet
from train.networks.mscnn import MsCnn
from train.networks.segmentation import Segmentation
from train.networks.soundception import Soundception
from train.networks.sparse import SparseDictionary
from train.networks.spherical import SphericalKMeans
from train.networks.transfer import Transfer
from train.networks.triplet_cnn import TripletCnn
from train.recipe.load import KINDS, SECTIONS, parse_recipe
from train.recipe.options import OPTIONS
from train.recipe.ranges import Range, check_ranges, ranges_of
from train.recipe.recipe import Recipe
from train.recipe.sections import StageSpec

SPECS = (Recipe, StageSpec, *SECTIONS.values(), *(c for kinds in KINDS.values() for c in kinds))
NUMBERS = [
    pytest.param(cls, name, id=f"{cls.__name__}.{name}") for cls in SPECS for name in ranges_of(cls)
]
# What a spec cannot be made without, and what goes with a section of a recipe.
NEEDED: dict[type[Any], dict[str, Any]] = {
    Recipe: TINY,
    StageSpec: {"layers": "top", "steps": 60},
}
BY_KIND: dict[str, type[Any]] = {
    **{"mscnn": MsCnn, "compact": CompactCnn, "cnn1": TripletCnn, "cnn2": TripletCnn},
    **{"spherical_kmeans": SphericalKMeans, "sparse_dictionary": SparseDictionary},
    **{"local": LocalCnn, "mobilenet": ReducedMobileNet, "soundception": Soundception},
    **dict.fromkeys(("resnet18", "resnest50", "efficientnet_lite0"), Transfer),
    "segmentation": Segmentation,
}


def outside(allowed: Range) -> list[float]:
    most = 10 * max(abs(allowed.low), abs(allowed.high), 1)
    ends = [allowed.low] * allowed.open_low + [allowed.high] * allowed.open_high
    return [-most, most, math.nan, math.inf, -math.inf, *ends]


def refusal(cls: type[Any], name: str, value: object) -> str:
    values = {**NEEDED.get(cls, {}), name: value}
    parse = parse_recipe if cls is Recipe else partial(from_mapping, cls)
    with pytest.raises(SpecError) as caught:
        parse(values, where="tiny.yaml")
    return str(caught.value)


@pytest.mark.parametrize(("cls", "name"), NUMBERS)
def test_a_number_outside_its_range_is_refused_by_name(cls: type[Any], name: str) -> None:
    ranges = ranges_of(cls)[name]
    count = ranges.count or 2
    is_list = ranges.count != 1
    is_whole = int in _kinds(typing.get_type_hints(cls)[name])
    for number in outside(ranges.ranges[0]):
        value = int(number) if is_whole and math.isfinite(number) else number
        said = refusal(cls, name, (value,) * count if is_list else value)
        assert f"{name}: " in said
        assert "\n" not in said
    if is_list and ranges.count:
        assert f"{name}: [1]: must be 2 numbers" in refusal(cls, name, (1,))


@dataclass(frozen=True)
class Forgotten:
    there: Annotated[int, Range(0, 1)] = 0
    left_out: float | None = None


def _kinds(hint: Any) -> list[Any]:
    return [hint, *(kind for part in typing.get_args(hint) for kind in _kinds(part))]


def test_a_number_without_a_range_is_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError, match="has no range: declare one"):
        check_ranges(Forgotten())


@pytest.mark.parametrize("kind", NETWORKS)
def test_options_are_those_of_the_network_itself(kind: str) -> None:
    assert set(NETWORKS) == set(OPTIONS)
    taken = {
        name: parameter.default
        for name, parameter in inspect.signature(BY_KIND[kind]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "backbone"
    }
    assert {f.name: f.default for f in dataclasses.fields(OPTIONS[kind])} == taken
    assert ranges_of(OPTIONS[kind])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "mscnn", "options": {"width": 0}}, "options: width: 0 is outside 2..65536"),
        ({"kind": "compact", "options": {"dropout": 5}}, "options: dropout: 5 is outside 0..1"),
        ({"kind": "compact", "options": {"dropout": math.nan}}, "options: dropout: nan is outside"),
        ({"kind": "compact", "options": {"width": "x"}}, "width: must be a whole number, not 'x'"),
        ({"kind": "compact", "options": {"wide": 3}}, "options: unknown key 'wide' (known: width,"),
        (
            {"kind": "soundception", "options": {"blocks": [1, 9, 1]}},
            "options: blocks: 9 is outside 0..7",
        ),
        ({"kind": "soundception", "options": {"blocks": [1, 2]}}, "[1, 2]: must be 3 numbers"),
        ({"kind": "segmentation", "options": {"width": 9}}, "9 is not a multiple of heads 8"),
        (
            {"kind": "resnet18", "options": {"size": {"channels": [8, -8]}}},
            "options: size: channels: -8 is outside 1..65536",
        ),
        ({"kind": "alexnet"}, "kind: 'alexnet' is none of mscnn, compact"),
    ],
)
def test_an_option_of_a_network_is_checked_with_the_recipe(
    change: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError) as caught:
        parse_recipe({**TINY, "network": change}, where="tiny.yaml")
    assert str(caught.value).startswith("tiny.yaml: network: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objective": {"kind": "triplet", "margin": 0.9}}, "margin: 0.9 is above margin_maximum"),
        ({"objective": {"kind": "triplet", "margin_maximum": 0.1}}, "0.2 is above margin_maximum"),
        ({"objective": {"kind": "triplet", "per_class": 1}}, "per_class: 1 is outside 2.."),
        ({"steps": 0}, "steps: must be at least 1, not 0"),
        ({"seed": 99999999999999999999999}, "seed: 99999999999999999999999 is outside 0.."),
        ({"learning_rate": 0}, "learning_rate: must be above 0, not 0"),
        ({"learning_rate": "1e12"}, "must be a number, not '1e12'; write 1.0e+12"),
        ({"learning_rate": "much"}, "learning_rate: must be a number, not 'much'"),
        ({"augment": {"animals_snr_db": [5, 1]}}, "5 to 1 dB: the lower number must come first"),
        *(
            ({"name": name}, "cannot name a recipe: use 1 to 100 characters of one line")
            for name in ("", "  ", "two\nlines", "../up", "..", "x" * 101)
        ),
    ],
)
def test_what_cannot_be_trained_is_one_line(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_recipe({**TRIPLET, **change}, where="tiny.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
