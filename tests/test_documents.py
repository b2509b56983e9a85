"""What the documents say is so: their links, paths and commands are real, and what they tell people
to run is run, with a real broker and the messages of a real sink.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.config.sections import MqttConfig
from edge.mqtt.sink import MqttSink
from edge.replay.formats import FORMATS
from edge.store.store import Store
from tests.support.broker import Broker, Meter, Subscriber, unexpected, until
from tests.support.documents import Document, anchors, faults
from tests.support.store import SYNCED, payload

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    Document(ROOT, name)
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")),
    )
]
README = DOCUMENTS[0]
MOST_CHARACTERS = 140
MOST_LINES_OF_README = 170
MARK = (
    b'{"id": "0", "state": "end", "start_utc": "now", "device": "pond", "common_name": null, '
    b'"score": 0}'
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_what_a_document_says_is_there(document: Document) -> None:
    assert faults(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_lines_are_not_wider_than_a_screen(document: Document) -> None:
    lines = [line for line in document.text.splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > MOST_CHARACTERS] == []


def test_the_readme_is_short_and_leads_to_every_document() -> None:
    assert len(README.text.splitlines()) <= MOST_LINES_OF_README
    for document in DOCUMENTS[1:]:
        assert f"]({document.name})" in README.text


def test_the_flow_line_names_rooms_that_are_there() -> None:
    (block,) = (block for _, block in README.fences if "AudioBlock -> Window" in block)
    places = block.splitlines()[1].split()
    assert "detect/" in places
    assert [place for place in places if not (ROOT / "edge" / place).exists()] == []


BAD = """\
# A bad document

[gone](gone.md), [no heading](#nowhere), [good](#a-bad-document), [other](config/edge.yaml).
`edge/gone.py`, `edge/cli.py`, `edge/NAME/x.py`, `config/*.toml`, `tests/conftest.py::nothing`.
`model.gone`, `model.hop_s`, `edge listen`, `edge replay --loud`, `edge replay
--out`, `make tea`, `make test COLOUR=1`, `make replay ARGS='--loud 1'`.

```
edge replay a.wav --format raven     # good
edge replay a.wav --format tune
edge-train fit --recipe config/recipes/default.yaml \\
  --corpus corpus
FOO=1 .venv/bin/edge-deploy verify DIR --loudly && python3 -m deploy.gone
python -m deploy.compile.bench_gpu BUNDLE --gone 1
pip install '.[gone]' && pip install '.[mic]'
```

```python
edge gone  # in another language
```
"""


def test_the_checker_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    for name in ("edge", "config", "tests", "Makefile", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "bad.md").write_text(BAD, encoding="utf-8")
    found = [fault.removeprefix("bad.md: ") for fault in faults(Document(tmp_path, "bad.md"))]
    assert found == [
        "link to gone.md: there is no such file",
        "link to #nowhere: there is no such heading",
        "path edge/gone.py: is not there",
        "path config/*.toml: is not there",
        "path tests/conftest.py: has no nothing",
        "command edge replay a.wav --format tune: Invalid value for '--format': 'tune' is not one "
        f"of {', '.join(map(repr, FORMATS))}.",
        "command edge-train fit --recipe config/recipes/default.yaml --corpus corpus: Missing "
        "option '--out'.",
        "command .venv/bin/edge-deploy verify DIR --loudly: edge-deploy verify has no option "
        "--loudly",
        "command python3 -m deploy.gone: there is no module deploy.gone",
        "command python -m deploy.compile.bench_gpu BUNDLE --gone 1: deploy.compile.bench_gpu has "
        "no option --gone",
        "command pip install '.[gone]': pyproject.toml has no extra gone",
        "command edge listen: edge has no command listen",
        "command edge replay --loud: edge replay has no option --loud",
        "command make tea: the Makefile has no target tea",
        "command make test COLOUR=1: the Makefile has no variable COLOUR",
        "command make replay 'ARGS=--loud 1': edge replay has no option --loud",
        "configuration key model.gone: is not there",
    ]


def test_anchors_are_githubs() -> None:
    text = "# A `code`, and (more): 9 %\n## Two\n```\n# none\n```\n## Two\n## [x](y) z_1-2\n"
    assert anchors(text) == {"a-code-and-more-9-", "two", "two-1", "x-z_1-2"}


def program() -> str:
    """The one example of a subscriber."""
    (code,) = (
        code
        for document in DOCUMENTS
        for language, code in document.fences
        if language == "python" and "paho" in code
    )
    return code


def command() -> list[str]:
    """The line with the broker's own client, which is the same wherever it stands."""
    (line,) = {
        line
        for document in DOCUMENTS
        for _, block in document.fences
        for line in block.splitlines()
        if line.startswith("mosquitto_sub ")
    }
    return shlex.split(line)


@contextmanager
def running(command: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        output.open("wb") as file,
        subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


def send(broker: Broker, folder: Path) -> None:
    """An event that is known and one that is not, by a recorder named pond."""
    with Store(folder / "edge.db", outbox_bytes=10**7, history_bytes=10**7) as store:
        for number, state in ((1, "new"), (1, "end"), (3, "end")):
            store.record(payload(number, state=state, device="pond"), dating=SYNCED)
        config = MqttConfig(host="127.0.0.1", port=broker.port)
        sink = MqttSink(config, device="pond", store=store, info={}, meter=Meter(), died=unexpected)
        sink.start()
        assert until(lambda: store.depth("mqtt") == (0, 0))
        sink.stop()


def wait_for(output: Path, other: Subscriber) -> None:
    """Until the program that writes there hears what `other` says."""

    def heard() -> bool:
        # again and again, for it may not have subscribed yet
        other.publish("edge/pond/detection/unknown", MARK)
        return "now" in output.read_text()

    assert until(heard, 60), output.read_text()


@pytest.mark.broker
def test_the_subscriber_prints_each_event_once(tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(program(), encoding="utf-8")
    output = tmp_path / "output"
    with (
        Broker(tmp_path / "broker", mortal=False) as broker,
        Subscriber(broker.port) as other,
        running(
            [sys.executable, str(tmp_path / "listen.py"), "127.0.0.1", str(broker.port)], output
        ),
    ):
        wait_for(output, other)
        send(broker, tmp_path)
        assert until(lambda: len([d for d in other.detections("pond") if "boot_id" in d]) == 3)
        for topic, content, _ in [m for m in other.messages if "/detection/" in m[0]]:
            other.publish(topic, content)  # everything comes once more
        other.publish(
            "edge/pond/detection/unknown", MARK.replace(b"now", b"last").replace(b"end", b"new")
        )
        assert until(lambda: "last" in output.read_text()), output.read_text()
    assert output.read_text().splitlines() == [
        "connected: Success",
        "now pond end unknown 0.00",
        "2024-05-01T05:30:00.000000Z pond new Low hummer 0.90",
        "2024-05-01T05:30:00.000000Z pond end Low hummer 0.90",
        "2024-05-01T05:30:00.000000Z pond end unknown 0.90",
        "last pond new unknown 0.00",
    ]


@pytest.mark.broker
def test_what_came_while_the_subscriber_was_away_is_kept_for_it(tmp_path: Path) -> None:
    (tmp_path / "listen.py").write_text(program(), encoding="utf-8")
    first, second = tmp_path / "first", tmp_path / "second"
    with Broker(tmp_path / "broker", mortal=False) as broker:
        listen = [sys.executable, str(tmp_path / "listen.py"), "127.0.0.1", str(broker.port)]
        with running(listen, first), Subscriber(broker.port) as other:
            wait_for(first, other)
        send(broker, tmp_path)
        with running(listen, second):
            assert until(lambda: second.read_text().count("2024") == 3, 60), second.read_text()


@pytest.mark.broker
def test_the_brokers_own_client_shows_detections(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with Broker(tmp_path / "broker", mortal=False) as broker:
        program = [*command(), "-p", str(broker.port), "-d"]  # -d: it says when it has subscribed
        with running(["stdbuf", "-oL", *program], output):
            assert until(lambda: "Subscribed" in output.read_text()), output.read_text()
            send(broker, tmp_path)
            assert until(lambda: output.read_text().count('"state": "end"') == 2), (
                output.read_text()
            )
    topics = [
        line.split()[0] for line in output.read_text().splitlines() if line.startswith("edge/")
    ]
    assert topics == ["edge/pond/detection/low_hummer"] * 2 + ["edge/pond/detection/unknown"]


def test_the_example_is_short() -> None:
    lines = [line for line in program().splitlines() if line.strip()]
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 100
    assert command()[0] == "mosquitto_sub"
