"""Whatever Hypothesis puts into a bundle: it is taken or refused in one line, and soon."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bundles import tiny_bundle
from tests.support.damage import CHANGES, damaged
from tests.support.strangers import LARGEST_MB, LONGEST_S, Taker, npz, resealed

# `STRANGERS=2000` is the run that docs/evidence.md tells of; it takes half a minute.
STRANGERS = int(os.environ.get("STRANGERS", "200"))

NUMBERS = st.one_of(
    st.sampled_from([0, -1, 1, 2, 3, 7, 255, 10**6, 10**9, 2**31, 2**63, 10**400]),
    st.sampled_from([0.0, -0.0, 1e-320, 1e-9, 0.5, 1.5, 1e9, 1e38, 1e308]),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
)
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "../x", "/x", "a\0", "\ud800", "\x1b[2J", "\u202e", "a" * 70_000, "fp32"]),
    st.sampled_from(["../../../etc/cron.d/x", "model.onnx", "mönchsgrasmücke", "softmax", "knn"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
DEEP = st.integers(1, 900).map(lambda depth: json.loads("[" * depth + "]" * depth))
WIDE = st.integers(1, 30_000).map(lambda count: [0] * count)
SHAPES = st.lists(st.sampled_from([0, 1, 2, 3, 5, 12, 13, 100, 5000]), max_size=3)
TYPES = st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u8", "b1", "U9", "S3", "c16", "M8[s]"])


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    shape = draw(SHAPES.filter(lambda shape: math.prod(shape) <= 10_000_000))
    array = np.zeros(tuple(shape), draw(TYPES))
    if array.dtype.kind == "f" and array.size:
        with np.errstate(over="ignore"):
            array += draw(st.sampled_from([0, 1, -1, 1e-30, 1e30, np.nan, np.inf]))
    return array


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree of JSON."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from spots(inner, (*path, key))


@st.composite
def changed_manifests(draw: st.DrawFn, sound: dict[str, Any]) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(json.dumps(sound))
    chosen = st.sampled_from([spot for spot in spots(sound) if spot])
    # The deepest first, so that each is still where it was.
    for *way, last in sorted(draw(st.sets(chosen, min_size=1, max_size=3)), key=len, reverse=True):
        place: Any = manifest
        for key in way:
            place = place[key]
        match draw(st.sampled_from(["value", "value", "deep", "wide", "gone", "more"])):
            case "value":
                place[last] = draw(VALUES)
            case "deep":
                place[last] = draw(DEEP)
            case "wide":
                place[last] = draw(WIDE)
            case "gone":
                place.pop(last)
            case _ if isinstance(place, dict):
                place[draw(TEXTS)] = draw(VALUES)
    return manifest


@st.composite
def changed_arrays(draw: st.DrawFn, content: bytes) -> bytes:
    with np.load(io.BytesIO(content)) as file:
        found: dict[str, Any] = dict(file)
    names = [*found, "means", "mu", "sigma", "points", "k", "weights", "rules.0.kind", "frames"]
    names += [".".join(["rules.0"] * draw(st.integers(1, 200))) + ".kind"]
    for _ in range(draw(st.integers(1, 4))):
        found[draw(st.sampled_from(names))] = draw(arrays())
    kinds = ["max_logit", "energy", "knn", "gaussian_tail", "gaussian_density", "blend", "x" * 99]
    for name in [name for name in found if name.endswith("kind")]:
        found[name] = np.array(draw(st.sampled_from(kinds)))
    return npz(found)


@st.composite
def strangers(draw: st.DrawFn, sound: Path) -> tuple[dict[str, Any] | None, dict[str, bytes]]:
    """What a stranger changes: the manifest, or some of the files."""
    if draw(st.booleans()):
        manifest = json.loads((sound / "manifest.json").read_text(encoding="utf-8"))
        return draw(changed_manifests(manifest)), {}
    name = draw(st.sampled_from(["head.npz", "golden.npz", "model.onnx", "golden.half.npz"]))
    content = (sound / name).read_bytes()
    if name.endswith(".npz") and draw(st.booleans()):
        return None, {name: draw(changed_arrays(content))}
    return None, {name: damaged(content, draw(CHANGES), 1.0)}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("sound") / "tiny", variant_errors={"half": 0.0}).path


@pytest.fixture(scope="module")
def taker() -> Iterator[Taker]:
    with Taker() as taker:
        yield taker


@settings(
    max_examples=STRANGERS,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(data=st.data())
def test_a_stranger_is_taken_or_refused_in_one_line_and_soon(
    sound: Path, taker: Taker, tmp_path: Path, data: st.DataObject
) -> None:
    manifest, files = data.draw(strangers(sound))
    bundle = tmp_path / "stranger"
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(sound, bundle)

    def change(original: dict[str, Any]) -> None:
        if manifest is not None:
            original.clear()
            original.update(manifest)

    answer = taker.takes(resealed(bundle, change, files))
    assert not answer["trace"]
    assert "\n" not in answer["refused"]
    assert len(answer["refused"]) < 1000
    assert answer["refused"].isprintable()
    assert answer["seconds"] < LONGEST_S
    assert answer["peak_mb"] < LARGEST_MB
