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


def test_where_there_is_no_input_devices_says_so_and_what_to_look_at(
    silent_server: SoundServer,
) -> None:
    listed = edge("devices", environ=silent_server.environ)
    assert (listed.returncode, listed.stdout) == (1, "")
    assert listed.stderr.startswith(
        "error: no audio input on this machine; is a microphone plugged"
    )
    assert len(listed.stderr.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_in_any_encoding_is_shown_and_can_be_configured(
    silent_server: SoundServer, tmp_path: Path, encoding: str
) -> None:
    """A program of other people's may have written it."""
    silent_server.name('"Käfer mic"', encoding=encoding)
    silent_server.start()
    listed = edge("devices", environ=silent_server.environ)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("Käfer mic  up to 32 channels")
    with live_recorder(
        tmp_path, environ=silent_server.environ, audio={"device": "KÄFER"}
    ) as recorder:
        recorder.ready(60)
        recorder.wait_for_audio()
        recorder.stop()
    assert "listening to Käfer mic: 44100 Hz, 2 channels" in recorder.log


def test_a_terminal_without_the_letters_of_a_name_shows_their_numbers(
    silent_server: SoundServer,
) -> None:
    silent_server.name('"マイク"')
    silent_server.start()
    listed = edge("devices", environ={**silent_server.environ, "PYTHONIOENCODING": "latin-1"})
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("\\u30de\\u30a4\\u30af  up to 32 channels")


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
        until(lambda: ": device " in recorder.log, 60)
        time.sleep(1)
        assert not is_ready(recorder)
        silent_server.thaw()
        recorder.ready(60)
        recorder.wait_for_audio()
        recorder.stop()
