"""`edge check`: all that would keep a recorder from working, before it stands in the field."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.config.config import Config, load_config
from edge.detect.privacy import Privacy
from edge.errors import ConfigError, DeliveryError, Fault, FaultyConfigError, UserError, blamed_on
from edge.heads.configured import trusted_keys
from edge.mqtt.probe import probe
from edge.notify.checking import found_services, notify_doubts, service_faults
from edge.recorder.check_places import page, store_file
from edge.recorder.disk_room import room_on_the_disks
from edge.recorder.plan import RecorderPlan, make_plan, sound_memory
from edge.recorder.store_place import has_folder
from edge.section import MB
from edge.sources.audioconfig import SHORTEST_BUFFER_S
from edge.sources.device import choose_device
from edge.sources.memory import SoundMemory
from edge.sources.portaudio import AudioSystem

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

MEMORY_KEYS = ("audio.buffer_s", "tracker.longest_s")
USUAL_RATE_HZ = 48_000  # of a device that is not there
WINDOW_S = 5.0  # of a model that cannot be loaded


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    `fault` is None when it is in order; then `detail` says what was found, never a secret. With
    `warns`, that is hardly what was meant.
    """

    subject: str
    detail: str = ""
    fault: Fault | None = None
    warns: bool = False

    @property
    def text(self) -> str:
        """The fault in one line for people, empty where there is none."""
        return "" if self.fault is None else str(self.fault)

    def as_mapping(self) -> dict[str, object]:
        """Return plain JSON types, for programs."""
        fault = None if self.fault is None else dataclasses.asdict(self.fault)
        warns = {"warns": True} if self.warns else {}
        head = {"subject": self.subject, "detail": self.detail}
        return {**head, "fault": fault, "text": self.text, **warns}


def check(file: Path | None, *, audio: AudioSystem) -> Iterator[Finding]:
    """Look at the configuration, then at all that `edge run` would open by it.

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
    plan: RecorderPlan | None = None
    found: list[Finding] = []
    if not spoilt & {"device", "site", "model", "tracker", "health", "events", "privacy"}:
        plan, found = _planned(config)
    if config.heads.wanted and not spoilt & {"model", "heads"}:
        yield _tried("heads", lambda: _heads(config))
    if not spoilt & {"audio"}:
        yield from _audio(config, audio, plan)
    yield from found
    if not spoilt & {"store", "clips"}:
        yield _tried("disk", lambda: room_on_the_disks(config))
    if not spoilt & {"store"} and has_folder(config.store.path):
        yield _tried("store", lambda: store_file(config))
    if config.metrics.enabled and not spoilt & {"metrics"}:
        yield _tried("metrics", lambda: page(config))
    yield from _notify(config)
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


def _audio(config: Config, audio: AudioSystem, plan: RecorderPlan | None) -> Iterator[Finding]:
    """Look at the device, and at the memory that its sound takes, also where it is not there."""
    memory = sound_memory(config, window_s=plan.bundle.frontend.window_s if plan else WINDOW_S)
    found = _tried("audio", lambda: _device(config, audio, memory))
    yield found
    if found.fault is not None and found.fault.key not in MEMORY_KEYS:
        usual = _tried("audio", lambda: _kept(memory, config.audio.rate_hz or USUAL_RATE_HZ))
        if usual.fault is not None:
            yield usual


def _device(config: Config, audio: AudioSystem, memory: SoundMemory) -> str:
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
    rate_hz = wanted.rate_hz or device.sample_rate_hz
    kept = _kept(memory, rate_hz)
    return f"{device.stable_name}, {device.channels_text}, {device.sample_rate_hz} Hz; {kept}"


def _kept(memory: SoundMemory, rate_hz: int) -> str:
    """Return what the sound in memory takes; raises `ConfigError` where it does not fit."""
    needed_mb, most_mb = memory.needed_bytes(rate_hz) / MB, memory.most_bytes / MB
    if memory.share(rate_hz) == 1:
        return f"{needed_mb:.0f} of {most_mb:g} MB of memory for its sound at {rate_hz} Hz"
    reason = f"{needed_mb:.0f} MB of memory for sound at {rate_hz} Hz, and audio.memory_mb is"
    more = "more audio.memory_mb, and as much more MemoryHigh and MemoryMax of the service"
    longest_s = memory.longest_buffer_s(rate_hz)
    if longest_s >= SHORTEST_BUFFER_S:
        raise ConfigError(
            f"takes {reason} {most_mb:g}",
            key="audio.buffer_s",
            value=f"{memory.buffer_s:g}",
            suggestion=f"at most {int(longest_s)}, or {more}",
        )
    raise ConfigError(
        f"clips of such events need {memory.recent_s:.0f} s of sound: {reason} {most_mb:g}",
        key="tracker.longest_s",
        suggestion=f"shorter events, or {more}",
    )


def _planned(config: Config) -> tuple[RecorderPlan | None, list[Finding]]:
    plans: list[RecorderPlan] = []

    def model() -> str:
        plans.append(make_plan(config))
        return _model(plans[0])

    found = [_tried("model", model)]
    for plan in plans:
        return plan, [*found, *_privacy(plan.privacy)]
    return None, found


def _model(plan: RecorderPlan) -> str:
    species, listed = f"{len(plan.bundle.labels)} species", plan.config.site.species
    if listed is not None:
        species = f"{len(listed.labels)} of {species}"
    bundle = f"{plan.bundle.manifest.name} {plan.model.digest[:12]}"
    engine = plan.model.engine
    why_not = f" (not by {'; '.join(engine.why_not)})" if engine.why_not else ""
    runs = f"run by {engine.backend}/{engine.variant}{why_not}"
    return f"{bundle}, {species}; device {plan.device}; {runs}"


def _heads(config: Config) -> str:
    """Return where heads may come from; raises `ConfigError` where nobody is trusted."""
    chosen, keys = config.heads, trusted_keys(config)
    over = ["the broker"] if chosen.broker else []
    places = [str(place) for place in (chosen.folder, chosen.url) if place is not None]
    return f"may come from {', '.join([*over, *places])}, signed with one of {len(keys)} keys"


def _notify(config: Config) -> Iterator[Finding]:
    """Look at whom and what `edge notify` tells; nobody is asked."""
    if config.notify.services_file is not None:
        faults = list(service_faults(config))
        yield from (Finding(subject="notify", fault=fault) for fault in faults)
        if not faults:
            yield _tried("notify", lambda: found_services(config))
    for doubt in notify_doubts(config):
        yield Finding(subject="notify", detail=doubt, warns=True)


def _privacy(privacy: Privacy) -> Iterator[Finding]:
    if privacy.summary:
        yield Finding(subject="privacy", detail=privacy.summary)
    for warning in privacy.warnings:
        yield Finding(subject="privacy", detail=warning, warns=True)


def _broker(config: Config) -> str:
    place = f"{config.mqtt.host}:{config.mqtt.port}"
    try:
        return f"{place} {probe(config.mqtt, device=config.device_id())}"
    except DeliveryError as trouble:
        key, suggestion = BROKER_FAULTS.get(trouble.reason, UNREACHABLE)
        raise ConfigError(str(trouble), key=key, value=place, suggestion=suggestion) from trouble
