"""Messages to a real service over HTTP: it takes them, refuses, hangs, hangs up, and comes back."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.notify import courier
from edge.notify.delivering import Couriers
from edge.notify.notebook import Notebook, opened
from edge.notify.outgoing import Draft, add_message
from edge.notify.services import Service
from edge.notify.wording import Wording
from edge.page.place import Place
from edge.rate_limited_log import RateLimitedLog
from tests.support.heard import record_event
from tests.support.telling import FarEnd, far_end, place_at, quiet_store

NOW = datetime.now(timezone.utc)


class Desk:
    """A notebook with its couriers, and a clock that can be moved."""

    def __init__(self, place: Place, book: Notebook, *urls: str) -> None:
        services = [Service(number=number, url=url) for number, url in enumerate(urls, 1)]
        warn = RateLimitedLog(logging.getLogger("edge.notify.test"))
        self.place, self.book = place, book
        self.couriers = Couriers(services, book, place, warn=warn)
        self.later = timedelta(0)

    @property
    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.later

    def add(self, key: str, **how: Any) -> None:
        words = Wording(title=f"title {key}", body=f"body {key}", line=f"line {key}")
        with self.book.transaction():
            add_message(
                self.book,
                Draft(key=key, wording=words, **how),
                services=self.couriers.digests,
                place=self.place,
                now=self.now,
            )

    def step(self) -> None:
        """Send what is due, and wait for what becomes of it."""
        self.couriers.step(self.now)
        self.couriers.wait()

    def states(self) -> list[str]:
        query = "SELECT state FROM deliveries ORDER BY message, service"
        return [row[0] for row in self.book.db.execute(query)]


@contextmanager
def desk_at(folder: Path, *urls: str, **notify: Any) -> Iterator[Desk]:
    place = place_at(folder, **notify)
    with opened(place.told) as book:
        yield Desk(place, book, *urls)


@pytest.fixture
def far() -> Iterator[FarEnd]:
    with far_end() as state:
        yield state


def test_what_is_taken_is_sent_once(tmp_path: Path, far: FarEnd) -> None:
    with desk_at(tmp_path, far.url) as desk:
        desk.add("a")
        for _ in range(3):
            desk.step()
        assert far.titles == ["title a"]
        assert far.taken[0]["message"] == "body a"
        assert desk.states() == ["done"]
        desk.add("a")  # the same once more
        assert desk.states() == ["done"]


@pytest.mark.parametrize("manner", ["refuses", "hangs_up", "hangs"])
def test_it_is_tried_again_until_it_is_taken(
    tmp_path: Path, far: FarEnd, manner: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"{far.url}?rto=0.5"
    with desk_at(tmp_path, url) as desk, caplog.at_level(logging.DEBUG):
        desk.add("a")
        far.manner = manner
        desk.step()
        desk.step()  # too early: nothing is asked
        assert len(far.asked) == 1
        desk.later = timedelta(minutes=1)
        desk.step()
        assert len(far.asked) == 2
        assert "service 1 (json) has not taken a message" in caplog.text
        far.manner, desk.later = "takes", timedelta(minutes=5)
        desk.step()
        assert far.titles == ["title a"]
        desk.add("b")
        desk.step()
        assert far.titles == ["title a", "title b"]
        for secret in ("s3cret", "t0ken", "somebody"):
            assert secret not in caplog.text


def test_a_service_that_is_away_delays_no_other(tmp_path: Path, far: FarEnd) -> None:
    with far_end() as away, desk_at(tmp_path, f"{away.url}?rto=3", far.url) as desk:
        away.manner = "hangs"
        desk.add("a")
        desk.add("b")
        begun_s = time.monotonic()
        while len(far.titles) < 2 and time.monotonic() < begun_s + 20:
            desk.couriers.step(desk.now)
            time.sleep(0.05)
        assert far.titles == ["title a", "title b"]
        assert len(away.asked) <= 2
        desk.couriers.wait()


def test_two_that_hang_keep_a_third_from_nothing_for_long(tmp_path: Path, far: FarEnd) -> None:
    with far_end() as one, far_end() as two:
        one.manner = two.manner = "hangs"
        urls = [f"{one.url}?rto=1", f"{two.url}?rto=1", far.url]
        with desk_at(tmp_path, *urls) as desk:
            desk.add("a")
            desk.couriers.step(desk.now)
            assert len(desk.couriers._running) == 2
            until_s = time.monotonic() + 30
            while "title b" not in far.titles and time.monotonic() < until_s:
                time.sleep(0.05)
                desk.couriers.step(desk.now)
                if far.titles and not desk.later:
                    desk.add("b")
                    desk.later = timedelta(minutes=1)  # all of them may be asked again
            assert far.titles == ["title a", "title b"]
            desk.couriers.wait()


def test_what_is_six_hours_old_is_given_up_and_counted(tmp_path: Path, far: FarEnd) -> None:
    with desk_at(tmp_path, far.url) as desk:
        far.manner = "refuses"
        desk.add("a")
        desk.step()
        desk.later = timedelta(hours=6, minutes=1)
        far.manner = "takes"
        desk.add("b")
        desk.step()
        assert far.titles == ["title b"]
        assert sorted(desk.states()) == ["done", "expired"]
        assert desk.book.counts()["expired"] == 1


def test_a_clock_that_is_set_back_holds_nothing_for_ever(tmp_path: Path, far: FarEnd) -> None:
    with desk_at(tmp_path, far.url) as desk:
        far.manner, desk.later = "refuses", timedelta(days=900)
        desk.add("a")
        desk.step()
        desk.book.db.execute("UPDATE services SET next_utc = '2099-01-01T00:00:00.000000Z'")
        far.manner, desk.later = "takes", timedelta(0)
        desk.step()
        assert far.titles == ["title a"]


def test_picture_and_sound_go_along_and_are_left_out_where_they_are_too_much(
    tmp_path: Path, far: FarEnd
) -> None:
    with desk_at(tmp_path, far.url) as desk:
        with quiet_store(tmp_path) as store:
            event = record_event(store, 1, NOW, "little_owl", tmp_path / "clips")
        desk.add("a", clip=event["clip"])
        desk.step()
        files = {file["filename"]: file for file in far.taken[0]["attachments"]}
        assert set(files) == {"spectrogram.png", "sound.flac"}
        assert base64.b64decode(files["spectrogram.png"]["base64"]).startswith(b"\x89PNG")
        assert base64.b64decode(files["sound.flac"]["base64"]).startswith(b"fLaC")
        far.manner = "too_large"
        desk.add("b", clip=event["clip"])
        for minutes in (0, 2, 6):
            desk.later = timedelta(minutes=minutes)
            desk.step()
        assert [len(message["attachments"]) for message in far.asked] == [2, 2, 1, 0]
        assert far.titles == ["title a", "title b"]


@pytest.mark.parametrize("clip", ["../edge.db", "/etc/passwd", "\0", "none/there.flac", "x" * 5000])
def test_a_clip_that_is_none_is_left_out(tmp_path: Path, far: FarEnd, clip: str) -> None:
    with desk_at(tmp_path, far.url) as desk:
        desk.add("a", clip=clip)
        desk.step()
        assert far.taken[0]["attachments"] == []


def test_the_quiet_time_holds_messages_and_joins_them(tmp_path: Path, far: FarEnd) -> None:
    noon = NOW.replace(hour=12, minute=0) + timedelta(days=1)
    with desk_at(tmp_path, far.url, quiet="22:00-07:00") as desk:
        for key, hours in (("evening", 9.9), ("night", 11), ("dawn", 16)):
            desk.later = noon + timedelta(hours=hours) - datetime.now(timezone.utc)
            desk.add(key)
            if key != "evening":
                desk.step()
        assert far.titles == []  # the evening's was not sent before, and the night is quiet
        desk.later += timedelta(hours=3, minutes=1)
        desk.step()
        desk.step()
        assert far.titles == ["Mill pond: 2 messages of the quiet time"]
        assert far.taken[0]["message"] == "line night\nline dawn"
        assert sorted(desk.states()) == ["done", "expired", "joined", "joined"]


def test_a_courier_that_was_killed_is_followed_by_one_with_text_alone(
    tmp_path: Path, far: FarEnd
) -> None:
    far.delay_s = 30
    with desk_at(tmp_path, far.url) as desk:
        desk.add("a")
        desk.couriers.step(desk.now)
        while not far.asked:
            time.sleep(0.02)
        (running,) = desk.couriers._running.values()
        running.kill()
        running.wait()
        far.delay_s = 0
        desk.step()
        assert desk.book.counts()["failed"] == 1
        desk.later = timedelta(minutes=1)
        desk.step()
        assert desk.states() == ["done"]
        assert len(far.asked) == 2
    assert courier.LONGEST_S < 65  # as systemd/edge-notify.service waits
