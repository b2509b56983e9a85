"""A head that is sent to running recorders over a real broker: taken, refused, taken back."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from edge.bundle import Bundle
from edge.bundle.order import PART_BYTES, REFUSALS, Order
from edge.bundle.packed import pack_head
from edge.config.config import Config
from edge.heads.trial import TrialRules
from edge.mqtt.heads import order_topic, part_topic
from edge.recorder.daemon import Daemon
from edge.recorder.deliveries import deliveries
from edge.recorder.plan import RecorderPlan, make_plan
from tests.support.broker import Broker, Subscriber
from tests.support.bundles import tiny_bundle
from tests.support.clocks import set_clock
from tests.support.daemons import RealTimeAudio, breakable, running, until, write_config
from tests.support.keys import key_pair
from tests.support.lives import BRIEF, calls
from tests.support.sent import Sender

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return Sender.in_folder(tmp_path_factory.mktemp("sender"))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker"), mortal=False) as broker:
        yield broker


@contextmanager
def recorder(
    folder: Path,
    sender: Sender,
    broker: Broker,
    device: str = "pond",
    *,
    plan_of: Callable[[Config], RecorderPlan] = make_plan,
    trial: TrialRules | None = None,
) -> Iterator[Daemon]:
    """A recorder that takes heads from the broker."""
    sink = {"host": "127.0.0.1", "port": broker.port, "wait_for_sync_s": 0.0}
    config = write_config(
        folder,
        sender.trunk.path,
        device={"id": device},
        model={
            "bundle": str(sender.trunk.path),
            "hop_s": 0.5,
            "trusted_keys": [sender.key.text],
        },
        heads={"broker": True, "kept": str(folder / "heads")},
        tracker=BRIEF,
        mqtt=sink,
        clips={"enabled": False},
    )
    audio = RealTimeAudio(calls())
    clock = set_clock()  # orders wait for it
    daemon = Daemon(config, audio=audio, deliveries=deliveries, plan_of=plan_of, clock=clock)
    daemon.trial = trial or daemon.trial
    with running(daemon):
        yield daemon


def send(sender: Sender, head: Path, broker: Broker, *arguments: str) -> Result:
    where = ["--broker", f"127.0.0.1:{broker.port}", "--key", str(sender.key.private)]
    return CliRunner().invoke(main, ["send", str(head), *where, *arguments])


def said(subscriber: Subscriber, device: str) -> dict[str, Any]:
    """What the recorder said last of heads."""
    last = subscriber.said(f"edge/{device}/info")[-1:]
    head = json.loads(last[0]).get("head", {}) if last else {}
    assert isinstance(head, dict)
    return head


def test_a_head_that_is_sent_is_used_from_the_next_window_on(
    tmp_path: Path, sender: Sender, broker: Broker
) -> None:
    head = sender.head("taken")
    with Subscriber(broker.port) as subscriber, recorder(tmp_path, sender, broker, "pond"):
        until(lambda: subscriber.detections("pond"), 60)
        assert {d["bundle"] for d in subscriber.detections("pond")} == {sender.trunk.digest}
        result = send(sender, head.path, broker, "--to", "pond")
        assert (result.exit_code, result.stdout) == (0, "pond: taken\n"), result.output
        until(lambda: any(d["label"] == "study_frog" for d in subscriber.detections("pond")), 60)
        info = json.loads(subscriber.said("edge/pond/info")[-1])
        assert info["bundle"] == info["head"]["digest"] == head.digest
        assert info["head"]["trial"] is True
        assert info["labels"] == ["study_frog"]
        again = send(sender, head.path, broker, "--all")
        assert (again.exit_code, again.stdout) == (0, "pond: taken\n")


@dataclass(frozen=True)
class Standing:
    """A recorder on trial with a head whose order had the number 5, and who watches it."""

    sender: Sender
    head: Bundle
    daemon: Daemon
    subscriber: Subscriber
    elsewhere: Sender

    def retain(self, order: bytes, packed: bytes, where: Order) -> None:
        """Retain an order and the parts of a head as anybody could where a broker lets them."""
        for part in range(where.parts):
            content = packed[part * PART_BYTES : (part + 1) * PART_BYTES]
            self.subscriber.publish(part_topic("edge", where, part), content, retain=True)
        self.subscriber.publish(order_topic("edge", "bog"), order, retain=True)

    def count(self, word: str) -> float:
        value = self.daemon._metrics.registry.get_sample_value(
            "edge_heads_total", {"outcome": word}
        )
        return value or 0.0


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory, sender: Sender, broker: Broker
) -> Iterator[Standing]:
    elsewhere = Sender(
        tmp_path_factory.mktemp("elsewhere"),
        key_pair(tmp_path_factory.mktemp("stranger")),
        tiny_bundle(tmp_path_factory.mktemp("network") / "trunk", order=(2, 1, 0)),
    )
    head = sender.head("standing")
    folder = tmp_path_factory.mktemp("bog")
    with (
        Subscriber(broker.port, "edge/bog/#") as subscriber,
        recorder(folder, sender, broker, "bog") as daemon,
    ):
        found = Standing(sender, head, daemon, subscriber, elsewhere)
        order = sender.order(head, number=5)
        found.retain(sender.signed(order), pack_head(head), order)
        until(lambda: said(subscriber, "bog").get("digest") == head.digest, 60)
        yield found


# What is wrong with an order that is signed, and whole.
CHANGED: dict[str, dict[str, Any]] = {
    "other_device": {"device": "meadow"},
    "old": {"number": 4},
    "expired": {"made_s": 1, "expires_s": 1_700_000_000},
    "future": {"made_s": (1 << 37) - 1},
    "format": {"made_s": 0, "expires_s": 0},
    "too_large": {"size": 400_001},
}


def _case(standing: Standing, word: str) -> tuple[bytes, bytes, Order]:
    """What is sent for each word for a refusal: the order, the packed head, and where it lies."""
    sender, other = standing.sender, standing.elsewhere
    another = sender.head("another", card="# Another\n")
    packed = pack_head(another)
    order = replace(sender.order(another, number=6), **CHANGED.get(word, {}))
    match word:
        case "damaged":  # another one than the others have, which would make it whole
            crumbled = sender.head("crumbled", card="# Crumbled\n")
            order, packed = sender.order(crumbled, number=6), pack_head(crumbled)
            return sender.signed(order), packed[:-1] + b"?", order
        case "foreign_key":
            return sender.signed(order, key=other.key), packed, order
        case "signature":
            envelope = json.loads(sender.signed(order))
            envelope["order"] = envelope["order"].replace('"number": 6', '"number": 9')
            return json.dumps(envelope).encode(), packed, order
        case "other_trunk":
            foreign = other.head("foreign", key=sender.key)
            return (
                sender.signed(sender.order(foreign, number=7)),
                pack_head(foreign),
                sender.order(foreign, number=7),
            )
        case "self_test":
            spoiled = sender.spoiled_head("spoiled")
            order, packed = sender.order(spoiled, number=8), pack_head(spoiled)
    return sender.signed(order), packed, order


@pytest.mark.parametrize("word", [word for word in REFUSALS if word != "storage"])
def test_what_must_not_be_used_is_refused_with_its_reason_and_nothing_changes(
    standing: Standing, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    signed, packed, order = _case(standing, word)
    before = standing.count(word)
    standing.retain(signed, packed, order)
    until(lambda: said(standing.subscriber, "bog").get("refused", {}).get("reason") == word, 20)
    found = said(standing.subscriber, "bog")
    assert found["digest"] == standing.head.digest
    assert standing.daemon._running.plan.provenance.bundle == standing.head.digest
    assert standing.count(word) == before + 1
    assert any("a head that was sent is refused" in text for text in caplog.messages)
    assert list((standing.daemon._running.plan.config.heads.kept).glob("[0-9a-f]*")) == [
        standing.daemon._running.plan.config.heads.kept / standing.head.digest
    ]


@contextmanager
def tried(
    folder: Path, sender: Sender, broker: Broker, device: str, **daemon: Any
) -> Iterator[tuple[Daemon, Subscriber]]:
    """A recorder whose trials are as `daemon` says, with who watches it."""
    with (
        Subscriber(broker.port, f"edge/{device}/#") as subscriber,
        recorder(folder, sender, broker, device, **daemon) as found,
    ):
        until(lambda: subscriber.detections(device), 60)
        yield found, subscriber


def went_back(subscriber: Subscriber, device: str) -> str | None:
    """Why the recorder has gone back, if its `info` says that it has, and runs the other bundle."""
    last = said(subscriber, device).get("last") or {}
    return last.get("reason") if last.get("outcome") == "went_back" else None


def test_a_head_on_which_the_model_fails_is_left_again(
    tmp_path: Path, sender: Sender, broker: Broker
) -> None:
    head = sender.head("failing")
    broken = threading.Event()
    broken.set()

    def fails_on_the_head(config: Config) -> RecorderPlan:
        if head.digest in str(config.model.bundle):
            return breakable(broken)(config)
        return make_plan(config)

    rules = TrialRules(failing_s=1.0)
    parts = {"plan_of": fails_on_the_head, "trial": rules}
    with tried(tmp_path, sender, broker, "fen", **parts) as (daemon, subscriber):
        assert send(sender, head.path, broker, "--to", "fen").exit_code == 0
        until(lambda: went_back(subscriber, "fen") == "no_windows", 60)
        before = len(subscriber.detections("fen"))
        until(lambda: len(subscriber.detections("fen")) > before, 60)
        assert subscriber.detections("fen")[-1]["bundle"] == sender.trunk.digest
        value = daemon._metrics.registry.get_sample_value
        assert value("edge_heads_total", {"outcome": "went_back"}) == 1
        until(lambda: value("edge_heads_total", {"outcome": "taken"}) == 1)


def test_a_head_that_finds_far_too_much_is_left_again_and_says_so(
    tmp_path: Path, sender: Sender, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    head = sender.head("flooding")
    rules = TrialRules(least_events=2, least_heard_s=0.0, times=0.0)
    with tried(tmp_path, sender, broker, "moor", trial=rules) as (_, subscriber):
        assert send(sender, head.path, broker, "--to", "moor").exit_code == 0
        until(lambda: went_back(subscriber, "moor") == "too_many_events", 60)
        assert "going back from head" in caplog.text
        assert said(subscriber, "moor")["digest"] is None


def test_a_head_that_does_well_is_proven_after_its_trial(
    tmp_path: Path, sender: Sender, broker: Broker
) -> None:
    head = sender.head("proven")
    with tried(tmp_path, sender, broker, "lake", trial=TrialRules(trial_s=2.0)) as (_, subscriber):
        assert send(sender, head.path, broker, "--to", "lake").exit_code == 0
        until(lambda: (said(subscriber, "lake").get("last") or {}).get("outcome") == "proven", 60)
        assert said(subscriber, "lake")["trial"] is False


def test_what_is_heard_between_two_heads_is_lost_for_a_moment_and_counted(
    tmp_path: Path, sender: Sender, broker: Broker
) -> None:
    heads = [sender.head(f"turn{n}", card=f"# {n}\n") for n in range(3)]
    with tried(tmp_path, sender, broker, "weir"):
        for head in heads:
            assert send(sender, head.path, broker, "--to", "weir").stdout == "weir: taken\n"
            time.sleep(1.0)
    with closing(sqlite3.connect(tmp_path / "edge.db")) as db:
        spans = db.execute(
            "SELECT julianday(start_utc) * 86400, (end_sample - start_sample) * 1.0 "
            "/ sample_rate_hz, heard_s + lost_s + gated_s + dropped_s + private_s FROM effort "
            "ORDER BY start_utc"
        ).fetchall()
    unknown = [length for _, length, known in spans if known == 0]
    assert len(unknown) == len(heads)
    assert max(unknown) < 2.0
    ends = [start + length for start, length, _ in spans]
    assert [start for start, *_ in spans[1:]] == pytest.approx(ends[:-1], abs=0.05)
