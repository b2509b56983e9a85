"""The commands that look at a recorder, on a store as a recorder makes it."""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest
import soundfile
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from edge.cli import main
from edge.recorder.daemon import Daemon
from edge.store.store import Store
from tests.support.bundles import tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.disk import mounted_read_only
from tests.support.heard import NOW, heard_recorder, record_event

ROOT = Path(__file__).resolve().parents[3]
SINCE = ("--since", "2026-05-02")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard_recorder(tmp_path_factory.mktemp("recorder"))


def edge(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [arguments[0], "--config", str(config), *arguments[1:]])


def lines(config: Path, *arguments: str) -> list[dict[str, object]]:
    done = edge(config, "detections", *arguments, "--format", "jsonl")
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_each_event_once_as_it_ended_in_the_order_of_time(config: Path) -> None:
    events = lines(config, *SINCE)
    assert len({event["id"] for event in events}) == len(events) > 100
    assert {event["state"] for event in events} == {"end"}
    starts = [str(event["start_utc"]) for event in events]
    assert starts == sorted(starts)


def test_time_species_and_unknown_choose(config: Path) -> None:
    everything = lines(config, *SINCE)
    one = lines(config, *SINCE, "--species", "Great Tit")
    assert one == [event for event in everything if event["label"] == "great_tit"]
    unknown = lines(config, *SINCE, "--unknown")
    assert unknown == [event for event in everything if event["label"] is None]
    until_noon = lines(config, *SINCE, "--until", "2026-05-02T12:00:00Z")
    assert until_noon == [e for e in everything if str(e["start_utc"]) < "2026-05-02T12"]
    assert lines(config, "--since", "2026-05-04") == []


def test_what_was_never_heard_and_what_is_no_time_are_refused(config: Path) -> None:
    done = edge(config, "detections", *SINCE, "--species", "Yeti")
    assert done.exit_code == 2
    assert "Yeti" in done.stderr
    assert "never been heard" in done.stderr
    done = edge(config, "detections", "--since", "tomorrowish")
    assert done.exit_code == 2
    assert "--since" in done.stderr


def test_a_table_for_people(config: Path) -> None:
    done = edge(config, "detections", *SINCE, "--local-time")
    assert done.exit_code == 0
    assert "local time" in done.stdout
    assert "Spring Peeper" in done.stdout
    assert "unknown (nearest: little_owl)" in done.stdout


def test_the_formats_that_others_read_name_the_clip_and_the_place_in_it(
    config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.csv"
    edge(config, "detections", *SINCE, "--format", "csv", "--out", str(out))
    rows = list(csv.DictReader(out.read_text("utf-8").splitlines()))
    assert [row["id"] for row in rows] == [event["id"] for event in lines(config, *SINCE)]
    with_clips = [row for row in rows if row["file"].endswith(".flac")]
    assert len(with_clips) == 6
    for row in with_clips:
        assert (float(row["start_s"]), float(row["end_s"])) == (2.0, 5.0)
        assert soundfile.info(row["file"]).duration == pytest.approx(7.0)
    assert {row["probability"] for row in rows if row["label"]} == {"0.8700"}
    assert {row["bundle"] for row in rows} == {"b0" * 32}
    raven = tmp_path / "a.txt"
    edge(config, "detections", *SINCE, "--format", "raven", "--out", str(raven))
    selections = list(csv.DictReader(raven.read_text("utf-8").splitlines(), delimiter="\t"))
    assert [row["Begin Path"] for row in selections] == [row["file"] for row in rows]


def test_parquet_is_read_beside_an_archive(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    done = edge(config, "detections", *SINCE, "--format", "parquet", "--out", str(out))
    assert done.exit_code == 0, done.output
    with duckdb.connect() as db:
        counts = db.execute(f"SELECT label, count(*) FROM '{out}' GROUP BY label").fetchall()
    assert dict(counts).keys() >= {"great_tit", None}
    assert sum(count for _, count in counts) == len(lines(config, *SINCE))


def test_clips_are_listed_and_copied(config: Path, tmp_path: Path) -> None:
    done = edge(config, "clips", *SINCE, "--copy", str(tmp_path / "copies"))
    assert done.exit_code == 0, done.output
    copies = sorted((tmp_path / "copies").rglob("*.flac"))
    assert len(copies) == len(done.stdout.splitlines()) == 6
    assert "events have none" in done.stderr


@pytest.fixture
def store_now(tmp_path: Path) -> tuple[Path, Path]:
    now = datetime.now(timezone.utc)
    return heard_recorder(tmp_path, now=now, days=2, clips=0), tmp_path / "edge.db"


def test_one_screen(store_now: tuple[Path, Path]) -> None:
    done = edge(store_now[0], "status")
    assert done.exit_code == 0, done.output
    fields = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line[0] != " ")
    assert fields["listening"].startswith("since")
    assert fields["microphone"].endswith("dBFS")
    assert fields["clock"] == "set by a time service"
    assert "messages wait" in fields["outbox"]
    assert fields["runs"].startswith("bundle b0b0b0b0b0b0 on onnx/fp32")


def test_a_store_that_is_not_there_or_of_another_version_is_one_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path)
    assert "is not there" in edge(config, "detections").stderr
    with sqlite3.connect(tmp_path / "edge.db") as db:
        db.execute("PRAGMA user_version = 4")
    done = edge(config, "status")
    assert done.exit_code == 1
    assert "start the recorder once" in done.stderr


def test_rows_that_damage_has_made_unreadable_are_passed_over(store_now: tuple[Path, Path]) -> None:
    config, path = store_now
    before = lines(config, "--since", "2d")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        newest = "SELECT max(number) FROM detections"
        db.execute(
            f"UPDATE detections SET payload = CAST(x'7bff' AS TEXT) WHERE number = ({newest})"
        )
    assert lines(config, "--since", "2d") == before[:-1]
    assert edge(config, "status").exit_code == 0


@pytest.mark.mount
@pytest.mark.parametrize("open_elsewhere", [True, False])
def test_a_folder_that_nothing_can_be_written_in_is_read(
    tmp_path: Path, *, open_elsewhere: bool
) -> None:
    real, seen = tmp_path / "real", tmp_path / "seen"
    real.mkdir()
    config = write_config(tmp_path, tmp_path, store={"path": str(seen / "edge.db")})
    # In another process: this one's own connection would share its view of the file.
    command = [sys.executable, "-m", "edge.cli", "detections", "--config", str(config)]
    command += ["--since", "2026-05-01", "--format", "jsonl"]
    with Store(real / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store:
        record_event(store, 1, NOW, "great_tit")
        if not open_elsewhere:
            store.close()
        with mounted_read_only(real, seen):
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["label"] == "great_tit"
        if open_elsewhere:
            record_event(store, 2, NOW + timedelta(minutes=1), "little_owl")


def test_it_reads_while_a_recorder_records(tmp_path: Path, bundle: Bundle) -> None:
    config = write_config(tmp_path, bundle.path)
    recorder = Daemon(config, audio=RealTimeAudio(tone(300, 2)), deliveries=lambda *parts: [])
    with running(recorder):
        until(lambda: "Low Hummer" in edge(config, "detections").stdout)
        until(lambda: "listening   since" in edge(config, "status").stdout)
