"""Whatever stands in a configuration file: one clear line for each fault, or a recorder; never a
traceback.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cli import main
from edge.config.config import Config, load_config
from edge.errors import FaultyConfigError
from edge.recorder.check import check
from tests.support.broker import free_port
from tests.support.bundles import tiny_bundle
from tests.support.microphones import FakeAudio, FakeTimer

ROOT = Path(__file__).resolve().parents[3]
WHOLE = (ROOT / "config" / "edge.yaml").read_bytes()
KEYS = sorted(f"{section}.{key}" for section, keys in Config().model_dump().items() for key in keys)

# What YAML can hold and no key wants, and what some key wants but cannot be used.
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            0,
            -1,
            1,
            10**400,
            -(2**63),
            2**64,
            1e308,
            5e-324,
            float("nan"),
            float("inf"),
            True,
            None,
            [],
            {},
            [[]],
            {"a": {}},
        ),
        *(
            "",
            " ",
            "\0",
            "\n",
            "a\nb",
            "\ud800",
            "\udcff",
            "\ufeff",
            "\u202e",
            "é" * 300,
            "x" * 5000,
            "1",
            "null",
            "..",
            "/",
            "~",
            "-",
        ),
        *(
            "/dev/full",
            "/proc/self/mem",
            "/dev/null/x",
            "a" * 300,
            "/" + "a/" * 3000,
            "edge/#",
            "edge/+/x",
            "host:1",
            "[::1]",
            "é.invalid",
        ),
        *(b"\xff\x00", {1: 2}, {None: None}, "{{ x }}", "$(x)", "%s", "${HOME}"),
    ]
)
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.dates(),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inside, max_size=3)
    ),
    max_leaves=5,
)
CUTS = st.tuples(
    st.integers(0, len(WHOLE)),
    st.integers(0, 40),
    st.binary(max_size=12) | st.sampled_from([b"\t", b"\0", b"&a *a", b"!!x "]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


@pytest.fixture(scope="module")
def sound(folder: Path) -> dict[str, dict[str, Any]]:
    """A recorder that would work, as a file holds it."""
    return {
        "device": {"id": "pond"},
        "model": {"bundle": str(tiny_bundle(folder / "bundle").path)},
        "store": {"path": str(folder / "edge.db")},
        "clips": {"reserve_mb": 1.0},
        "mqtt": {"enabled": False, "host": "127.0.0.1", "port": free_port()},
    }


def one_line(text: str) -> bool:
    """Whether it is something a terminal and a journal show as one line."""
    text.encode()
    return bool(text.strip()) and len(text.splitlines()) == 1


def faults(file: Path) -> list[str]:
    """What is wrong with a file; the law of `load_config`."""
    try:
        load_config(file, environ={})
    except FaultyConfigError as exc:
        texts = [str(fault) for fault in exc.faults]
        return [*texts, str(exc)]
    return []


@settings(max_examples=100)
@given(st.lists(CUTS, min_size=1, max_size=3))
def test_the_example_with_bytes_changed(folder: Path, cuts: list[tuple[int, int, bytes]]) -> None:
    content = WHOLE
    for start, length, put in cuts:
        content = content[:start] + put + content[start + length :]
    (folder / "changed.yaml").write_bytes(content)
    assert all(one_line(fault) for fault in faults(folder / "changed.yaml"))


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(KEYS), ODD | ANY, min_size=1, max_size=3))
def test_a_sound_recorder_with_odd_values_is_checked_to_the_end(
    folder: Path, sound: dict[str, dict[str, Any]], changes: dict[str, Any]
) -> None:
    changed = {section: dict(keys) for section, keys in sound.items()}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        changed.setdefault(section, {})[name] = value
    changed["mqtt"]["host"] = "127.0.0.1"  # no name is to be looked up
    (folder / "odd.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    found = list(check(folder / "odd.yaml", audio=audio))
    assert found
    assert all(one_line(finding.subject) for finding in found)
    # As the command shows it: the name of a microphone may be looked for with a line break in it.
    assert all(one_line(" ".join((finding.text or finding.detail).split())) for finding in found)
    assert not list(folder.glob("edge.db*")), "a check leaves nothing behind"


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.endswith(("path", "folder", "bundle", "_file"))]
)
def test_a_path_that_cannot_be_is_no_traceback(
    folder: Path, sound: dict[str, dict[str, Any]], key: str
) -> None:
    section, _, name = key.partition(".")
    audio = FakeAudio(FakeTimer(), np.zeros(100, np.float32), rate_hz=48_000)
    for path in ("", "\0", "a\nb", "\ud800", "\udcff", "a" * 300, "/dev/null/x", "/" + "a/" * 3000):
        changed = {**sound, section: {**sound.get(section, {}), name: path}}
        (folder / "path.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        found = check(folder / "path.yaml", audio=audio)
        shown = [finding.text or finding.detail for finding in found]
        assert all(one_line(line) for line in shown), path


def files(folder: Path) -> Iterator[Path]:
    """What a configuration may be instead of one."""
    contents = {
        "binary": os.urandom(300),
        "empty": b"",
        "null": b"~",
        "list": b"- 1\n- 2\n",
        "utf16": "device: {id: pond}".encode("utf-16"),
        "latin": b"device: {site: M\xfchle}",
        "deep": b"[" * 1200,
        "aliases": b"a: &a [x]\nb: [*a, *a]\n",
        "tag": b"!!python/object/apply:os.system ['false']",
        "twice": b"mqtt: {}\nmqtt: {}\n",
        "month": b"a: 2024-13-01\n",
        "surrogate": b'device: {site: "\\ud800"}\nstore: {path: "\\udcff"}\n',
        "unknown": b"mqtt: {passwrd: hunter2}\nmqqt: {}\n",
        "large": b"# " + b"x" * 10**6,
        "number": b"model: {hop_s: " + b"9" * 5000 + b"}\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name
    yield from (
        folder,
        folder / "none",
        folder / "empty" / "below",
        Path("/dev/null"),
        Path("\udcff"),
    )


def test_the_command_says_one_line_for_each_fault(tmp_path: Path) -> None:
    for file in files(tmp_path):
        if not faults_told(file):
            continue  # nothing wrong with it: it is all defaults
        for command in ("check", "run"):
            result = CliRunner().invoke(main, [command, "--config", str(file)])
            assert isinstance(result.exception, SystemExit), (file, result.exception)
            assert result.exit_code == (1 if command == "check" else 2), (file, result.output)
            assert "Traceback" not in result.output
            assert "hunter2" not in result.output
            lines = result.output.splitlines()
            assert all(line.startswith(("FAULT  ", "ok     ", "error: ")) for line in lines), (
                file,
                lines,
            )
            assert lines[0].startswith(("FAULT  configuration: ", "error: ")), (file, lines)


def faults_told(file: Path) -> bool:
    try:
        return bool(faults(file))
    except UnicodeEncodeError:
        return True


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_process_of_its_own_shows_no_traceback(tmp_path: Path, command: str) -> None:
    file = tmp_path / "edge.yaml"
    file.write_bytes(
        b'device: {site: "\\ud800"}\nmodel: {hop_s: .nan}\nstore: {path: "a\\0b"}\nmqqt: {}\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "edge.cli", command, "--config", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == (1 if command == "check" else 2)
    assert "Traceback" not in done.stdout + done.stderr
    # What else is checked is printed after it.
    lines = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith(("FAULT  configuration: ", "error: "))
    ]
    assert len(lines) == (4 if command == "check" else 1)
    assert all(
        key in done.stdout + done.stderr
        for key in ("device.site", "model.hop_s", "store.path", "mqqt")
    )
