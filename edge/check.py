"""`edge check`: everything that would keep a recorder from working, all at once, before it stands in the field."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.config import Config, load_config
from edge.errors import FaultyConfigError, UserError
from edge.recorder import draw_up
from edge.sinks.mqtt import probe
from edge.sources.portaudio import AudioSystem, choose

__all__ = ["Finding", "check"]

MB = 10**6


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `fault` is None when it is in order; then `detail` says what was found, never a secret."""

    subject: str
    detail: str = ""
    fault: str | None = None


def check(file: Path | None, *, audio: AudioSystem) -> Iterator[Finding]:
    """Look at the configuration, then at the device, the model, the disk and the broker it names, each whatever the others said."""
    try:
        config = load_config(file)
    except FaultyConfigError as exc:
        yield from (Finding(subject="configuration", fault=str(fault)) for fault in exc.faults)
        return
    missing = config.missing_files()
    yield from (Finding(subject="configuration", fault=str(fault)) for fault in missing)
    if not missing:
        yield Finding(subject="configuration", detail=f"epoch {config.digest[:12]}")
    yield _tried("audio", lambda: _device(config, audio))
    yield _tried("model", lambda: _model(config))
    yield _tried("disk", lambda: _disk(config))
    if config.mqtt.enabled and not missing:
        yield _tried("broker", lambda: _broker(config))


def _tried(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject=subject, detail=look())
    except UserError as exc:
        return Finding(subject=subject, fault=str(exc))
    except OSError as exc:
        return Finding(subject=subject, fault=f"{exc.filename or subject}: {exc.strerror or exc}")


def _device(config: Config, audio: AudioSystem) -> str:
    device = choose(audio.devices(), config.audio.device)
    if config.audio.channel != "mix" and config.audio.channel > device.channels:
        raise UserError(f"audio.channel = {config.audio.channel}: {device.stable_name} has {device.channels} channels")
    return f"{device.stable_name}, {device.channels} channels, {device.sample_rate_hz} Hz"


def _model(config: Config) -> str:
    plan = draw_up(config)
    return f"{plan.bundle.manifest.name} {plan.bundle.digest[:12]}, {len(plan.bundle.labels)} species; device {plan.device}"


def _disk(config: Config) -> str:
    """The store's folder must be writable and hold what its outbox, its history and the clips may grow to."""
    folder = Path(config.store.path).resolve().parent
    if not folder.is_dir():
        raise UserError(f"store.path: the folder {folder} does not exist")
    if not os.access(folder, os.W_OK):
        raise UserError(f"store.path: {folder} cannot be written to")
    free_mb = shutil.disk_usage(folder).free / MB
    wanted_mb = config.store.outbox_mb + config.clips.reserve_mb
    if free_mb < wanted_mb:
        raise UserError(
            f"{folder}: {free_mb:.0f} MB are free, outbox and reserve need {wanted_mb:.0f} MB (free some, or ask for less)"
        )
    return f"{folder}, {free_mb:.0f} MB free"


def _broker(config: Config) -> str:
    reason = probe(config.mqtt, device=config.device_id())
    if reason is not None:
        raise UserError(f"{config.mqtt.host}:{config.mqtt.port}: {reason}")
    return f"{config.mqtt.host}:{config.mqtt.port} accepts"
