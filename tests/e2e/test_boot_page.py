"""`systemd/edge-page.service` beside a recorder, under a real systemd in a booted container.

Both units are the real ones, with drop-ins that say where Python is.
"""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from tests.e2e.test_boot import Recorder, booted_recorder
from tests.support.broker import free_port
from tests.support.container import ENVIRONMENT
from tests.support.heard import afternoon_zone
from tests.support.pages import token_in

pytestmark = pytest.mark.nspawn

PASSWORD = "correct-horse-battery"
STATE = "/var/lib/private/edge-monitor"


@pytest.fixture(scope="module")
def recorder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with booted_recorder(root, tmp_path_factory, "edge-page.service") as recorder:
        yield recorder


class Visitor:
    """A browser without a screen."""

    def __init__(self, port: int) -> None:
        self.address = f"http://localhost:{port}"
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, path: str, form: dict[str, str] | None = None) -> str:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with self._opener.open(f"{self.address}{path}", data, timeout=10) as answer:
            return str(answer.read().decode("utf-8", "replace"))

    def answers(self) -> bool:
        try:
            return bool(self.get("/login"))
        except OSError:
            return False

    def events(self) -> list[str]:
        try:
            return re.findall(r'href="(/event/[0-9a-f]+)"', self.get("/"))
        except OSError:
            return []


def start_page(recorder: Recorder, port: int) -> None:
    lines = ["[Service]", f"Environment={ENVIRONMENT}", "ExecStart="]
    lines += ["ExecStart=/opt/edge-monitor/bin/python -m edge.cli page"]
    lines[-1] += f" --config /etc/edge-monitor/edge.yaml --port {port}"
    drop_in = recorder.units / "edge-page.service.d" / "test.conf"
    drop_in.write_text("\n".join(lines) + "\n", encoding="utf-8")
    recorder.systemctl("daemon-reload")
    recorder.systemctl("start", "edge-page")


def set_password(recorder: Recorder) -> None:
    """Set the password as root does, whose files the service's user could not read."""
    program = f"env {ENVIRONMENT} /opt/edge-monitor/bin/edge page --set-password"
    recorder.container.run("sh", "-c", f"echo {PASSWORD} | {program}")


def writes(recorder: Recorder, path: str) -> bool:
    """Whether the page's process could make a file there, as far as its mounts go."""
    process = recorder.systemctl("show", "edge-page", "--property=MainPID", "--value").strip()
    script = f"touch {path} && rm {path} && echo yes"
    enter = ("nsenter", f"--target={process}", "--mount", "sh", "-c", script)
    return "yes" in recorder.container.run(*enter, check=False)


def is_grouped(recorder: Recorder, visitor: Visitor) -> bool:
    """Look at the unknown sounds, which has them grouped, within the bounds of the unit."""
    assert "They are not grouped" not in visitor.get("/unknowns")
    return recorder.container.path(f"{STATE}/labels/clusters.json").exists()


def test_the_page_shows_what_the_recorder_hears_and_can_write_answers_alone(
    recorder: Recorder,
) -> None:
    recorder.configure(
        model=recorder.with_the_tiny_bundle(),
        tracker={"cooldown_s": 1.0},
        site={
            "species": ["high_peeper"],  # so that what it hears is unknown
            "timezone": afternoon_zone(datetime.now(timezone.utc)),
        },
    )
    recorder.drop_in()
    recorder.start()
    port = free_port()
    visitor = Visitor(port)
    start_page(recorder, port)
    recorder.until(visitor.events)
    event = visitor.events()[0]
    page = visitor.get(event)
    form = {"token": token_in(page), "answer": "noise", "who": "Ada"}
    assert "Noise" in visitor.get(f"{event}/answer", form)
    assert recorder.container.path(f"{STATE}/labels/labels.db").exists()
    recorder.until(lambda: is_grouped(recorder, visitor))
    assert not writes(recorder, f"{STATE}/edge.db-x")
    assert not writes(recorder, f"{STATE}/clips/x")
    assert writes(recorder, f"{STATE}/labels/x")
    recorder.until(
        lambda: 'Status: "listens since' in recorder.systemctl("status", "edge", "--no-pager")
    )
    set_password(recorder)
    recorder.systemctl("restart", "edge-page")
    recorder.until(lambda: "Log in" in visitor.get("/") if visitor.answers() else False)
    page = visitor.get("/login")
    assert event in visitor.get("/login", {"token": token_in(page), "password": PASSWORD})
    # A recorder that has ended is still looked at.
    recorder.systemctl("stop", "edge")
    assert event in visitor.get("/")
    recorder.systemctl("stop", "edge-page")
    assert recorder.shown("Result") == "success"
