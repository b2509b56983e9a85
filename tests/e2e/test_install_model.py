"""`edge-deploy install` on a running recorder: from one model to the next.

A build of an engine that fails does not stop it.

The environment is made in a container, of a wheel that leads to the packages that run this test; a
drop-in gives the daemon a sound card that plays a file.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from edge.bundle import Bundle
from tests.support.bundles import SPEC, tiny_bundle, tone
from tests.support.container import LOOK_S, Container
from tests.support.daemons import until
from tests.support.wheel import linked_wheel

pytestmark = pytest.mark.nspawn

PATIENCE_S = 60.0
STATE = "/var/lib/private/edge-monitor"
CACHE = "/var/cache/private/edge-monitor"
CURRENT = "/var/opt/edge-monitor/bundles/current"
CARD = """[Service]
Environment=LD_LIBRARY_PATH=/srv/python/lib OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
ExecStart=
ExecStart=/opt/edge-monitor/bin/python -m tests.support.recorder_process \\
  --config /etc/edge-monitor/edge.yaml --card /srv/card
"""
# A GPU for a moment, and a build that leaves a trace and fails.
BUILD = """[Unit]
ConditionPathExistsGlob=
[Service]
ExecStart=
ExecStart=/bin/sh -c 'id -u >%C/edge-monitor/builder; exit 1'
"""


class Bare:
    """A system in a container, and what is done to it as root."""

    def __init__(self, container: Container, python: str) -> None:
        self.container, self.python = container, python

    def run(self, *command: str) -> str:
        return self.container.run(*command, check=False, seconds=300).strip()

    def write(self, path: str, text: str) -> None:
        file = self.container.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def install(self, bundle: str, *options: str) -> tuple[str, str]:
        """Exit status, and what it said, errors too."""
        settings = ["PYTHONPATH=/srv/checkout:/srv/packages", "LD_LIBRARY_PATH=/srv/python/lib"]
        wheel = [
            "--package",
            "/srv/wheel/edge_monitor-9.9-py3-none-any.whl",
            "--wheels",
            "/srv/wheel",
            "--python",
            self.python,
        ]
        given = [
            self.python,
            "-c",
            "from deploy.cli import main; main()",
            "install",
            "--bundle",
            bundle,
            *wheel,
            *options,
        ]
        output = self.run("env", *settings, "sh", "-c", '"$@" 2>&1; echo "exit $?"', "sh", *given)
        said, _, status = output.rpartition("exit ")
        return status, said

    def shown(self, name: str, unit: str = "edge") -> str:
        return self.run("systemctl", "show", unit, f"--property={name}", "--value")

    def until(self, condition: Callable[[], object]) -> None:
        try:
            until(condition, PATIENCE_S, every_s=LOOK_S)
        except AssertionError:
            pytest.fail(
                self.run(
                    "journalctl",
                    "--no-pager",
                    "--output=cat",
                    "--unit=edge",
                    "--unit=edge-compile",
                    "--lines=60",
                )
            )

    def active(self) -> bool:
        return self.shown("ActiveState") == "active"

    def hears_with(self, bundle: Bundle, tmp_path: Path) -> bool:
        """Whether the last detection that was stored is one of this bundle's."""
        return any(event["bundle"] == bundle.digest for event in self.events(tmp_path)[-1:])

    def events(self, tmp_path: Path) -> list[dict[str, Any]]:
        """Read from a copy, so that the service keeps its files to itself."""
        copy = tmp_path / "copy.db"
        for suffix in ("-wal", ""):
            source = self.container.path(f"{STATE}/edge.db{suffix}")
            Path(f"{copy}{suffix}").unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, f"{copy}{suffix}")
        connection = sqlite3.connect(copy)
        try:
            return [
                json.loads(text)
                for (text,) in connection.execute("SELECT payload FROM detections ORDER BY number")
            ]
        except sqlite3.DatabaseError:
            return []  # not yet made, or written while it was copied
        finally:
            connection.close()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    """Two that differ in what they expect of their golden window, though not by much."""
    folder = tmp_path_factory.mktemp("bundles")
    return {
        name: tiny_bundle(folder / name, golden_error=error)
        for name, error in {"old": 0.0, "new": 1e-6}.items()
    }


@pytest.fixture(scope="module")
def bare(
    root: Path, tmp_path_factory: pytest.TempPathFactory, bundles: dict[str, Bundle]
) -> Iterator[Bare]:
    folder = tmp_path_factory.mktemp("bare")
    for name in ("card", "wheel", "machine"):
        (folder / name).mkdir()
    for part in [folder, *folder.parents]:
        if part.is_relative_to(tmp_path_factory.getbasetemp().parent):
            part.chmod(0o755)
    soundfile.write(folder / "card" / "sound.wav", tone(300, 10), SPEC.sample_rate_hz)
    linked_wheel(folder / "wheel", ["/srv/checkout", "/srv/packages"])
    base = Path(sys.base_prefix)
    inside = base if base.is_relative_to("/usr") else Path("/srv/python")
    seen = {
        "/srv/card": folder / "card",
        "/srv/wheel": folder / "wheel",
        "/srv/bundles": bundles["old"].path.parent,
        "/srv/checkout": root,
        "/srv/packages": Path(sysconfig.get_path("purelib")),
        **({} if inside == base else {str(inside): base}),
    }
    with Container(folder / "machine", binds={}, read_only=seen) as container:
        yield Bare(
            container,
            str(inside / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"),
        )


def test_a_recorder_goes_from_one_model_to_the_next(
    bare: Bare, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    bare.write("/etc/systemd/system/edge.service.d/card.conf", CARD)
    status, said = bare.install("/srv/bundles/old")
    assert status == "0", said
    bare.until(bare.active)
    bare.until(lambda: bare.hears_with(bundles["old"], tmp_path))
    process = bare.shown("MainPID")
    status, said = bare.install("/srv/bundles/new")
    assert (status, bare.run("readlink", CURRENT)) == ("0", bundles["new"].digest), said
    # The same store goes on.
    bare.until(lambda: bare.hears_with(bundles["new"], tmp_path))
    assert bare.shown("MainPID") != process
    assert {event["bundle"] for event in bare.events(tmp_path)} == {
        bundle.digest for bundle in bundles.values()
    }


def test_a_build_that_fails_keeps_nobody_from_recording(
    bare: Bare, bundles: dict[str, Bundle]
) -> None:
    """It runs before the recorder, as the same user, whose cache both write."""
    bare.write("/etc/systemd/system/edge.service.d/card.conf", CARD)
    status, said = bare.install("/srv/bundles/old")
    assert status == "0", said
    bare.until(bare.active)
    bare.run("systemctl", "stop", "edge", "edge-compile")
    bare.write("/etc/systemd/system/edge-compile.service.d/build.conf", BUILD)
    bare.run("systemctl", "daemon-reload")
    bare.run("systemctl", "start", "edge")
    bare.until(bare.active)
    assert bare.shown("Result", "edge-compile") == "exit-code"
    ended = int(bare.shown("ExecMainExitTimestampMonotonic", "edge-compile"))
    assert 0 < ended <= int(bare.shown("ExecMainStartTimestampMonotonic"))
    status_of = bare.container.path(f"/proc/{bare.shown('MainPID')}/status").read_text()
    (user,) = re.findall(r"^Uid:\s+(\d+)", status_of, re.MULTILINE)
    assert bare.run("cat", f"{CACHE}/builder") == user
    # Nor does a build beside the running recorder take the cache away from it.
    bare.run("rm", f"{CACHE}/builder")
    bare.run("systemctl", "restart", "edge-compile")
    assert bare.run("cat", f"{CACHE}/builder") == user
    assert bare.run("stat", "--format=%u", CACHE) == user
    assert bare.active()
