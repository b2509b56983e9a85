from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.errors import UserError
from train.corpus.corpus import read_corpus
from train.corpus.prepare import prepare
from train.corpus.readers import SPECIES, read_listing, read_species_names
from train.corpus.splits import group_of

RATE = 8000


def sing(path: Path, *, seed: int, seconds: float = 0.5, gain: float = 0.1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = gain * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    soundfile.write(path, samples, RATE, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def manifest(folder: Path, rows: list[dict[str, str]]) -> Path:
    columns = dict.fromkeys(key for row in rows for key in row)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Two species of three recordists, two unknown species, rain, and a manifest of all of them."""
    rows = []
    for s in range(2):
        for i in range(6):
            path = sing(tmp_path / "audio" / f"bird{s}_{i}.wav", seed=10 * s + i)
            rows.append(
                {
                    "path": f"audio/{path.name}",
                    "role": "known",
                    "label": f"bird_{s}",
                    "recordist": f"Person {s}{i // 2}",
                }
            )
    for seed, (kind, label) in enumerate(
        [("unknown", "owl"), ("unknown", "crow"), ("noise", "rain")]
    ):
        sing(tmp_path / "audio" / f"{label}.flac", seed=100 + seed)
        rows.append({"path": f"audio/{label}.flac", "role": kind, "label": label, "recordist": ""})
    manifest(tmp_path, rows)
    return tmp_path


def broken(folder: Path) -> dict[str, str]:
    """Files that cannot be used, and what must be said of each."""
    audio = folder / "audio"
    (audio / "empty.wav").touch()
    (audio / "text.wav").write_text("this is no audio")
    soundfile.write(
        audio / "nan.wav", np.r_[np.zeros(4000), np.nan, np.ones(10)], RATE, subtype="FLOAT"
    )
    soundfile.write(audio / "inf.wav", np.r_[np.zeros(4000), np.inf], RATE, subtype="FLOAT")
    sing(audio / "silent.wav", seed=1, gain=1e-6)
    sing(audio / "short.wav", seed=2, seconds=0.05)
    soundfile.write(audio / "headeronly.wav", np.zeros(0), RATE)
    (audio / "twin.wav").write_bytes((audio / "bird0_0.wav").read_bytes())
    return {
        "empty.wav": "empty",
        "text.wav": "unreadable",
        "nan.wav": "NaN",
        "inf.wav": "NaN or infinite",
        "silent.wav": "silent",
        "short.wav": "too short",
        "headeronly.wav": "empty",
        "twin.wav": "duplicate (same content as bird0_0.wav",
        "absent.wav": "missing",
    }


def test_a_prepared_corpus_reads_back_and_says_what_was_found(
    collection: Path, tmp_path: Path
) -> None:
    prepared = prepare(collection, tmp_path / "prepared")
    corpus = read_corpus(tmp_path / "prepared")
    assert corpus == prepared.corpus
    assert [label.label for label in corpus.labels] == ["bird_0", "bird_1"]
    assert len(corpus.recordings) == 15
    assert all(
        r.path.is_file() and len(r.sha256) == 64 and r.seconds == 0.5 for r in corpus.recordings
    )
    summary = (tmp_path / "prepared" / "summary.md").read_text()
    assert "| known | 2 | 12 | 0.1 | 6 |" in summary
    assert (tmp_path / "prepared" / "quarantine.csv").read_text() == "path,role,label,reason\n"
    assert not [p for p in (tmp_path / "prepared").iterdir() if p.name.startswith(".")]


def test_broken_files_go_to_quarantine_with_the_reason_and_the_run_goes_on(
    collection: Path, tmp_path: Path
) -> None:
    reasons = broken(collection)
    with (collection / "manifest.csv").open("a") as file:
        file.writelines(f"audio/{name},known,bird_0,Someone Else\n" for name in reasons)
    prepared = prepare(collection, tmp_path / "prepared")
    with (tmp_path / "prepared" / "quarantine.csv").open() as file:
        found = {Path(row["path"]).name: row["reason"] for row in csv.DictReader(file)}
    assert found.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert found[name].startswith(reason), name
        assert "\n" not in found[name]
    assert len(prepared.corpus.recordings) == 15
    assert "missing: 1" in prepared.summary


def test_a_file_cut_short_is_found_where_its_header_tells(tmp_path: Path) -> None:
    from train.corpus.quality import check_file

    whole = sing(tmp_path / "whole.flac", seed=3, seconds=4).read_bytes()
    (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
    assert check_file(tmp_path / "whole.flac").fault == ""
    assert check_file(tmp_path / "cut.flac").fault.startswith(("truncated", "unreadable"))


def test_the_audio_may_be_moved_and_the_digest_names_what_may_be_trained_on(
    collection: Path, tmp_path: Path
) -> None:
    prepare(collection, tmp_path / "prepared")
    digest = read_corpus(tmp_path / "prepared").digest
    described = tmp_path / "prepared" / "corpus.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "root": "/elsewhere"}))
    corpus = read_corpus(tmp_path / "prepared")
    assert corpus.recordings[0].path == Path("/elsewhere/audio/bird0_0.wav")
    assert corpus.digest == digest
    table = tmp_path / "prepared" / "recordings.csv"
    table.write_text(table.read_text().replace(corpus.of(split="dev")[0].sha256, "0" * 64))
    with pytest.raises(UserError, match="edited"):
        read_corpus(tmp_path / "prepared")


def test_a_folder_that_was_not_prepared_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="edge-train prepare"):
        read_corpus(tmp_path)


def test_a_folder_per_class(tmp_path: Path) -> None:
    for i, folder in enumerate(
        ["Great Tit", "great_owl", "noise/rain", "noise", "unknown/Crow", "background"]
    ):
        sing(tmp_path / folder / f"{i}.wav", seed=i)
    (tmp_path / "Great Tit" / "notes.txt").write_text("not audio")
    listing = read_listing(tmp_path)
    assert listing.layout == "folders"
    found = {(r.role, r.label) for r in listing.recordings}
    assert found == {
        ("known", "great_tit"),
        ("known", "great_owl"),
        ("noise", "rain"),
        ("noise", "noise"),
        ("unknown", "crow"),
        ("background", "background"),
    }
    tit = next(r for r in listing.recordings if r.label == "great_tit")
    assert tit.scientific_name == "Parus major"


@pytest.mark.parametrize("year", [2021, 2024])
def test_birdclefs_layout(year: int, tmp_path: Path) -> None:
    audio = "train_short_audio" if year == 2021 else "train_audio"
    sing(tmp_path / audio / "norrav" / "XC1.ogg", seed=1)
    name = "XC1.ogg" if year == 2021 else "norrav/XC1.ogg"
    header = (
        "primary_label,secondary_labels,common_name,scientific_name,author,filename,license,url"
    )
    row = (
        f"norrav,\"['comrav', 'x']\",Common Raven,Corvus corax,Jo Doe,{name},CC "
        "BY,https://xeno-canto.org/1"
    )
    (tmp_path / "train_metadata.csv").write_text(f"{header}\n{row}\n")
    for source in (tmp_path, tmp_path / "train_metadata.csv"):
        listing = read_listing(source)
        assert listing.layout == "birdclef"
        (only,) = listing.recordings
        assert only.path.is_file()
        assert (only.label, only.common_name, only.scientific_name, only.recordist) == (
            "norrav", "Common Raven", "Corvus corax", "Jo Doe",
        )  # fmt: skip
        assert (only.recording, only.licence, only.role) == ("XC1", "CC BY", "known")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"path": "a.wav"}], "column 'label' is missing"),
        ([{"path": "a.wav", "label": ""}], "line 2: 'label' is empty"),
        ([{"path": "a.wav", "label": "x", "role": "knwon"}], "role 'knwon' is none of known"),
        ([{"path": "../a.wav", "label": "x"}], "outside"),
        ([{"path": "a.wav", "label": "x"}], "no known species"),
        (
            [{"path": "a.wav", "label": "x"}, {"path": "b.wav", "label": "x", "role": "unknown"}],
            "both as a known and as an unknown",
        ),
    ],
)
def test_what_is_wrong_with_a_manifest_is_one_line(
    rows: list[dict[str, str]], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said) as error:
        prepare(manifest(tmp_path, rows), tmp_path / "prepared")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "prepared").exists()


def test_one_species_only_is_refused(collection: Path, tmp_path: Path) -> None:
    kept = [
        line
        for line in (collection / "manifest.csv").read_text().splitlines()
        if "bird_1" not in line
    ]
    (collection / "manifest.csv").write_text("\n".join(kept))
    with pytest.raises(UserError, match=r"only one known species \('bird_0'\)"):
        prepare(collection, tmp_path / "prepared")


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        prepare(tmp_path / "nothing", tmp_path / "prepared")
    with pytest.raises(UserError, match="lists no recordings"):
        prepare(tmp_path, tmp_path / "prepared")


@pytest.mark.data
def test_the_real_manifest_splits_by_the_laws(recordings: Path) -> None:
    from train.corpus.splits import SplitPlan, split_recordings, unsplittable

    listed = read_listing(recordings).recordings
    assert Counter(r.role for r in listed) == {
        "known": 588,
        "unknown": 206,
        "noise": 428,
        "background": 96,
    }
    known = {r.label for r in listed if r.role == "known"}
    names = read_species_names(SPECIES)
    assert known == names.keys()
    assert all(
        r.scientific_name and r.common_name[0].isupper() for r in listed if r.role == "known"
    )
    split = split_recordings(listed, SplitPlan())
    places: dict[str, set[tuple[str, int]]] = {}
    for r in split:
        if r.split != "unused":
            places.setdefault(group_of(r), set()).add((r.split, r.fold))
    assert all(len(p) == 1 for p in places.values())
    assert {r.label for r in split if r.role == "known" and r.fold > 0} == known
    assert len({r.label for r in split if r.role == "known" and r.split == "test"}) >= 55
    assert sum(r.split == "unused" for r in split) <= 20
    assert len(unsplittable(split)) <= 25


@pytest.mark.data
def test_a_few_real_files_are_sound(recordings: Path) -> None:
    from train.corpus.quality import check_files

    listed = [r.path for r in read_listing(recordings).recordings[::100]]
    checked = list(check_files(listed, workers=2))
    assert [c.path for c in checked] == listed
    assert all(c.fault == "" and c.seconds > 0 for c in checked)
