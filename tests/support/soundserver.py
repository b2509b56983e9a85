"""A PulseAudio server for tests, with a null sink whose monitor is the microphone.

It can be killed, frozen and played into.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEVICE", "QUAD", "RATE_HZ", "STEREO", "SoundServer", "hear", "sound_server"]

ROOT = Path(__file__).resolve().parents[2]

DEVICE = "recorder"
RATE_HZ = 48_000
MONO, STEREO = "mono", "front-left,front-right"
QUAD = f"{STEREO},rear-left,rear-right"  # as PulseAudio names those of a card
# No conversion may take place between the player and us: the sink's own rate, channels and format
# are those of the files played. A null sink mixes up to 2 s ahead, and takes that back when a
# player comes; what the monitor had of it is then missing.
SINK = (
    "sink_name=field rate={rate} channels={channels} channel_map={layout} format=s16le norewinds=1"
)
SCRIPT = f"""\
load-module module-native-protocol-unix socket={{socket}} auth-anonymous=1
load-module module-null-sink {SINK}
"""
# ALSA's own file is left out, so that no card, server or setting of this machine has a part in it.
# PortAudio aborts the program where nothing is called `default`; this one cannot be opened, so it
# is not an input.
ALSA = """\
pcm.{device} {{ type pulse server "unix:{socket}" device "field.monitor" }}
pcm.default {{ type hw card 31 }}
"""


class SoundServer:
    """A sound server, which runs once it is `start`ed.

    `environ` is what a program needs to find it, and no other sound card or server. The microphone
    has the channels of `layout`, in that order.
    """

    def __init__(self, folder: Path, *, device: str = DEVICE, layout: str = MONO) -> None:
        self._folder, self._socket = folder, folder / "native"
        self._process: subprocess.Popen[bytes] | None = None
        self._layout = layout
        script = SCRIPT.format(
            socket=self._socket, rate=RATE_HZ, channels=layout.count(",") + 1, layout=layout
        )
        (folder / "default.pa").write_text(script)
        (folder / "daemon.conf").write_text("flat-volumes = no\navoid-resampling = yes\n")
        (folder / "client.conf").write_text("autospawn = no\n")
        self.name(device)
        self.environ = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PULSE_", "ALSA_", "JACK_"))
            },
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_CLIENTCONFIG": str(folder / "client.conf"),
            "PULSE_CONFIG": str(folder / "daemon.conf"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "JACK_NO_START_SERVER": "1",
        }

    def name(self, device: str, *, encoding: str = "utf-8") -> None:
        """Change the microphone's name; programs see it when they look for devices again."""
        text = ALSA.format(device=device, socket=self._socket)
        (self._folder / "asound.conf").write_text(text, encoding=encoding)

    @property
    def log(self) -> str:
        """What the server has said."""
        return (self._folder / "log").read_text()

    def start(self) -> None:
        """Returns once it answers."""
        assert self._process is None
        # A server killed in the act leaves its socket behind, which the next one would take for a
        # living one's.
        self._socket.unlink(missing_ok=True)
        command = [
            "pulseaudio",
            "-n",
            "-F",
            str(self._folder / "default.pa"),
            "--daemonize=no",
            "--use-pid-file=no",
        ]
        command += [
            "--exit-idle-time=-1",
            "--realtime=no",
            "--high-priority=no",
            "--log-target=stderr",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environ)
        deadline_s = time.monotonic() + 30
        while subprocess.run(
            ["pactl", "info"], env=self.environ, capture_output=True, check=False
        ).returncode:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline_s, self.log
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server, as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It holds its sockets and does nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def play(self, wav: Path) -> subprocess.Popen[bytes]:
        """Play a file into the sink in real time; the player ends by itself."""
        layout = f"--channel-map={self._layout}"
        command = ["paplay", "--device=field", "--volume=65536", layout, str(wav)]
        return subprocess.Popen(command, env=self.environ)


def hear(server: SoundServer, wav: Path, out: Path, *channel: str) -> NDArray[np.float64]:
    """Play a file to a microphone of this project, and return what it heard, in 16-bit steps (n,).

    `out` is a file to write on the way. The silence around the sound is left out.
    """
    command = [sys.executable, "-m", "tests.support.hear", DEVICE, str(RATE_HZ), str(out), *channel]
    with subprocess.Popen(
        command, cwd=ROOT, env=server.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as hearing:
        assert hearing.stdout is not None
        assert hearing.stdout.readline() == b"hearing\n"
        assert server.play(wav).wait(60) == 0
        hearing.communicate(timeout=60)
    found = np.load(out)
    assert not len(found["gaps"])
    # float32 holds every 16-bit number exactly; full scale is 1.
    steps: NDArray[np.float64] = found["samples"].astype(np.float64) * 2**15
    sounding = np.flatnonzero(steps)
    return steps[sounding[0] : sounding[-1] + 1] if len(sounding) else steps[:0]


@contextmanager
def sound_server(*, device: str = DEVICE, layout: str = MONO) -> Iterator[SoundServer]:
    """A server that has not been started; killed at the end whatever happens."""
    # Not in pytest's folder: the path of a socket may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="edge-sound-"))
    server = SoundServer(folder, device=device, layout=layout)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
