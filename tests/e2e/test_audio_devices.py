"""A microphone is listed, missed and waited for, and ready only once it brings samples."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemons import until
from tests.support.live import LiveRecorder, edge, live_config, live_recorder
from tests.support.soundserver import DEVICE, SoundServer, sound_server

pytestmark = pytest.mark.audio


@pytest.fixture
def silent_server() -> Iterator[SoundServer]:
    """A server that is not started: a microphone that is not there yet."""
    with sound_server() as server:
        yield server


def is_ready(recorder: LiveRecorder) -> bool:
    try:
        recorder.ready(0.01)
    except TimeoutError:
        return False
    return True


def test_devices_are_listed_and_checked_by_name(silent_server: SoundServer, tmp_path: Path) -> None:
    silent_server.start()
    listed = edge("devices", environ=silent_server.environ)
    # ALSA has much to say of devices that are not there
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [DEVICE]

    found = edge("check", "--config", str(live_config(tmp_path)), environ=silent_server.environ)
    assert f"ok     audio: {DEVICE}" in found.stdout
    assert (found.returncode, found.stderr) == (0, ""), found.stdout

    silent_server.name("barn")
    missed = edge("check", "--config", str(live_config(tmp_path)), environ=silent_server.environ)
    faults = [line for line in missed.stdout.splitlines() if line.startswith("FAULT")]
    assert (missed.returncode, missed.stderr) == (1, "")
    assert len(faults) == 1
    assert f"'{DEVICE}'" in faults[0]
    assert "barn" in faults[0]


def test_a_microphone_that_is_not_there_yet_is_waited_for(
    silent_server: SoundServer, tmp_path: Path
) -> None:
    silent_server.name("barn")
    with live_recorder(tmp_path, environ=silent_server.environ) as recorder:
        until(lambda: "no audio input on this machine" in recorder.log, 60)  # no server at all
        silent_server.start()
        # one of another name
        until(lambda: f"no audio input is called '{DEVICE}' (there are: barn)" in recorder.log, 60)
        assert not is_ready(recorder)
        assert recorder.audio_s("heard", "gated") == 0
        silent_server.name(DEVICE)
        named_s = time.monotonic()
        ready_s = recorder.ready(60)
        assert ready_s > named_s
        recorder.wait_for_audio()
        recorder.stop()
        assert recorder.total_s("heard", "gated") > 0
        # each trouble is said once, by us, and by no library
        assert len(recorder.log.splitlines()) < 12, recorder.log


def test_a_server_that_answers_nothing_does_not_make_a_recorder_ready(
    silent_server: SoundServer, tmp_path: Path
) -> None:
    silent_server.start()
    silent_server.freeze()
    with live_recorder(tmp_path, environ=silent_server.environ) as recorder:
        until(lambda: "edge.recorder.daemon: device" in recorder.log, 60)
        time.sleep(1)
        assert not is_ready(recorder)
        silent_server.thaw()
        recorder.ready(60)
        recorder.wait_for_audio()
        recorder.stop()
