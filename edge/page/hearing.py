"""Clips for people: played by a program of the system, or copied."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import soundfile

from edge.errors import UserError
from edge.files import replacing

__all__ = ["copy_clip", "play_clip"]

# Each plays a WAV and ends with it.
PLAYERS = (
    ("pw-play",),
    ("paplay",),
    ("aplay", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
)
NO_PLAYER = "install one: apt-get install alsa-utils"


def copy_clip(path: Path, folder: Path) -> Path:
    """Copy a clip below `folder`, in a folder named as its label; return where it is."""
    target = folder / path.parent.name / path.name
    with replacing(target) as staging:
        shutil.copyfile(path, staging)
    return target


def play_clip(path: Path) -> None:
    """Play a clip to its end; raises `UserError` where nothing here can."""
    player = next((command for command in PLAYERS if shutil.which(command[0])), None)
    if player is None:
        raise UserError("no program to play sound with is installed", suggestion=NO_PLAYER)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        # Not every player reads FLAC.
        samples, rate_hz = soundfile.read(path, dtype="int16")
        soundfile.write(file, samples, rate_hz, format="WAV", subtype="PCM_16")
        file.flush()
        done = subprocess.run([*player, file.name], check=False, capture_output=True, text=True)
    if done.returncode:
        reason = f"{player[0]} could not play {path}: {done.stderr.strip()}"
        raise UserError(reason, suggestion="is there a sound output?")
