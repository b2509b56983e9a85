"""`edge check`: all that would keep a recorder from working, before it stands in the field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.config.config import Config, load_config
from edge.errors import ConfigError, DeliveryError, Fault, FaultyConfigError, UserError, blamed_on
from edge.mqtt.probe import probe
from edge.recorder.disk_room import room_on_the_disks
from edge.recorder.plan import make_plan
from edge.sources.portaudio import AudioSystem, choose_device

__all__ = ["Finding", "check"]

# Which key leads to a reason why a broker cannot be used, and what to do.
BROKER_FAULTS = {
    "tls": ("mqtt.tls", "does the broker speak TLS there, and do these certificates belong to it?"),
    "credentials": ("mqtt.username_file", "may this user read the files that mqtt names?"),
    "refused": ("mqtt.username_file", "does the broker know this recorder?"),
    "puback": ("mqtt.username_file", "let it write everything below mqtt.topic_prefix/DEVICE"),
    "unanswered": ("mqtt.host", "it takes connections and acknowledges nothing: see its own log"),
}
UNREACHABLE = ("mqtt.host", "is it running, and may this recorder reach it?")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    `fault` is None when it is in order; then `detail` says what was found, never a secret.
    """

    subject: str
    detail: str = ""
    fault: Fault | None = None

    @property
    def text(self) -> str:
        """The fault in one line for people, empty where there is none."""
        return "" if self.fault is None else str(self.fault)

    def as_mapping(self) -> dict[str, object]:
        """Return plain JSON types, for programs."""
        fault = None if self.fault is None else dataclasses.asdict(self.fault)
        return {"subject": self.subject, "detail": self.detail, "fault": fault, "text": self.text}


def check(file: Path | None, *, audio: AudioSystem) -> Iterator[Finding]:
    """Look at the configuration, then at the device, the model, the disk and the broker it names.

    Each is looked at whatever the others gave; what a section with a fault in it would have
    configured is not tried.
    """
    config, faults = _loaded(file)
    yield from (Finding(subject="configuration", fault=fault) for fault in faults)
    if config is None:
        return
    spoilt = {fault.key.partition(".")[0] for fault in faults}
    if not faults:
        yield Finding(subject="configuration", detail=f"epoch {config.digest[:12]}")
    if not spoilt & {"audio"}:
        yield _tried("audio", lambda: _device(config, audio))
    if not spoilt & {"device", "site", "model", "tracker", "health", "events"}:
        yield _tried("model", lambda: _model(config))
    if not spoilt & {"store", "clips"}:
        yield _tried("disk", lambda: room_on_the_disks(config))
    # A file of a secret that is missing is a fault of `mqtt`, too.
    if config.mqtt.enabled and not spoilt & {"device", "mqtt"}:
        yield _tried("broker", lambda: _broker(config))


def _loaded(file: Path | None) -> tuple[Config | None, list[Fault]]:
    """Return the configuration, with defaults for sections that are faulty, and its faults.

    It is None where the file is not a configuration at all.
    """
    try:
        config = load_config(file)
        return config, config.missing_files()
    except FaultyConfigError as exc:
        faults = list(exc.faults)
    try:
        config = load_config(file, without={fault.key.partition(".")[0] for fault in faults})
    except FaultyConfigError:
        return None, faults
    return config, faults + config.missing_files()


def _tried(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(subject=subject, detail=look())
    except UserError as exc:
        return Finding(subject=subject, fault=exc.fault)
    except OSError as exc:
        reason = f"{exc.filename or subject}: {exc.strerror or exc}"
        return Finding(subject=subject, fault=Fault(reason=reason))


def _device(config: Config, audio: AudioSystem) -> str:
    wanted = config.audio
    devices = audio.devices()  # what fails here is the machine's fault, and no key's
    named = "null" if wanted.device is None else wanted.device
    with blamed_on("audio.device", named, "`edge devices` lists the inputs"):
        device = choose_device(devices, wanted.device)
    if wanted.channel != "mix" and wanted.channel > device.channels:
        raise ConfigError(
            f"{device.stable_name} has {device.channels} channels",
            key="audio.channel",
            value=wanted.channel,
            suggestion=f"1 to {device.channels}, or mix",
        )
    return f"{device.stable_name}, {device.channels} channels, {device.sample_rate_hz} Hz"


def _model(config: Config) -> str:
    plan = make_plan(config)
    species = f"{len(plan.bundle.labels)} species"
    if config.site.species is not None:
        species = f"{len(config.site.species.labels)} of {species}"
    bundle = f"{plan.bundle.manifest.name} {plan.bundle.digest[:12]}"
    engine = plan.model.engine
    why_not = f" (not by {'; '.join(engine.why_not)})" if engine.why_not else ""
    runs = f"run by {engine.backend}/{engine.variant}{why_not}"
    return f"{bundle}, {species}; device {plan.device}; {runs}"


def _broker(config: Config) -> str:
    place = f"{config.mqtt.host}:{config.mqtt.port}"
    try:
        return f"{place} {probe(config.mqtt, device=config.device_id())}"
    except DeliveryError as trouble:
        key, suggestion = BROKER_FAULTS.get(trouble.reason, UNREACHABLE)
        raise ConfigError(str(trouble), key=key, value=place, suggestion=suggestion) from trouble
