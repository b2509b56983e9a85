"""`edge notify` as people start it: its options, its secrets, and `kill -9` at any moment."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge.cli import main
from edge.notify.notebook import opened
from tests.support.heard import SPECIES
from tests.support.telling import FarEnd, far_end, place_at, record, services_file

ROOT = Path(__file__).resolve().parents[3]
SECRETS = ("s3cret", "t0ken", "somebody")


@pytest.fixture
def far() -> Iterator[FarEnd]:
    with far_end() as state:
        yield state


def edge(folder: Path, *arguments: str) -> Result:
    """Run the command in this process."""
    environ = {"STATE_DIRECTORY": str(folder), "CREDENTIALS_DIRECTORY": None}
    command = ["notify", "--config", str(folder / "edge.yaml"), *arguments]
    return CliRunner(env=environ).invoke(main, command)


def test_a_test_says_of_each_service_what_happened(tmp_path: Path, far: FarEnd) -> None:
    with far_end() as away:
        away.manner = "refuses"
        file = services_file(tmp_path, far.url, away.url, "json://127.0.0.1:9/t0ken")
        place_at(tmp_path, services_file=str(file))
        done = edge(tmp_path, "--test")
    assert done.stdout.splitlines() == [
        "service 1 (json): sent",
        "service 2 (json): not sent: the service answered 500",
        "service 3 (json): not sent: no answer, or refused; are address, network and password "
        "right?",
    ]
    assert done.exit_code == 1
    assert far.titles == ["Test from Mill pond"]
    assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]


@pytest.mark.parametrize(
    ("text", "mode", "reason"),
    [
        ("json://somebody:s3cret@host/t0ken", 0o644, "others may read it (chmod 600 "),
        ("json://host\nt0ken-and-no-url s3cret", 0o600, "service 2 is none that apprise knows"),
        ("s3cret://somebody:t0ken@host", 0o600, "service 1 (s3cret) is none that apprise knows"),
        ("# nothing", 0o600, "has 0 services, and 1 to 20 are possible"),
        ("\udcff", 0o600, "is not UTF-8 text"),
    ],
)
def test_services_that_cannot_be_used_are_one_line_without_a_secret(
    tmp_path: Path, text: str, mode: int, reason: str
) -> None:
    file = tmp_path / "services"
    file.write_text(text, errors="surrogateescape")
    file.chmod(mode)
    place_at(tmp_path, services_file=str(file))
    done = edge(tmp_path)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: notify.services_file = ")
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    said = done.stderr.replace("(s3cret)", "").replace("chmod", "")
    assert not [secret for secret in SECRETS if secret in said]


def test_without_a_file_of_services_it_says_what_to_do(tmp_path: Path) -> None:
    place_at(tmp_path)
    done = edge(tmp_path)
    assert (done.exit_code, done.stderr) == (
        2,
        "error: notify.services_file = null: names no file (one URL of apprise in a line, see "
        "docs/recorder.md)\n",
    )


def test_a_dry_run_says_what_would_have_been_told(tmp_path: Path) -> None:
    place_at(tmp_path, species=["Little Owl"], quiet="22:00-07:00")
    begin = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)
    heard = [(begin + timedelta(hours=n), "little_owl", 0.95) for n in (0, 0.5, 2, 14)]
    record(tmp_path, [*heard, (begin, "great_tit", 0.5), (begin, None, 0.9)])
    done = edge(tmp_path, "--dry-run", "--since", "2026-05-01")
    assert done.stdout.splitlines() == [
        "2026-05-01 12:00  Little Owl: first ever at Mill pond",
        "2026-05-01 14:00  Little Owl: heard at Mill pond",
        "2026-05-02 07:00  Little Owl: heard at Mill pond",
        "3 messages of 6 events; 1 came too soon after another, 0 were too many for a day; faults "
        "are not rehearsed",
    ]
    assert not (tmp_path / "notify").exists()


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.support.telling_process", str(folder / "edge.yaml")]
    environ = {**os.environ, "STATE_DIRECTORY": str(folder)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environ, stderr=subprocess.DEVNULL, start_new_session=True
    )


def has_begun(told: Path) -> bool:
    """Whether it has looked into the store: what comes from now on is told."""
    try:
        with closing(sqlite3.connect(f"{told.as_uri()}?mode=ro", uri=True)) as db:
            return bool(db.execute("SELECT 1 FROM facts WHERE name = 'begun_utc'").fetchall())
    except sqlite3.Error:
        return False


def until(done: Callable[[], object], seconds: float = 40) -> None:
    end_s = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_killed_at_any_moment_it_tells_everything_once(tmp_path: Path, far: FarEnd) -> None:
    file = services_file(tmp_path, far.url)
    place = place_at(
        tmp_path, services_file=str(file), species=list(SPECIES), disk_free_mb=0.0, recorder=False
    )
    dice = random.Random(4)
    far.delay_s = 0.2
    process = start(tmp_path)
    until(lambda: has_begun(place.told))
    now = datetime.now(timezone.utc)
    for number, label in enumerate(SPECIES):
        record(tmp_path, [(now + timedelta(seconds=number), label, 0.99)], first=number)
        time.sleep(dice.uniform(0, 1.5))
        process.kill()
        process.wait()
        process = start(tmp_path)
    until(lambda: len(far.taken) >= len(SPECIES))
    time.sleep(1.0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    expected = {f"{common}: first ever at Mill pond": 1 for common, _, _ in SPECIES.values()}
    assert Counter(far.titles) == expected
    with opened(place.told) as book:
        assert book.counts()["sent"] == len(SPECIES)


def test_one_at_a_time_tells(tmp_path: Path, far: FarEnd) -> None:
    file = services_file(tmp_path, far.url)
    place = place_at(tmp_path, services_file=str(file))
    process = start(tmp_path)
    try:
        until(lambda: has_begun(place.told))
        done = edge(tmp_path)
    finally:
        process.kill()
        process.wait()
    assert done.exit_code == 1
    assert f"notify.db: is in use by the process {process.pid}" in done.stderr


def test_nothing_secret_stands_in_the_database_or_in_the_arguments(
    tmp_path: Path, far: FarEnd
) -> None:
    file = services_file(tmp_path, far.url)
    place = place_at(tmp_path, services_file=str(file))
    far.delay_s = 3
    process = start(tmp_path)
    try:
        until(lambda: has_begun(place.told))
        record(tmp_path, [(datetime.now(timezone.utc), "little_owl", 0.99)])
        until(lambda: far.asked)
        arguments = b"".join(path.read_bytes() for path in _command_lines())
        assert b"edge.notify.courier" in arguments
        content = b"".join(path.read_bytes() for path in (tmp_path / "notify").iterdir())
        for secret in SECRETS:
            assert secret.encode() not in arguments + content
    finally:
        process.kill()
        process.wait()
    until(lambda: far.taken)
    assert json.dumps(far.taken).count("first ever") == 2


def _command_lines() -> Iterator[Path]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"edge.notify" in path.read_bytes():
                yield path
        except OSError:
            continue
