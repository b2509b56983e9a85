"""`systemd/edge.service` under a real systemd, in a container that is booted.

The unit is the real one; a drop-in says where Python is, shortens what a test would wait for, and
gives the daemon a sound card that plays a file. Everything else is as shipped: the default model,
the dynamic user, the sandbox, the memory ceiling.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml

from edge import demo
from edge.types import Array
from tests.support.broker import Broker, Subscriber
from tests.support.bundles import SPEC, tiny_bundle, tone
from tests.support.container import ENVIRONMENT, LOOK_S, Container, install
from tests.support.daemons import until

pytestmark = pytest.mark.nspawn

PATIENCE_S = 60.0
WATCHDOG_S = 6
DYNAMIC_USERS = range(61184, 65520)  # of systemd
STATE = "/var/lib/private/edge-monitor"


@cache
def toad() -> Array:
    """What is played over and over; of the demonstration, which takes a second to make."""
    return demo.soundscape()[20 * demo.SAMPLE_RATE_HZ : 34 * demo.SAMPLE_RATE_HZ]


class Recorder:
    """The unit in the container, and the folders that a test changes it with."""

    def __init__(self, container: Container, folder: Path) -> None:
        self.container = container
        self.units = folder / "units"
        self.settings = folder / "settings"
        self.card = folder / "card"

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.container.run("systemctl", *arguments, check=check)

    def reset(self) -> None:
        """Forget everything of an earlier test."""
        for file in ("absent", "frozen"):
            (self.card / file).unlink(missing_ok=True)
        self.kill()
        self.systemctl("reset-failed", "edge", check=False)
        self.container.run("rm", "-rf", STATE)
        shutil.rmtree(self.settings / "credentials", ignore_errors=True)
        self.play(toad(), demo.SAMPLE_RATE_HZ)
        self.configure()
        self.drop_in()

    def play(self, samples: Array, rate_hz: int) -> None:
        soundfile.write(self.card / "sound.wav", samples, rate_hz)

    def with_the_tiny_bundle(self) -> dict[str, object]:
        """Have it hear what the tiny bundle knows, which needs a second of sound, not five.

        Returns what to configure.
        """
        if not (self.settings / "tiny").exists():
            tiny_bundle(self.settings / "tiny")
        self.play(tone(300, 10), SPEC.sample_rate_hz)
        return {"bundle": "/etc/edge-monitor/tiny", "hop_s": 0.5}

    def kill(self) -> None:
        """Kill the recorder, so that it cannot say good-bye."""
        if (process := self.shown("MainPID")) != "0":
            self.container.run("sh", "-c", f"kill -KILL {process}", check=False)
        self.systemctl("stop", "edge")

    def configure(self, **sections: object) -> None:
        quiet: dict[str, object] = {
            "device": {"id": "pond"},
            "clips": {"reserve_mb": 1.0, "format": "wav"},
            "mqtt": {"enabled": False},
            "metrics": {"enabled": False},
        }
        (self.settings / "edge.yaml").write_text(
            yaml.safe_dump({**quiet, **sections}), encoding="utf-8"
        )

    def drop_in(self, *, fake: bool = True, watchdog_s: int = 0) -> None:
        lines = ["[Service]", f"Environment={ENVIRONMENT}"]
        if fake:
            lines += [
                "Environment=OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1",  # as the command does
                "ExecStart=",
                "ExecStart=/opt/edge-monitor/bin/python -m tests.support.recorder_process"
                " --config /etc/edge-monitor/edge.yaml --card /srv/card",
            ]
        if watchdog_s:
            lines += [f"WatchdogSec={watchdog_s}", "RestartSec=100ms"]
        (self.units / "edge.service.d" / "test.conf").write_text(
            "\n".join(lines) + "\n", encoding="utf-8"
        )
        self.systemctl("daemon-reload")

    def start(self) -> None:
        self.mark = self.container.run("date", "+%s.%N").strip()
        self.systemctl("start", "--no-block", "edge")

    def shown(self, name: str) -> str:
        return self.systemctl("show", "edge", f"--property={name}", "--value").strip()

    def active(self) -> bool:
        return self.shown("ActiveState") == "active"

    def journal(self) -> str:
        return self.container.run(
            "journalctl", "--no-pager", "--output=cat", f"--since=@{self.mark}", "--unit=edge"
        )

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for it; a failure shows what the service has said."""
        try:
            until(condition, PATIENCE_S, every_s=LOOK_S)
        except AssertionError:
            pytest.fail(
                "did not happen in time; "
                f"{self.systemctl('status', 'edge', '--no-pager', check=False)}\n{self.journal()}"
            )

    def events(self, tmp_path: Path) -> list[dict[str, Any]]:
        """Return the detections in the store, the oldest first.

        They are read from a copy, so that the service keeps its files to itself.
        """
        copy = tmp_path / "copy.db"
        for suffix in ("-wal", ""):
            source = self.container.path(f"{STATE}/edge.db{suffix}")
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, f"{copy}{suffix}")
        try:
            connection = sqlite3.connect(copy)
            rows = connection.execute("SELECT payload FROM detections ORDER BY number").fetchall()
        except sqlite3.DatabaseError:
            return []  # not yet made, or written while it was copied
        finally:
            connection.close()
        return [json.loads(payload) for (payload,) in rows]


@contextmanager
def booted_recorder(
    root: Path,
    tmp_path_factory: pytest.TempPathFactory,
    *beside: str,
    drop_ins: Mapping[str, str] | None = None,
) -> Iterator[Recorder]:
    """A machine with the recorder's unit and those `beside` it, and further lines for some."""
    folder = tmp_path_factory.mktemp("machine")
    units = ("edge.service", *beside)
    for name in (*(f"units/{unit}.d" for unit in units), "units/multi-user.target.wants"):
        (folder / name).mkdir(parents=True)
    for name in ("settings", "card"):
        (folder / name).mkdir()
    for part in [folder, *folder.parents]:
        if part.is_relative_to(tmp_path_factory.getbasetemp().parent):
            part.chmod(0o755)
    for unit in units:
        shutil.copy(root / "systemd" / unit, folder / "units")
    for unit, lines in (drop_ins or {}).items():
        (folder / "units" / f"{unit}.d" / "test.conf").write_text(lines, encoding="utf-8")
    seen = {
        "/etc/systemd/system": folder / "units",
        "/srv/card": folder / "card",
        **install(folder / "program", root),
    }
    binds = {"/etc/edge-monitor": folder / "settings"}
    with Container(folder, binds=binds, read_only=seen) as container:
        yield Recorder(container, folder)


@pytest.fixture(scope="module")
def booted(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with booted_recorder(root, tmp_path_factory) as recorder:
        yield recorder


@pytest.fixture
def recorder(booted: Recorder) -> Iterator[Recorder]:
    booted.reset()
    yield booted
    booted.kill()


def test_ready_is_when_samples_advance_and_the_sandbox_lets_it_work(
    recorder: Recorder, tmp_path: Path
) -> None:
    assert not (recorder.settings / "credentials").exists()  # a recorder needs none
    (recorder.card / "absent").touch()
    recorder.start()
    recorder.until(lambda: "no audio input on this machine" in recorder.journal())
    assert recorder.shown("ActiveState") == "activating"
    (recorder.card / "absent").unlink()
    recorder.until(recorder.active)
    recorder.until(lambda: recorder.events(tmp_path))
    assert recorder.events(tmp_path)[0]["label"] == "american_toad"
    # Who it is, and what it may see of its state.
    status = recorder.container.path(f"/proc/{recorder.shown('MainPID')}/status").read_text()
    user = int(re.findall(r"^Uid:\s+(\d+)", status, re.MULTILINE)[0])
    state = recorder.container.path(STATE).stat()
    store = recorder.container.path(f"{STATE}/edge.db").stat()
    assert user in DYNAMIC_USERS
    assert (state.st_uid, state.st_mode & 0o777) == (user, 0o700)
    assert (store.st_uid, store.st_mode & 0o777) == (user, 0o600)
    # A card that is plugged in later is there, and of other devices nothing.
    its_own = f"/proc/{recorder.shown('MainPID')}/root"
    look = f"touch /dev/snd/plugged-in-later /dev/another; cd {its_own}; ls dev dev/snd"
    devices = recorder.container.run("sh", "-c", look).split()
    assert {"snd", "plugged-in-later", "urandom"} <= set(devices)
    assert "another" not in devices
    # Whether or not this machine lets a container limit memory: it would not come near the ceiling.
    assert 1024 * int(re.findall(r"^VmHWM:\s+(\d+)", status, re.MULTILINE)[0]) < int(
        recorder.shown("MemoryHigh")
    )
    said = recorder.journal()
    assert not re.search(
        r"Traceback|not permitted|denied|Read-only|cannot cache|[Ww]arning", said
    ), said


def test_the_watchdog_restarts_a_frozen_pipeline(recorder: Recorder, tmp_path: Path) -> None:
    recorder.configure(model=recorder.with_the_tiny_bundle())
    recorder.drop_in(watchdog_s=WATCHDOG_S)
    recorder.start()
    recorder.until(lambda: recorder.events(tmp_path))
    process, before = recorder.shown("MainPID"), recorder.events(tmp_path)
    (recorder.card / "frozen").touch()
    recorder.until(lambda: recorder.shown("NRestarts") == "1")
    (recorder.card / "frozen").unlink()
    recorder.until(recorder.active)
    assert recorder.shown("MainPID") != process
    assert "Watchdog timeout" in recorder.journal()
    # The thread that hung is named, for whoever has to find out why.
    assert re.search(r'recorder_process.py", line \d+ in look', recorder.journal())
    # The same store goes on: what was heard before is still there, once, and the new is new.
    recorder.until(lambda: sum(event["state"] == "new" for event in recorder.events(tmp_path)) == 2)
    after = recorder.events(tmp_path)
    assert after[: len(before)] == before
    ids = [event["id"] for event in after if event["state"] == "new"]
    assert len(ids) == len(set(ids)) == 2
    # What the killed one had open, the next one has ended.
    (ended,) = [event for event in after if "interrupted" in event]
    assert (ended["id"], ended["state"]) == (ids[0], "end")
    assert recorder.shown("NRestarts") == "1"


def test_a_reload_takes_the_new_file_and_refuses_a_bad_one(
    recorder: Recorder, tmp_path: Path
) -> None:
    model = recorder.with_the_tiny_bundle()
    recorder.configure(model=model)
    recorder.start()
    recorder.until(recorder.active)
    process = recorder.shown("MainPID")
    recorder.configure(modle={})
    recorder.systemctl("reload", "edge")
    recorder.until(lambda: "reload refused" in recorder.shown("StatusText"))
    assert "modle: unknown key (did you mean model?)" in recorder.shown("StatusText")
    recorder.configure(model={**model, "hop_s": 1.0})
    recorder.systemctl("reload", "edge")
    recorder.until(lambda: recorder.shown("StatusText").startswith("configuration "))
    digest = recorder.shown("StatusText").removeprefix("configuration ")
    recorder.until(recorder.active)
    recorder.until(
        lambda: any(event["config"].startswith(digest) for event in recorder.events(tmp_path))
    )
    assert (recorder.shown("MainPID"), recorder.shown("NRestarts")) == (process, "0")


@pytest.mark.broker
def test_credentials_open_the_broker_and_a_stop_says_all_in_less_than_5_seconds(
    recorder: Recorder, tmp_path: Path
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "pond", "a secret"], check=True)
    folder = recorder.settings / "credentials"
    folder.mkdir(mode=0o700)
    for name, secret in (("user", "pond\n"), ("password", "a secret\n")):
        (folder / name).write_text(secret, encoding="utf-8")
        (folder / name).chmod(0o600)
    with Broker(
        tmp_path / "broker", "allow_anonymous false", f"password_file {passwords}"
    ) as broker:
        files = {"username_file": "edge_user", "password_file": "edge_password"}
        # No time service keeps this clock, and none will.
        recorder.configure(
            mqtt={"host": "127.0.0.1", "port": broker.port, "wait_for_sync_s": 0.0, **files}
        )
        recorder.start()
        with Subscriber(
            broker.port, before=lambda client: client.username_pw_set("pond", "a secret")
        ) as subscriber:
            recorder.until(lambda: subscriber.detections("pond"))
            assert {event["state"] for event in recorder.events(tmp_path)} <= {"new", "update"}
            began_s = time.monotonic()
            recorder.systemctl("stop", "edge")
            assert time.monotonic() - began_s < 5.0
            recorder.until(lambda: subscriber.said("edge/pond/status")[-1:] == ["stopped"])
            stored = [(event["id"], event["state"]) for event in recorder.events(tmp_path)]
            assert [(d["id"], d["state"]) for d in subscriber.detections("pond")] == stored
    assert (stored[0][1], stored[-1]) == ("new", (stored[0][0], "end"))
    assert (
        recorder.shown("Result"),
        recorder.shown("ExecMainStatus"),
        recorder.shown("NRestarts"),
    ) == ("success", "0", "0")
    assert "a secret" not in recorder.journal()


def test_without_a_sound_card_the_shipped_command_waits(recorder: Recorder) -> None:
    recorder.drop_in(fake=False)
    recorder.start()
    recorder.until(lambda: "microphone: " in recorder.journal())
    process = recorder.shown("MainPID")
    (line,) = [line for line in recorder.journal().splitlines() if "microphone: " in line]
    assert "trying again for as long as it takes" in line
    assert "no audio input on this machine" in line
    assert recorder.shown("ActiveState") == "activating"
    began_s = time.monotonic()
    recorder.systemctl("stop", "edge")
    assert time.monotonic() - began_s < 5.0
    assert (recorder.shown("Result"), recorder.shown("NRestarts")) == ("success", "0")
    assert process != "0"
    assert "Traceback" not in recorder.journal()
