"""What could not be a label of a bundle is refused before anything is learnt from it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from edge.errors import UserError
from tests.support.audio import noise, write_audio
from train.corpus.readers import read_listing


@pytest.mark.parametrize("label", ["Great_tit", "great tit", "../x", "a" * 81, "great-tit"])
def test_a_manifest_names_labels(tmp_path: Path, label: str) -> None:
    table = tmp_path / "manifest.csv"
    table.write_text(f"path,role,label\na.wav,known,great_tit\nb.wav,known,{label}\n", "utf-8")
    with pytest.raises(UserError, match=r"manifest\.csv: the label"):
        read_listing(tmp_path)
    # Nothing is called by the label of what is not to be known.
    table.write_text(f"path,role,label\na.wav,known,great_tit\nb.wav,unknown,{label}\n", "utf-8")
    assert len(read_listing(tmp_path).recordings) == 2


def test_a_folder_in_two_characters_for_one_is_a_label(tmp_path: Path) -> None:
    """As some file systems keep a name."""
    folder = tmp_path / unicodedata.normalize("NFD", "Mönchsgrasmücke")
    folder.mkdir()
    write_audio(folder / "a.wav", noise(1))
    (recording,) = read_listing(tmp_path).recordings
    assert recording.label == "mönchsgrasmücke"
