"""`edge-deploy install` as root on a fresh machine with systemd: a container.

The package is a wheel that leads to what runs this test, so that no network is needed; all else is
as on a recorder.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.bundle import Bundle
from tests.support.bundles import tiny_bundle
from tests.support.container import LOOK_S, Container
from tests.support.daemons import until
from tests.support.wheel import here, linked_wheel

pytestmark = pytest.mark.nspawn

PATIENCE_S = 60.0
UNITS = "/etc/systemd/system"
CURRENT = "/var/opt/edge-monitor/bundles/current"
# Of a Python that is shown elsewhere than where it was made.
LIBRARIES = "LD_LIBRARY_PATH=/srv/python/lib"


@dataclass
class Recorder:
    container: Container
    python: str
    bundle: Bundle
    first_run: str = ""

    def install(self, *options: str, check: bool = True) -> str:
        """Its output; the end of its errors is in the last line."""
        program = (
            "import sys; sys.path[:0] = ['/srv/checkout', '/srv/packages']; from deploy.cli "
            "import main; main()"
        )
        arguments = [
            "--package",
            "/srv/wheels/edge_monitor-9.9-py3-none-any.whl",
            "--wheels",
            "/srv/wheels",
            "--python",
            self.python,
        ]
        command = ["env", LIBRARIES, self.python, "-c", program, "install", *arguments, *options]
        return self.container.run(
            "sh", "-c", 'exec "$@" 2>&1', "sh", *command, check=check, seconds=300
        )

    def drop_in(self, unit: str, text: str) -> None:
        folder = self.container.path(f"{UNITS}/{unit}.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.conf").write_text(
            f"[Service]\nEnvironment={LIBRARIES}\n{text}", encoding="utf-8"
        )
        self.container.run("systemctl", "daemon-reload")

    def shown(self, name: str, unit: str = "edge") -> str:
        return self.container.run(
            "systemctl", "show", unit, f"--property={name}", "--value"
        ).strip()

    def journal(self, unit: str = "edge") -> str:
        return self.container.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def listens(self) -> bool:
        """Whether the recorder has got as far as it can without a sound card."""
        said = self.container.run(
            "journalctl", "--no-pager", "--output=cat", f"_PID={self.shown('MainPID')}"
        )
        return "no audio input on this machine" in said


@pytest.fixture(scope="module")
def recorder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    folder = tmp_path_factory.mktemp("machine")
    for name in ("wheels", "bundles"):
        (folder / name).mkdir()
    linked_wheel(folder / "wheels", ["/srv/checkout", "/srv/packages"])
    bundle = tiny_bundle(folder / "bundles" / "tiny")
    tiny_bundle(folder / "bundles" / "wrong", golden_error=0.5)
    base = Path(sys.base_prefix)
    inside = base if base.is_relative_to("/usr") else Path("/srv/python")
    checkout, packages = here(root)
    seen = {"/srv/checkout": checkout, "/srv/packages": packages}
    seen |= {"/srv/wheels": folder / "wheels", "/srv/bundles": folder / "bundles"}
    if inside != base:
        seen[str(inside)] = base
    with Container(folder, binds={}, read_only=seen) as container:
        made = Recorder(
            container,
            f"{inside}/bin/python{sys.version_info.major}.{sys.version_info.minor}",
            bundle,
        )
        made.drop_in("edge.service", "")
        made.drop_in("edge-compile.service", "")
        made.first_run = made.install("--bundle", "/srv/bundles/tiny")
        yield made


def test_one_command_makes_a_recorder_that_listens(recorder: Recorder) -> None:
    assert "still missing: audio" in recorder.first_run
    assert os.readlink(recorder.container.path(CURRENT)) == recorder.bundle.digest
    assert recorder.container.run("systemctl", "is-enabled", "edge", "edge-compile").split() == [
        "enabled",
        "enabled",
    ]
    until(recorder.listens, PATIENCE_S, every_s=LOOK_S)
    assert recorder.shown("ActiveState") == "activating"  # ready is when samples advance
    # There is no GPU here, so there was nothing to build.
    assert recorder.shown("ConditionResult", "edge-compile") == "no"


def test_run_again_it_leaves_the_service_alone(recorder: Recorder) -> None:
    until(recorder.listens, PATIENCE_S, every_s=LOOK_S)
    process = recorder.shown("MainPID")
    said = recorder.install()
    assert said.splitlines()[0] == "nothing has to be done"
    assert recorder.shown("MainPID") == process


def test_a_model_that_fails_is_taken_back_while_the_old_one_runs(recorder: Recorder) -> None:
    until(recorder.listens, PATIENCE_S, every_s=LOOK_S)
    process = recorder.shown("MainPID")
    said = recorder.install("--bundle", "/srv/bundles/wrong", check=False)
    assert "on the golden window embedding differs" in said.splitlines()[-1]
    assert "all was taken back" in said.splitlines()[-1]
    assert os.readlink(recorder.container.path(CURRENT)) == recorder.bundle.digest
    assert recorder.shown("MainPID") == process


def test_an_engine_that_cannot_be_built_does_not_keep_the_recorder_from_starting(
    recorder: Recorder,
) -> None:
    process = recorder.shown("MainPID")
    # As if there were a GPU: its builder then fails in earnest, for there is none.
    recorder.drop_in("edge-compile.service", "[Unit]\nConditionPathExistsGlob=\n")
    try:
        recorder.container.run("systemctl", "restart", "--no-block", "edge-compile", "edge")
        until(lambda: recorder.shown("MainPID") not in (process, "0"), PATIENCE_S, every_s=LOOK_S)
        until(recorder.listens, PATIENCE_S, every_s=LOOK_S)
        assert recorder.shown("ExecMainStatus", "edge-compile") == "2"
        # tried; not again at each restart
        assert recorder.shown("ActiveState", "edge-compile") == "active"
        # Before the recorder, and not at the same time.
        built = int(recorder.shown("ExecMainExitTimestampMonotonic", "edge-compile"))
        assert 0 < built <= int(recorder.shown("ExecMainStartTimestampMonotonic"))
    finally:
        shutil.rmtree(recorder.container.path(f"{UNITS}/edge-compile.service.d"))
