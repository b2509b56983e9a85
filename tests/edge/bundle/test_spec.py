"""The frontend description: round trips, digests, and errors that name the key."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundle.spec import (
    ChannelSpec,
    FixedLevel,
    FloorLevel,
    FrontendSpec,
    Level,
    MaxLevel,
    PcenLevel,
)
from edge.errors import SpecError

LEVELS: tuple[Level, ...] = (
    MaxLevel(),
    FixedLevel(floor_db=-70),
    FloorLevel(above_db=40),
    PcenLevel(gain=0.8),
)

specs = st.builds(
    FrontendSpec,
    sample_rate_hz=st.sampled_from([22_050, 32_000, 48_000]),
    window_s=st.sampled_from([1.0, 3.0, 5.0]),
    n_mels=st.integers(1, 128),
    hpss_kernel=st.integers(0, 40).map(lambda n: 2 * n + 1),
    channels=st.lists(
        st.builds(
            ChannelSpec,
            component=st.sampled_from(["mel", "harmonic", "percussive"]),
            level=st.sampled_from(LEVELS),
        ),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


@given(specs)
def test_a_spec_survives_json(spec: FrontendSpec) -> None:
    again = FrontendSpec.parse(json.loads(json.dumps(spec.as_mapping())))
    assert again == spec
    assert again.digest == spec.digest


@given(specs)
def test_frames_are_centred(spec: FrontendSpec) -> None:
    channels, mels, frames = spec.shape
    assert (channels, mels) == (len(spec.channels), spec.n_mels)
    assert frames == 1 + spec.window_samples // spec.hop_length


def test_the_default_is_the_paper_on_five_seconds() -> None:
    spec = FrontendSpec()
    assert spec.shape == (3, 40, 216)
    assert [c.component for c in spec.channels] == ["mel", "harmonic", "percussive"]


@pytest.mark.parametrize(
    "change",
    [
        {"n_mels": 41},
        {"hop_length": 256},
        {"hpss_power": 1.0},
        {"fmin_hz": 50.0},
        {"window_s": 3.0},
    ],
)
def test_every_value_is_in_both_digests(change: dict[str, Any]) -> None:
    plain, changed = FrontendSpec(), dataclasses.replace(FrontendSpec(), **change)
    assert plain.digest != changed.digest
    assert plain.component_digest != changed.component_digest


def test_levels_are_not_in_the_component_digest() -> None:
    changed = FrontendSpec(
        channels=tuple(dataclasses.replace(c, level=PcenLevel()) for c in FrontendSpec().channels)
    )
    assert changed.digest != FrontendSpec().digest
    assert changed.component_digest == FrontendSpec().component_digest


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sample_rate_hz": 10}, "sample_rate_hz"),
        ({"hop_length": 2048}, "hop_length"),
        ({"window_s": 0.01}, "window_s"),
        ({"fmax_hz": 20_000.0}, "fmax_hz"),
        ({"hpss_kernel": 30}, "hpss_kernel"),
        ({"n_mels": 0}, "n_mels"),
        ({"channels": []}, "channels"),
        ({"n_mel": 40}, "unknown key 'n_mel'"),
        ({"channels": [{"component": "bass", "level": {"kind": "max"}}]}, "component 'bass'"),
        ({"channels": [{"component": "mel"}]}, r"channels\[0\]"),
        (
            {"channels": [{"component": "mel", "level": {"kind": "loud"}}]},
            r"channels\[0\].level.kind: 'loud'",
        ),
        (
            {"channels": [{"component": "mel", "level": {"kind": "max", "depth": 1}}]},
            "unknown key 'depth'",
        ),
    ],
)
def test_an_unusable_spec_is_refused_by_the_name_of_its_key(
    change: dict[str, Any], named: str
) -> None:
    with pytest.raises(SpecError, match=named):
        FrontendSpec.parse({**FrontendSpec().as_mapping(), **change})
