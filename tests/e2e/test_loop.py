"""From looking to a new head: what people answer on the page is what the recorder hears next.

Whatever a person or a recorder runs is the real program, a process of its own; only the sound card
is made up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from edge.bundle import load_bundle
from edge.bundle.signing import sign_bundle
from edge.types import Array
from tests.support.broker import Broker, Subscriber
from tests.support.browser import complaints, found, headless_browser, opening, press
from tests.support.bundles import choir_bundle, tone
from tests.support.daemons import until, write_config
from tests.support.heard import afternoon_zone
from tests.support.keys import KeyPair, key_pair
from tests.support.lives import BRIEF, silence
from tests.support.page_process import page_process
from tests.train.adapting.studies import RATE_HZ, folder_of, on_trunk

pytestmark = [pytest.mark.browser, pytest.mark.broker]
ROOT = Path(__file__).resolve().parents[2]
KNOWN = {"hummer": 300.0, "moaner": 650.0}
UNKNOWN = {"piper": 3000.0, "squeaker": 3500.0}  # of which the head learns that it knows them not
BEEPER_HZ = 2500.0
ANSWERS, FEW = 10, 3
DEVICE = "pond"


def program(*command: object) -> str:
    """Run one of the project's commands to its end; return what it prints."""
    words = [sys.executable, "-m", *map(str, command)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Lab:
    """Where heads are made: a signed trunk, a head on it with its work, and a key."""

    folder: Path
    key: KeyPair

    @property
    def head(self) -> Path:
        return self.folder / "study"

    @property
    def both(self) -> str:
        return f"{self.folder / 'choir'}+{self.head}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("lab")
    lab = Lab(folder, key_pair(folder))
    trunk = choir_bundle(folder / "choir")
    sign_bundle(trunk.path, lab.key.private)
    data = folder_of(folder / "data", species=KNOWN)
    folder_of(data / "unknown", species=UNKNOWN, noises=0)
    made = on_trunk(data, trunk, lab.head)
    assert made.exit_code == 0, made.output
    sign_bundle(Path(lab.both), lab.key.private)
    return lab


def calls() -> Array:
    """A hummer and a beeper in turn, six times, no two alike; 24 s."""
    parts = []
    for turn in range(6):
        for hz in (KNOWN["hummer"], BEEPER_HZ):
            sound = tone(hz * (1 + 0.002 * turn), 1.2, RATE_HZ, level=0.15 + 0.05 * turn)
            parts += [sound, silence(0.8)]
    return np.concatenate(parts)


@contextmanager
def recorder(folder: Path, lab: Lab, broker: Broker) -> Iterator[Path]:
    """A recorder with copies of trunk and head, which takes heads from the broker."""
    for name in ("choir", "study"):
        shutil.copytree(lab.folder / name, folder / name)
    config = write_config(
        folder,
        folder / "choir",
        device={"id": DEVICE},
        site={"timezone": afternoon_zone(datetime.now(timezone.utc))},
        model={
            "bundle": f"{folder / 'choir'}+{folder / 'study'}",
            "hop_s": 0.5,
            "trusted_keys": [lab.key.text],
        },
        heads={"broker": True, "kept": str(folder / "heads")},
        tracker=BRIEF,
        mqtt={"host": "127.0.0.1", "port": broker.port, "wait_for_sync_s": 0.0},
    )
    soundfile.write(folder / "sound.wav", calls(), RATE_HZ)
    command = [sys.executable, "-m", "tests.support.recorder_process"]
    command += ["--clock-is-set"]  # orders wait for it
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [*command, "--config", str(config), "--card", str(folder)],
            cwd=ROOT,
            stderr=log,
            env={**os.environ, "STATE_DIRECTORY": str(folder)},
        ) as process,
    ):
        try:
            yield config
        finally:
            process.terminate()
    assert process.returncode == 0, (folder / "log").read_text()


def clips_of(subscriber: Subscriber, label: str | None) -> int:
    """How many events with a clip have ended so far."""
    ended = [d for d in subscriber.detections(DEVICE) if d["state"] == "end" and d.get("clip")]
    return sum(d["label"] == label for d in ended)


def labels_by(subscriber: Subscriber, digest: str) -> set[str | None]:
    """What has been heard so far with a head."""
    return {d["label"] for d in subscriber.detections(DEVICE) if d["bundle"] == digest}


def answer_a_cluster(browser: webdriver.Chrome) -> int:
    """Open the first cluster of the unknown sounds, once there is one, and say by keys that all of
    it is a beeper; return how many events that are.
    """
    while not browser.find_elements(By.CSS_SELECTOR, ".clusters h2 a"):
        with opening(browser):
            browser.refresh()
    with opening(browser):
        found(browser, ".clusters h2 a").send_keys(Keys.ENTER)
    press(browser, "i")
    with opening(browser):
        browser.switch_to.active_element.send_keys("Beeper", Keys.ENTER)
    kept = re.search(r"Kept for (\d+) events", found(browser, ".done").text)
    assert kept is not None
    return int(kept[1])


def answer(browser: webdriver.Chrome) -> None:
    """Answer the question that is shown, by keys."""
    said = "Right"
    if found(browser, "h1").text.startswith("Unknown"):
        said = "It is beeper"
        press(browser, "i")
        with opening(browser):
            browser.switch_to.active_element.send_keys("Beeper", Keys.ENTER)
    else:
        with opening(browser):
            press(browser, "r")
    assert said in found(browser, ".voices").text


def test_what_people_answer_is_heard_by_name_from_then_on(tmp_path: Path, lab: Lab) -> None:
    (tmp_path / "recorder").mkdir()
    before = load_bundle(Path(lab.both)).digest
    with (
        Broker(tmp_path / "broker", mortal=False) as broker,
        Subscriber(broker.port, f"edge/{DEVICE}/#") as subscriber,
        recorder(tmp_path / "recorder", lab, broker) as config,
        page_process(config) as page,
        headless_browser(tmp_path / "profile") as browser,
    ):
        until(lambda: min(clips_of(subscriber, name) for name in ("hummer", None)) >= FEW, 90)
        browser.get(page.address)
        assert "hummer" in found(browser, ".events li.known .name").text
        with opening(browser):
            found(browser, "header a[href='/unknowns']").send_keys(Keys.ENTER)
        answered = answer_a_cluster(browser)
        while answered < ANSWERS:
            with opening(browser):
                press(browser, "q")
            assert "said=" not in browser.current_url
            answer(browser)
            answered += 1
        answers = tmp_path / "answers.csv"
        program("edge.cli", "labels", "export", "--config", config, "--out", answers, "--copy")
        adapt = ("train.commands.cli", "adapt", "--to", lab.head, "--workers", 1)
        assert "beeper was added from" in program(*adapt, "--add", "beeper", answers)
        assert f"learnt from {answered} answers" in program(*adapt, "--corrections", answers)
        program("deploy.cli", "sign", lab.both, "--key", lab.key.private)
        where = ("--broker", f"127.0.0.1:{broker.port}", "--key", lab.key.private)
        sent = program("deploy.cli", "send", lab.head, *where, "--to", DEVICE)
        assert sent == f"{DEVICE}: taken\n"
        digest = load_bundle(Path(lab.both)).digest
        until(lambda: "beeper" in labels_by(subscriber, digest), 60)
        assert "beeper" not in labels_by(subscriber, before)
        info = json.loads(subscriber.said(f"edge/{DEVICE}/info")[-1])
        assert info["bundle"] == info["head"]["digest"] == digest
        assert info["labels"] == ["beeper", *KNOWN]
        browser.get(page.address)
        names = [e.text for e in browser.find_elements(By.CSS_SELECTOR, ".events li.known .name")]
        assert "beeper" in names
        assert complaints(browser) == []
