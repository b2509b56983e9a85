"""Sound cards through PortAudio."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from edge.errors import AudioError
from edge.extras import how_to_install
from edge.sources.device import HARDWARE, Device, Format, readable

__all__ = ["AudioSystem", "PortAudio", "Receive", "Stream"]

# Audio per callback: long enough for a busy small computer, short against a window's hop.
CALLBACK_S = 0.05
# Takes interleaved float32, monotonic seconds and overflow, on the sound system's thread.
Receive = Callable[[bytes, float, bool], None]


class Stream(Protocol):
    """An open input."""

    def active(self) -> bool:
        """Return whether the sound system still calls back, as far as it says."""
        ...

    def close(self) -> None:
        """End the stream; no callback comes after this. Never raises."""
        ...


class AudioSystem(Protocol):
    """The inputs of this machine; used by one thread. Each call looks at the machine again."""

    def devices(self) -> list[Device]:
        """Return the inputs that are there now; raises `AudioError`."""
        ...

    def open(self, device: Device, form: Format, receive: Receive) -> Stream:
        """Start `device`, whose frames go to `receive`, which must not block.

        Raises `AudioError` when the device is gone or refuses the format.
        """
        ...


class PortAudio:
    """The inputs as PortAudio finds them, by PyAudio in callback mode.

    PortAudio looks for devices only when it starts, so each call starts an instance of its own.
    """

    def devices(self) -> list[Device]:
        """See `AudioSystem.devices`."""
        instance = _instance()
        try:
            return list(_inputs(instance))
        finally:
            instance.terminate()

    def open(self, device: Device, form: Format, receive: Receive) -> Stream:
        """See `AudioSystem.open`."""
        import pyaudio

        def callback(
            data: bytes, frames: int, times: dict[str, float], status: int
        ) -> tuple[None, int]:
            receive(data, time.monotonic(), bool(status & pyaudio.paInputOverflow))
            return None, pyaudio.paContinue

        instance = _instance()
        try:
            stream = instance.open(
                rate=form.sample_rate_hz,
                channels=form.channels,
                format=pyaudio.paFloat32,
                input=True,
                input_device_index=_index(instance, device),
                frames_per_buffer=round(CALLBACK_S * form.sample_rate_hz),
                stream_callback=callback,
            )
        except (OSError, ValueError) as exc:
            instance.terminate()
            raise AudioError(f"{device.stable_name}: cannot be opened ({_reason(exc)})") from exc
        except AudioError:
            instance.terminate()
            raise
        return _PyAudioStream(instance, stream)


def _index(instance: Any, device: Device) -> int:
    """Return the number of `device` in this instance; raises `AudioError` when it is gone."""
    for found in _inputs(instance):
        if found.name == device.name:
            return found.index
    raise AudioError(f"{device.stable_name}: has been unplugged")


class _PyAudioStream:
    def __init__(self, instance: Any, stream: Any) -> None:
        self._instance = instance
        self._stream = stream

    def active(self) -> bool:
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def close(self) -> None:
        try:
            self._stream.close()
        except OSError:
            pass  # the server behind it has gone; there is nothing left to close
        finally:
            self._instance.terminate()


def _instance() -> Any:
    try:
        import pyaudio
    except ImportError as exc:
        raise AudioError(
            f"PyAudio cannot be used ({exc})",
            suggestion=f"install libportaudio2, and run: {how_to_install('mic')}",
        ) from exc
    _silence_native_libraries()
    return pyaudio.PyAudio()


def _inputs(instance: Any) -> list[Device]:
    try:
        default = instance.get_default_input_device_info()["index"]
    except OSError:
        default = None
    found = (instance.get_device_info_by_index(i) for i in range(instance.get_device_count()))
    return [
        Device(
            name=readable(device["name"]),
            card=_card(readable(device["name"])),
            channels=int(device["maxInputChannels"]),
            sample_rate_hz=int(device["defaultSampleRate"]),
            index=int(device["index"]),
            default=device["index"] == default,
        )
        for device in found
        if device["maxInputChannels"] > 0
    ]


def _card(name: str) -> str:
    match = HARDWARE.search(name)
    identity = Path("/proc/asound", f"card{match[1]}", "id") if match else None
    return identity.read_text().strip() if identity and identity.exists() else ""


def _reason(exc: Exception) -> str:
    # PyAudio's errors have a number and a text, in either order.
    return next((arg for arg in exc.args if isinstance(arg, str)), str(exc))


_muted: list[Any] = []  # keeps the C function alive for as long as the libraries may call it


def _silence_native_libraries() -> None:
    """Silence ALSA and JACK, which print a page about absent devices on standard error each time.

    Their errors reach this program as codes.
    """
    if _muted:
        return
    handler = ctypes.CFUNCTYPE(None)(_say_nothing)
    _muted.append(handler)
    for library, function in (
        ("libasound.so.2", "snd_lib_error_set_handler"),
        ("libjack.so.0", "jack_set_error_function"),
        ("libjack.so.0", "jack_set_info_function"),
    ):
        try:
            getattr(ctypes.CDLL(library), function)(handler)
        except (OSError, AttributeError):
            continue  # PortAudio was built without it


def _say_nothing() -> None:
    """Take the message of a C library; the caller removes its arguments from the stack."""
