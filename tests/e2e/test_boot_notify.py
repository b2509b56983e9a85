"""`systemd/edge-notify.service` beside a recorder, under a real systemd in a booted container."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_boot import Recorder, booted_recorder
from tests.support.container import ENVIRONMENT
from tests.support.telling import far_end

pytestmark = pytest.mark.nspawn

STATE = "/var/lib/private/edge-monitor"


@pytest.fixture(scope="module")
def recorder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    lines = {"edge-notify.service": f"[Service]\nEnvironment={ENVIRONMENT}\n"}
    with booted_recorder(root, tmp_path_factory, *lines, drop_ins=lines) as recorder:
        yield recorder


def writes(recorder: Recorder, path: str) -> bool:
    """Whether its process could make a file there, as far as its mounts go."""
    process = recorder.systemctl("show", "edge-notify", "--property=MainPID", "--value").strip()
    script = f"touch {path} && rm {path} && echo yes"
    enter = ("nsenter", f"--target={process}", "--mount", "sh", "-c", script)
    return "yes" in recorder.container.run(*enter, check=False)


def test_what_the_recorder_hears_is_told_with_picture_and_sound(recorder: Recorder) -> None:
    credentials = recorder.settings / "credentials"
    credentials.mkdir(mode=0o700)
    tell = {"services_file": "edge_notify", "species": ["Low hummer"], "every_s": 0.0}
    recorder.configure(
        model=recorder.with_the_tiny_bundle(),
        mqtt={"enabled": False, "wait_for_sync_s": 0.0},  # nothing sets the clock here
        tracker={"cooldown_s": 1.0, "longest_s": 5.0},
        notify={**tell, "probability": 0.0, "score": 0.0},
    )
    recorder.drop_in()
    with far_end() as far:
        (credentials / "notify").write_text(f"{far.url}\n")
        (credentials / "notify").chmod(0o600)
        recorder.start()
        recorder.until(lambda: recorder.container.path(f"{STATE}/edge.db").exists())
        recorder.systemctl("start", "edge-notify")
        try:
            recorder.until(lambda: far.taken)
        except pytest.fail.Exception:
            pytest.fail(recorder.container.run("journalctl", "--no-pager", "--unit=edge-notify"))
        assert far.titles[0].startswith("Low Hummer: ")
        files = [file["filename"] for file in far.taken[0]["attachments"]]
        assert files == ["spectrogram.png", "sound.wav"]
        assert recorder.container.path(f"{STATE}/notify/notify.db").exists()
        assert writes(recorder, f"{STATE}/notify/x")
        assert not writes(recorder, f"{STATE}/edge.db-x")
        assert not writes(recorder, f"{STATE}/clips/x")
        journal = recorder.container.run("journalctl", "--no-pager", "--unit=edge-notify")
        assert not re.search("s3cret|t0ken", journal)
        status = recorder.systemctl("show", "edge-notify", "--property=MemoryPeak,NRestarts")
        assert "NRestarts=0" in status
        recorder.systemctl("stop", "edge-notify")
        assert "success" in recorder.systemctl("show", "edge-notify", "--property=Result")
