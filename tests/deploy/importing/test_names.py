"""Names in other languages: from a table into a bundle, and from there to whoever reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.importing.names import with_names
from edge.bundle import Bundle, load_bundle
from edge.cli import main
from edge.config.config import load_config
from edge.errors import BundleError, ConfigError
from edge.recorder.plan import make_plan
from tests.support.audio import soundscape, write_audio
from tests.support.bundles import LABELS, tiny_bundle
from tests.support.daemons import write_config

TABLE = (
    "scientific_name,de,pt_BR\n"
    "Bombus gravis,Tiefer Brummer,\n"
    "Sibilus medius, Mittlerer Pfeifer ,Assobiador\n"
    "Corvus corax,Kolkrabe,\n"
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "names.csv"
    file.write_text(TABLE, encoding="utf-8-sig")
    return file


@pytest.fixture
def named(table: Path, tmp_path: Path) -> Bundle:
    tiny_bundle(tmp_path / "named", labels=with_names(LABELS, table))
    return load_bundle(tmp_path / "named")


def test_names_are_those_of_the_species_and_stay_in_the_bundle(named: Bundle) -> None:
    hummer, whistler, peeper = named.labels
    assert hummer.names == {"de": "Tiefer Brummer"}
    assert whistler.names == {"de": "Mittlerer Pfeifer", "pt_BR": "Assobiador"}
    assert peeper.names == {}
    assert named.manifest.languages == ("de", "pt_BR")
    assert named.manifest.format_version == 5


def common_names(*arguments: str) -> dict[str, str]:
    result = CliRunner().invoke(main, ["replay", "--format", "jsonl", *arguments])
    assert result.exit_code == 0, result.stderr
    rows = map(json.loads, result.stdout.splitlines())
    return {row["label"]: row["common_name"] for row in rows if row["label"]}


def test_a_replay_names_species_in_a_language(named: Bundle, tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "20240501_053000.wav", soundscape())
    of_this = ("--bundle", str(named.path), recording)
    assert common_names(*of_this) == {label.label: label.common_name for label in LABELS}
    assert common_names("--language", "de", *of_this) == {
        "low_hummer": "Tiefer Brummer",
        "mid_whistler": "Mittlerer Pfeifer",
        "high_peeper": "High Peeper",  # of which the table knows nothing
    }

    def ids(*arguments: str) -> list[str]:
        result = CliRunner().invoke(main, ["replay", "--format", "jsonl", *arguments, *of_this])
        return [json.loads(line)["id"] for line in result.stdout.splitlines()]

    assert ids() == ids("--language", "pt_BR")


def test_a_language_that_is_not_there_is_one_line(named: Bundle, tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "20240501_053000.wav", soundscape())
    arguments = ["replay", "--bundle", str(named.path), "--language", "fr", recording]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: --language: tiny has no names in 'fr'; it has de, pt_BR"
    )
    assert len(result.stderr.splitlines()) == 1


def test_a_recorder_names_species_in_a_language(named: Bundle, tmp_path: Path) -> None:
    def plan(**site: object) -> dict[str, str]:
        config = load_config(write_config(tmp_path, named.path, site=site))
        labels = make_plan(config).provenance.labels
        return {name: label.common_name for name, label in labels.items()}

    assert plan(language="de")["low_hummer"] == "Tiefer Brummer"
    assert plan()["low_hummer"] == "Low Hummer"
    assert plan(language="de", species=["mittlerer pfeifer"])["high_peeper"] == "High Peeper"
    with pytest.raises(ConfigError, match=r"site\.language: tiny has no names in 'fr'"):
        plan(language="fr")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "its first line must be scientific_name"),
        ("de,fr\nX,Y\n", "its first line must be scientific_name"),
        ("scientific_name\nBombus gravis\n", "its first line must be scientific_name"),
        ("scientific_name,de,de\nBombus gravis,a,b\n", "each once"),
        ("scientific_name,German!\nBombus gravis,a\n", "'German!' is no language"),
        (f"scientific_name,de\nBombus gravis,{'x' * 300}\n", "has 300 characters"),
        ("scientific_name,de\nCorvus corax,Kolkrabe\n", "has no name for any of the 3 labels"),
        ('scientific_name,de\n"Bombus gravis,a\n', "is no table of names"),
        (b"scientific_name,de\nBombus gravis,\xff\n", "is no table of names"),
    ],
)
def test_what_is_no_table_of_names_is_one_line(
    text: str | bytes, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "names.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BundleError) as caught:
        with_names(LABELS, file)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert reason in said
    assert "\n" not in said
