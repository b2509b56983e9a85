"""Labels from a table that a person has made."""

from __future__ import annotations

from pathlib import Path

from deploy.importing.label_table import read_table
from edge.bundle import Label


def read(folder: Path, text: str) -> dict[str, Label]:
    file = folder / "labels.csv"
    file.write_text(text, encoding="utf-8-sig")
    return {label.label: label for label in read_table(file)}


def test_names_become_labels_in_their_order(tmp_path: Path) -> None:
    table = (
        "scientific_name,common_name,ebird_code\n"
        "Turdus merula,Eurasian Blackbird,eurbla\n"
        "Bombina bombina,,\n"
        ",Cassin's Frog,\n"
    )
    labels = read(tmp_path, table)
    assert list(labels) == ["eurasian_blackbird", "bombina_bombina", "cassins_frog"]
    assert labels["bombina_bombina"].common_name == "Bombina bombina"
    assert labels["cassins_frog"].scientific_name == ""
    assert {label.kind for label in labels.values()} == {"animal"}


def test_labels_and_kinds_that_are_given_stay(tmp_path: Path) -> None:
    table = (
        "label,common_name,scientific_name,kind\n"
        "amsel,Eurasian Blackbird,Turdus merula,\n"
        ",Speech,Homo sapiens,human\n"
        ",Engine,,\n"
        ",Engine of a boat,,machine\n"
        ",Human vocal,Human vocal,\n"
    )
    labels = read(tmp_path, table)
    kinds = {label.label: label.kind for label in labels.values()}
    assert kinds == {
        "amsel": "animal",
        "speech": "human",
        "engine": "machine",
        "engine_of_a_boat": "machine",
        "human_vocal": "human",
    }
    assert labels["speech"].scientific_name == "Homo sapiens"
    assert labels["human_vocal"].scientific_name == ""


def test_species_of_the_same_common_name_go_by_their_scientific_ones(tmp_path: Path) -> None:
    table = "common_name,scientific_name\nLark,Alauda una\nLark,Alauda altera\nRook,Corvus x\n"
    assert list(read(tmp_path, table)) == ["alauda_una", "alauda_altera", "rook"]


def test_names_of_any_script_have_labels(tmp_path: Path) -> None:
    table = "common_name,scientific_name\n乌鸫,Turdus mandarinus\nRüppell's Warbler,Curruca r\n"
    labels = read(tmp_path, table)
    assert list(labels) == ["turdus_mandarinus", "ruppells_warbler"]
    assert labels["turdus_mandarinus"].common_name == "乌鸫"
