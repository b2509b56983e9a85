"""The sound of an event is that of its recording, or there is none: never another one."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from flask.testing import FlaskClient
from pyarrow import parquet

from edge.bundle import Bundle
from edge.errors import AudioError, ConfigError
from edge.page.dataset.cuts import LONGEST_S, Cuts
from edge.page.dataset.roots import Roots
from edge.page.pictures import HEIGHT, WIDTH
from edge.store.events import Question, StoredEvent, select
from tests.support.audio import soundscape, write_audio
from tests.support.labs import hear, lab_of, page_over, recorded
from tests.support.pages import seen

HERE = "http://localhost"
RATE_HZ = 8000


def events_of(dataset: Path) -> list[StoredEvent]:
    with lab_of(dataset).index.reading() as db:
        return list(select(db, Question()))


def sound(client: FlaskClient, event: StoredEvent) -> tuple[int, bytes]:
    found = client.get(f"/event/{event.id}/sound", base_url=HERE, buffered=True)
    return found.status_code, found.data


def said(client: FlaskClient, event: StoredEvent) -> str:
    return " ".join(" ".join(seen(client, f"/event/{event.id}").texts).split())


@pytest.fixture
def pond(tmp_path: Path, bundle: Bundle) -> Path:
    """A recording and its dataset, which a test may spoil."""
    recorded(tmp_path / "season" / "20240501_050000.wav")
    hear(bundle, tmp_path / "dataset", tmp_path / "season")
    return tmp_path


def test_it_is_cut_with_a_margin_from_the_recording(dataset: Path, season: Path) -> None:
    client = page_over(dataset, season)
    for event in events_of(dataset):
        status, content = sound(client, event)
        assert status == 200
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32")
        whole, _ = soundfile.read(str(event.payload["source"]), dtype="float32")
        begin = max(0, round((event.payload["start_s"] - 2) * RATE_HZ))
        end = round((event.payload["end_s"] + 2) * RATE_HZ)
        assert rate_hz == RATE_HZ
        expected = whole[begin:end]
        assert len(samples) == len(expected)
        np.testing.assert_allclose(samples, np.clip(expected, -1, 1), atol=1 / 32_000)
        picture = client.get(f"/event/{event.id}/spectrogram.png", base_url=HERE)
        assert picture.data[16:24] == WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big")
        page = seen(client, f"/event/{event.id}")
        box = page.attributes.index(("rect", "class", "event"))
        x = float({n: v for _, n, v in page.attributes[box : box + 3]}["x"])
        start_s = event.payload["start_s"] - begin / RATE_HZ
        assert x == pytest.approx(WIDTH * start_s / (len(samples) / RATE_HZ), abs=0.2)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_what_is_compressed_is_cut_at_the_same_place(
    bundle: Bundle, tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "season"
    folder.mkdir()
    path = write_audio(folder / f"20240501_050000.{suffix}", soundscape(16_000), 16_000)
    hear(bundle, tmp_path / "dataset", folder, pattern=f"*.{suffix}")
    whole, _ = soundfile.read(path, dtype="float32")
    client = page_over(tmp_path / "dataset", folder)
    for event in events_of(tmp_path / "dataset"):
        samples, rate_hz = soundfile.read(io.BytesIO(sound(client, event)[1]), dtype="float32")
        begin = max(0, round((event.payload["start_s"] - 2) * rate_hz))
        expected = np.clip(whole[begin : begin + len(samples)], -1, 1)
        assert rate_hz == 16_000
        np.testing.assert_allclose(samples[: len(expected)], expected, atol=1e-3)


def removed(path: Path) -> None:
    path.unlink()


def touched(path: Path) -> None:
    os.utime(path, (1_000_000_000, 1_000_000_000))


def replaced(path: Path) -> None:
    before = path.stat()
    recorded(path, roll_s=5)  # as long as it was
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * 100)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_out(path: Path) -> None:
    away = path.parent.parent / "away.wav"
    shutil.move(path, away)
    path.symlink_to(away)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (removed, "is not there any more, or cannot be read"),
        (a_folder, "is not there any more, or cannot be read"),
        (a_pipe, "is not there any more, or cannot be read"),
        (touched, "has changed since it was heard"),
        (replaced, "has changed since it was heard"),
        (longer, "has changed since it was heard"),
        (a_link_out, "is in none of the places that may be opened"),
    ],
)
def test_a_recording_that_is_another_one_now_is_a_sentence(
    pond: Path, change: Callable[[Path], None], sentence: str
) -> None:
    event = events_of(pond / "dataset")[0]
    change(pond / "season" / "20240501_050000.wav")
    client = page_over(pond / "dataset", pond / "season")
    assert sentence in said(client, event)
    status, content = sound(client, event)
    assert status == 404
    assert sentence in content.decode()
    assert not list(pond.rglob("clips/*.wav"))


def test_what_was_cut_is_kept_under_the_recording_that_it_is_of(pond: Path, bundle: Bundle) -> None:
    """An event of the old recording is gone with it; one that has its id again is of the new."""
    event = events_of(pond / "dataset")[0]
    client = page_over(pond / "dataset", pond / "season")
    before = sound(client, event)
    replaced(pond / "season" / "20240501_050000.wav")
    assert sound(client, event) == before  # it is what was heard
    hear(bundle, pond / "dataset", pond / "season")
    client = page_over(pond / "dataset", pond / "season")
    assert sound(client, event)[0] == 404
    for other in events_of(pond / "dataset"):
        assert sound(client, other)[1] != before[1]


def test_without_a_named_place_nothing_is_opened(pond: Path) -> None:
    event = events_of(pond / "dataset")[0]
    client = page_over(pond / "dataset")
    assert "no place of recordings was named; start the page with --recordings" in said(
        client, event
    )
    assert sound(client, event)[0] == 404
    assert "sound" not in seen(client, "/").texts  # as a mark of an event
    assert "sound" in seen(page_over(pond / "dataset", pond / "season"), "/").texts


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{season}/../secret.wav",
        "{season}x/secret.wav",
        "file:///etc/passwd",
        "s3://bucket/x::file:///etc/passwd",
        "local://{season}/20240501_050000.wav",
        "season/20240501_050000.wav",
        "{season}/\0.wav",
        "",
    ],
)
def test_a_path_of_a_stranger_opens_nothing_else(pond: Path, path: str) -> None:
    season, dataset = pond / "season", pond / "dataset"
    for folder in (pond, pond / "seasonx"):
        folder.mkdir(exist_ok=True)
        shutil.copy2(season / "20240501_050000.wav", folder / "secret.wav")
    path = path.format(season=season)
    for table in ("files", "detections"):
        for file in (dataset / table).glob("part-*"):
            found = parquet.read_table(file)
            column = pa.array([path] * len(found), pa.string())
            at = found.schema.get_field_index("path")
            parquet.write_table(found.set_column(at, found.schema.field("path"), column), file)
    event = events_of(dataset)[0]
    client = page_over(dataset, season)
    status, content = sound(client, event)
    assert status == 404
    assert "is in none of the places that may be opened" in content.decode()
    assert "is in none of the places" in said(client, event)


def test_places_in_a_store_are_prefixes_of_whole_names() -> None:
    roots = Roots(["s3://season/2024"])
    assert roots.allowed("s3://season/2024/pond/a.wav")
    for path in ("s3://season/20245/a.wav", "s3://season/2024/../x.wav", "S3://season/2024/a.wav"):
        assert not roots.allowed(path)
    with pytest.raises(AudioError):
        roots.opened("s3://season/2024/a.wav::file:///etc/passwd")


@pytest.mark.parametrize("root", ["/nowhere", "s3://", "s3:///", "s3://a/../b", "s3://a::file://b"])
def test_a_place_that_is_none_is_refused(root: str) -> None:
    with pytest.raises(ConfigError, match="--recordings"):
        Roots([root])


def test_cuts_are_bounded(pond: Path) -> None:
    lab = lab_of(pond / "dataset", pond / "season")
    roots = Roots([str(pond / "season")])
    cuts = Cuts(lab.index, roots, pond / "few", most_bytes=200_000)
    sizes = []
    for event in events_of(pond / "dataset"):
        cuts.made(event)
        sizes.append(sum(file.stat().st_size for file in (pond / "few").iterdir()))
    assert max(sizes) <= 200_000
    assert len(list((pond / "few").iterdir())) < len(sizes)


def test_of_an_event_without_end_the_beginning_is_cut(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "season"
    folder.mkdir()
    write_audio(folder / "20240501_050000.wav", np.tile(soundscape(), 8))
    hear(bundle, tmp_path / "dataset", folder)
    cuts = lab_of(tmp_path / "dataset", folder).cuts
    event = events_of(tmp_path / "dataset")[3]
    endless = replace(event, payload={**event.payload, "end_s": 1e6})
    placed = cuts.made(endless)
    assert placed.duration_s == LONGEST_S
    assert (placed.start_s, placed.end_s) == (2.0, LONGEST_S)
