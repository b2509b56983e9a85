"""Species listed by any of their names mean their labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from edge.bundle import Bundle, Label
from edge.cli import main
from edge.config.config import load_config
from edge.detect.species_list import parse_species
from edge.detect.species_names import resolve_species
from edge.errors import ConfigError
from edge.recorder.plan import make_plan
from tests.support.daemons import write_config

KNOWN = (
    Label(label="little_owl", common_name="Little Owl", scientific_name="Athene noctua"),
    Label(label="toad", common_name="American Toad", scientific_name="Anaxyrus americanus"),
    Label(label="toad_west", common_name="Toad", scientific_name="Anaxyrus boreas"),
    Label(label="wren_a", common_name="Wren", scientific_name="Troglodytes troglodytes"),
    Label(label="wren_b", common_name="wren", scientific_name=""),
    Label(label="willies", common_name="Wilson's Snipe", scientific_name="Gallinago delicata"),
)


def resolved(value: object) -> tuple[tuple[str, tuple[int, ...]], ...]:
    species = resolve_species(parse_species(value), KNOWN, key="--species")
    assert species is not None
    return species.months


def test_a_list_of_species_leaves_out_no_engine_and_no_people() -> None:
    known = (
        *KNOWN,
        Label(label="engine", common_name="Engine", kind="machine"),
        Label(label="human_vocal", common_name="Human vocal", kind="human"),
    )
    all_year = tuple(range(1, 13))
    species = resolve_species(
        parse_species({"toad": [3], "engine": [1, 2]}), known, key="site.species"
    )
    assert species is not None
    assert species.months == (("engine", (1, 2)), ("human_vocal", all_year), ("toad", (3,)))


@pytest.mark.parametrize(
    "name",
    [
        *("little_owl", "Little Owl", "LITTLE-OWL", " little  owl", "Athene noctua"),
        *("athene_noctua", "ATHENE NOCTUA"),
    ],
)
def test_any_name_of_a_species_is_its_label(name: str) -> None:
    assert resolved([name]) == resolved(["little_owl"])
    assert resolved({name: [5, 4]}) == (("little_owl", (4, 5)),)


def test_a_typographic_apostrophe_is_one() -> None:
    assert resolved(["wilson\u2019s snipe"]) == resolved(["willies"])


def test_a_label_means_its_own_species_even_where_it_is_anothers_name() -> None:
    assert resolved(["toad"])[0][0] == "toad"
    assert resolved(["Anaxyrus boreas", "toad"]) == resolved(["toad", "toad_west"])


def test_a_list_of_labels_stays_as_it_is() -> None:
    species = parse_species({"toad": [3], "little_owl": None})
    assert resolve_species(species, KNOWN, key="--species") == species
    assert resolve_species(None, KNOWN, key="--species") is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["Wren"],
            "--species: 'Wren' is the name of wren_a and wren_b (list the label that is meant)",
        ),
        (
            ["Toad"],
            "--species: 'Toad' is the name of toad and toad_west (list the label that is meant)",
        ),
        (
            ["Athene noctua", "Little Owl"],
            "--species: 'Athene noctua' and 'Little Owl' are both little_owl (list one of them)",
        ),
        (
            ["Litle Owl", "Anaxyrus americanos", "zzz"],
            "--species: the bundle has no label 'Anaxyrus americanos' (did you mean toad?), 'Litle "
            "Owl' (did you mean little_owl?), 'zzz' (`edge info` lists its labels)",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(names: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(names)
    assert str(caught.value) == message


def test_a_recorder_and_a_replay_have_the_digest_of_the_labels(
    bundle: Bundle, recording: str, tmp_path: Path
) -> None:
    by_name, by_label = ["Low Hummer", "Sibilus medius"], ["low_hummer", "mid_whistler"]

    def replayed(species: list[str]) -> str:
        file = tmp_path / "species.yaml"
        file.write_text(yaml.safe_dump(species))
        command = ["replay", recording, "--bundle", str(bundle.path), "--species", str(file)]
        result = CliRunner().invoke(main, [*command, "--format", "jsonl"])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert replayed(by_name) == replayed(by_label) != ""
    named, labelled = (
        make_plan(load_config(write_config(tmp_path, bundle.path, site={"species": names})))
        for names in (by_name, by_label)
    )
    assert named.provenance == labelled.provenance
    assert named.config.site == labelled.config.site
    assert labelled.provenance.config == labelled.config.digest
