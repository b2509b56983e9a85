"""What a bundle expects at a place, and in which week."""

from __future__ import annotations

import csv
import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.bundle import Bundle, load_bundle
from edge.bundle.bundle import OCCURRENCE
from edge.bundle.occurrence import Occurrence, occurrence_of
from edge.cli import main
from edge.clock import Clock
from edge.config.config import load_config
from edge.detect.place import Place, place_species
from edge.detect.seasons import MONTHS, WEEKS, Calendar
from edge.detect.species_list import parse_species
from edge.detect.species_names import resolve_species
from edge.errors import BundleError, ConfigError, SpecError
from edge.recorder.plan import make_plan
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import LABELS, SPEC, banded_bundle
from tests.support.daemons import write_config

PLACE = Place(latitude=47.8, longitude=16.3)
MAY = datetime(2024, 5, 1, tzinfo=timezone.utc)


def model() -> Occurrence:
    """Expect the first label in the north, the second in the south, the third in winter."""
    phases = np.zeros(1, np.float32)
    turns = np.array([np.pi / 360, np.pi / 720, np.pi / 48], np.float32)
    weights = np.array([[20, 0, 0], [-20, 0, 0], [0, 0, -20]], np.float32)
    biases = np.array([-14, 14, 10], np.float32)
    return Occurrence(phases=phases, turns=turns, amplitude=1.0, layers=((weights, biases),))


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("placed") / "bundle"
    return banded_bundle(path, SPEC, {}, occurrence=model())


def test_species_have_their_places_and_weeks(placed: Bundle) -> None:
    north = place_species(placed, PLACE, key="--lat")
    assert north is not None
    hummer, whistler, peeper = (label.label for label in LABELS)
    assert north.expected[hummer] == WEEKS.all
    assert whistler not in north.expected
    south = place_species(placed, Place(latitude=-40, longitude=16.3), key="--lat")
    assert south is not None
    assert south.expected[whistler] == WEEKS.all
    assert hummer not in south.expected
    # Without a scientific name it is no species, and lives nowhere in particular.
    assert north.expected[peeper] == south.expected[peeper] == WEEKS.all
    (first, probability), *_ = north.at(MAY)
    assert (first, probability > 0.9) == (hummer, True)


def test_a_replay_names_what_lives_there(placed: Bundle, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "20240501_053000.wav", soundscape())

    def names(*args: str) -> set[str | None]:
        options = ["replay", "--bundle", str(placed.path), "--format", "jsonl", *args, path]
        result = CliRunner().invoke(main, options)
        assert result.exit_code == 0, result.stderr
        return {json.loads(line)["label"] for line in result.stdout.splitlines()}

    everywhere = names()
    there = names("--lat", "47.8", "--lon", "16.3")
    assert "mid_whistler" in everywhere
    assert "mid_whistler" not in there
    assert there - {None} == everywhere - {None, "mid_whistler"}


def changed(bundle: Bundle, place: Place | None, *names: str) -> set[str]:
    species = resolve_species(parse_species(list(names)), bundle.labels, key="site.species")
    found = place_species(bundle, place, key="site.species", species=species)
    assert found is not None
    assert all(weeks == WEEKS.all for weeks in found.expected.values())
    return set(found.expected)


def test_a_list_with_signs_changes_that_of_the_place(placed: Bundle) -> None:
    assert changed(placed, PLACE, "+Sibilus medius") == {
        *("low_hummer", "mid_whistler", "high_peeper")
    }
    assert changed(placed, PLACE, "-low hummer", "+mid_whistler", "-high_peeper") == {
        "mid_whistler"
    }
    assert changed(placed, PLACE, "mid_whistler") == {"low_hummer", "high_peeper"}
    with pytest.raises(ConfigError, match=r"none is given \(give latitude"):
        changed(placed, None, "+mid_whistler")
    with pytest.raises(ConfigError, match=r"are both low_hummer"):
        changed(placed, PLACE, "+low_hummer", "-Low Hummer")


@pytest.mark.parametrize("value", [["+a", "b"], {"+a": [3]}, {"-a": None}])
def test_signs_are_before_all_or_none_and_without_months(value: object) -> None:
    with pytest.raises(ValueError, match=r"each has one, and no months"):
        parse_species(value)


def test_replay_and_recorder_take_a_list_with_signs(placed: Bundle, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "20240501_053000.wav", soundscape())
    species = tmp_path / "species.yaml"
    species.write_text("- +mid_whistler\n- -low_hummer\n", encoding="utf-8")
    where = ("--lat", "47.8", "--lon", "16.3", "--species", str(species))
    result = run("replay", "--bundle", str(placed.path), "--format", "jsonl", *where, path)
    labels = {json.loads(line)["label"] for line in result.stdout.splitlines()}
    assert labels == {"mid_whistler", "high_peeper", None}
    site = {
        "species": ["+mid_whistler", "-low_hummer"],
        "latitude": PLACE.latitude,
        "longitude": PLACE.longitude,
    }
    plan = make_plan(load_config(write_config(tmp_path, placed.path, site=site)))
    assert plan.place_species is not None
    assert set(plan.place_species.expected) == {"mid_whistler", "high_peeper"}


def test_the_table_of_recordings_says_where_they_were_made(placed: Bundle, tmp_path: Path) -> None:
    path = write_audio(tmp_path / "a.wav", soundscape())
    table = ("replay", "--bundle", str(placed.path), "--format", "recordings", path)
    for where, expected in (
        (("--lat", "47.8", "--lon", "16.3"), ("47.8", "16.3")),
        ((), ("", "")),
    ):
        (row,) = csv.DictReader(run(*table, *where).stdout.splitlines())
        assert (row["latitude"], row["longitude"]) == expected


def run(*args: str) -> Result:
    return CliRunner().invoke(main, list(args))


def test_the_list_of_a_place_is_printed(placed: Bundle) -> None:
    where = ("--bundle", str(placed.path), "--lat", "47.8", "--lon", "16.3")
    result = run("species", *where, "--date", "2026-05-01")
    assert result.exit_code == 0
    assert result.stdout == "0.99  low_hummer  Low Hummer  (Bombus gravis)\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--lat", "47.8"], "--lat and --lon go together"),
        (["--lat", "95", "--lon", "0"], "95.0 is not in the range"),
        (["--lat", "47.8", "--lon", "16.3"], "default does not know what lives where"),
    ],
)
def test_a_place_that_cannot_be_is_one_line(tmp_path: Path, args: list[str], message: str) -> None:
    result = run("replay", *args, write_audio(tmp_path / "a.wav", soundscape()))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


def test_a_bundle_keeps_its_occurrence(placed: Bundle, tmp_path: Path) -> None:
    again = load_bundle(placed.path).occurrence
    assert again is not None
    np.testing.assert_allclose(
        again.probabilities(47.8, 16.3), model().probabilities(47.8, 16.3), atol=1e-2
    )
    assert OCCURRENCE in placed.file_names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer0_weights": np.zeros((3, 4), np.float16)}, "do not fit"),
        ({"layer0_biases": np.full(3, np.nan, np.float16)}, "not of numbers"),
        ({"layer0_biases": np.zeros(3, np.int16)}, "not of numbers"),
        ({"turns": np.zeros(2, np.float32)}, "gives 3 probabilities"),
        ({"further": np.zeros(2, np.float32)}, "not its layers"),
    ],
)
def test_another_network_is_refused(changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        occurrence_of({**model().as_arrays(), **changes}, labels=3)
    with pytest.raises(SpecError, match="there are 4 labels"):
        occurrence_of(model().as_arrays(), labels=4)


def test_an_occurrence_for_other_labels_is_no_bundle(tmp_path: Path) -> None:
    (weights, biases), *_ = model().layers
    short = Occurrence(
        phases=model().phases,
        turns=model().turns,
        amplitude=1.0,
        layers=((weights[:2], biases[:2]),),
    )
    with pytest.raises(BundleError, match=r"occurrence\.npz: gives 2 probabilities"):
        banded_bundle(tmp_path / "bundle", SPEC, {}, occurrence=short)


def test_a_bundle_without_one_says_so(tmp_path: Path) -> None:
    bundle = banded_bundle(tmp_path / "bundle", SPEC, {})
    assert place_species(bundle, None, key="--lat") is None
    with pytest.raises(ConfigError, match="does not know what lives where"):
        place_species(bundle, PLACE, key="--lat")


@pytest.mark.parametrize(
    ("date", "week"),
    [((2024, 1, 1), 1), ((2024, 12, 31), 48), ((2023, 12, 31), 48), ((2024, 5, 1), 16)],
)
def test_weeks_are_48ths_of_a_year(date: tuple[int, int, int], week: int) -> None:
    assert WEEKS.part_of(datetime(*date)) == week


@pytest.mark.parametrize("calendar", [MONTHS, WEEKS])
def test_an_uncertain_clock_may_be_in_several_parts(calendar: Calendar) -> None:
    def parts(uncertainty_s: float) -> frozenset[int]:
        clock = Clock(
            start_utc=datetime(2024, 12, 31, 23, tzinfo=timezone.utc),
            sample_rate_hz=SPEC.sample_rate_hz,
            source="name",
            synced=False,
            uncertainty_s=uncertainty_s,
        )
        return calendar.parts_at(clock, 0)

    assert parts(1.0) == {calendar.parts}
    assert parts(14 * 3600.0) == {calendar.parts, 1}
    assert parts(1e9) == calendar.all
