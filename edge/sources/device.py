"""An input of this machine, and which of several a name means."""

from __future__ import annotations

import locale
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import AudioError

__all__ = ["HARDWARE", "MOST_CHANNELS", "Device", "Format", "choose_device", "readable"]

PLUGGED_IN = "is it plugged in? `edge devices` lists the inputs"
DIRECT = re.compile(r"\(hw:\d+,\d+\)")
HARDWARE = re.compile(r" ?\((?:plug)?hw:(\d+),\d+\)")
MOST_CHANNELS = 8  # of a sound server's source, as a rule


@dataclass(frozen=True, kw_only=True)
class Device:
    """An input of this machine.

    `name` is the system's; `card` is the kernel's identifier of the card, which outlives a reboot.
    """

    name: str
    card: str
    channels: int
    sample_rate_hz: int
    index: int
    default: bool = False

    @property
    def direct(self) -> bool:
        """Whether it is a card, and not a sound server or a plug-in that converts and mixes."""
        return DIRECT.search(self.name) is not None

    @property
    def channels_text(self) -> str:
        """How many channels there are, where that is known."""
        if self.invents_channels:
            return f"up to {self.channels} channels"
        return f"{self.channels} channel{'s' * (self.channels != 1)}"

    @property
    def invents_channels(self) -> bool:
        """Whether it is a plug-in of ALSA, which has as many channels as one asks for."""
        return not self.direct and self.channels > MOST_CHANNELS

    @property
    def stable_name(self) -> str:
        """The name without the card's number, which depends on the order of plugging in."""
        return HARDWARE.sub("", self.name)


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a device is opened: float32 at `sample_rate_hz` (Hz) with `channels`."""

    sample_rate_hz: int
    channels: int


def choose_device(devices: Sequence[Device], wanted: str | None) -> Device:
    """Return the device that is called `wanted`; None is the default input.

    A name, stable name or card that equals `wanted` comes before a name that contains it. Raises
    `AudioError`.
    """
    if not devices:
        raise AudioError("no audio input on this machine", suggestion=PLUGGED_IN)
    if wanted is None:
        return next((device for device in devices if device.default), devices[0])
    folded = _folded(wanted)
    for device in devices:
        own = (device.name, device.stable_name, device.card)
        if folded in map(_folded, own):
            return device
    for device in devices:
        if folded in _folded(device.name):
            return device
    names = ", ".join(device.stable_name for device in devices)
    raise AudioError(
        f"no audio input is called '{wanted}' (there are: {names})", suggestion=PLUGGED_IN
    )


def readable(name: str | bytes) -> str:
    """Return a device's name as text that can be shown, and written into a configuration.

    Kernel and drivers say in no place how a name is encoded: it is UTF-8, or else Latin-1, in which
    every byte is a character. `name` is text where PyAudio has taken it for the locale's encoding.
    """
    try:
        raw = name if isinstance(name, bytes) else name.encode(locale.getpreferredencoding(False))
        text = raw.decode("utf-8")
    except UnicodeError:
        text = name.decode("latin-1") if isinstance(name, bytes) else name
    return "".join(character if character.isprintable() else "?" for character in text)


def _folded(name: str) -> str:
    """Return a name as it is compared: a letter can be written in several ways."""
    return unicodedata.normalize("NFC", name).casefold()
