"""`edge check`: everything that would keep a recorder from working, all at once, before it stands
in the field.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.config.config import Config, load_config
from edge.config.sections import MB
from edge.errors import Fault, FaultyConfigError, UserError
from edge.mqtt.sink import probe
from edge.recorder.recorder import make_plan
from edge.sources.portaudio import AudioSystem, choose

__all__ = ["Finding", "check"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `fault` is None when it is in order; then `detail` says what
    was found, never a secret.
    """

    subject: str
    detail: str = ""
    fault: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Need:
    """What may still be written below a folder, the key that names it, and the keys that bound
    it.
    """

    key: str
    folder: Path
    grows_mb: float
    bounds: str


class _FaultError(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def check(file: Path | None, *, audio: AudioSystem) -> Iterator[Finding]:
    """Look at the configuration, then at the device, the model, the disk and the broker it names,
    each whatever the others said.

    What a section with a fault in it would have configured is not tried.
    """
    config, faults = _loaded(file)
    yield from (Finding(subject="configuration", fault=str(fault)) for fault in faults)
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
        yield _tried("disk", lambda: _disk(config))
    # A file of a secret that is missing is a fault of `mqtt`, too.
    if config.mqtt.enabled and not spoilt & {"device", "mqtt"}:
        yield _tried("broker", lambda: _broker(config))


def _loaded(file: Path | None) -> tuple[Config | None, list[Fault]]:
    """The configuration, with defaults for sections that are faulty, and its faults; None where it
    is no configuration at all.
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
    except _FaultError as exc:
        return Finding(subject=subject, fault=str(exc.fault))
    except UserError as exc:
        return Finding(subject=subject, fault=str(exc))
    except OSError as exc:
        return Finding(subject=subject, fault=f"{exc.filename or subject}: {exc.strerror or exc}")


def _fault(key: str, value: object, reason: object, suggestion: str) -> _FaultError:
    return _FaultError(
        Fault(
            key=key,
            value="null" if value is None else str(value),
            reason=str(reason),
            suggestion=suggestion,
        )
    )


def _device(config: Config, audio: AudioSystem) -> str:
    wanted = config.audio
    try:
        device = choose(audio.devices(), wanted.device)
    except UserError as exc:
        raise _fault(
            "audio.device", wanted.device, exc, "is it plugged in? `edge devices` lists the inputs"
        ) from exc
    if wanted.channel != "mix" and wanted.channel > device.channels:
        reason = f"{device.stable_name} has {device.channels} channels"
        raise _fault("audio.channel", wanted.channel, reason, f"1 to {device.channels}, or mix")
    return f"{device.stable_name}, {device.channels} channels, {device.sample_rate_hz} Hz"


def _model(config: Config) -> str:
    try:
        plan = make_plan(config)
    except UserError as exc:
        if str(exc).startswith(("device.id", "site.species")):
            raise
        bundle = "model.bundle" if config.model.bundles is None else "model.bundles"
        keys = {"hop:": "model.hop_s", "backend": "model.backend"}
        key = keys.get(str(exc).partition(" ")[0], bundle)
        value = getattr(config.model, key.partition(".")[2])
        value = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        raise _fault(key, value, exc, "leave it out for the default") from exc
    species = f"{len(plan.bundle.labels)} species"
    if config.site.species is not None:
        species = f"{len(config.site.species.labels)} of {species}"
    named = (
        f"{plan.bundle.manifest.name} {plan.bundle.digest[:12]}, {species}; device {plan.device}"
    )
    why_not = f" (not by {'; '.join(plan.model.why_not)})" if plan.model.why_not else ""
    return f"{named}; run by {plan.model.backend_name}/{plan.model.variant}{why_not}"


def _disk(config: Config) -> str:
    """Store and clips must be writable, and what they may still grow to must fit on their disks,
    together where it is one.
    """
    needs = (
        [_store_needs(config), _clips_needs(config)]
        if config.clips.enabled
        else [_store_needs(config)]
    )
    by_disk: dict[int, list[_Need]] = defaultdict(list)
    for need in needs:
        _write_into(need.key, need.folder)
        by_disk[need.folder.stat().st_dev].append(need)
    return "; ".join(_room(needs) for needs in by_disk.values())


def _store_needs(config: Config) -> _Need:
    chosen, path = config.store, Path(config.store.path).resolve()
    if not path.parent.is_dir():
        raise _fault("store.path", path, f"the folder {path.parent} does not exist", "make it")
    may_take_mb = chosen.outbox_mb + chosen.history_mb + chosen.ballast_mb
    taken_mb = sum(_size_mb(path.with_name(path.name + suffix)) for suffix in ("", "-ballast"))
    bounds = "store.outbox_mb, store.history_mb"
    return _Need(
        key="store.path",
        folder=path.parent,
        grows_mb=max(0.0, may_take_mb - taken_mb),
        bounds=bounds,
    )


def _clips_needs(config: Config) -> _Need:
    chosen, path = config.clips, Path(config.clips.folder).resolve()
    # the rest is made at the first start
    folder = next(folder for folder in (path, *path.parents) if folder.exists())
    taken_mb = sum(_size_mb(file) for file in path.glob("*/*"))
    grows_mb = max(0.0, chosen.budget_mb - taken_mb) + chosen.reserve_mb
    return _Need(
        key="clips.folder",
        folder=folder,
        grows_mb=grows_mb,
        bounds="clips.budget_mb, clips.reserve_mb",
    )


def _room(needs: list[_Need]) -> str:
    """Of one disk."""
    folder, wanted_mb = needs[0].folder, sum(need.grows_mb for need in needs)
    free_mb = shutil.disk_usage(folder).free / MB
    if free_mb < wanted_mb:
        bounds, keys = (
            ", ".join(need.bounds for need in needs),
            " and ".join(need.key for need in needs),
        )
        reason = f"{free_mb:.0f} MB are free, and {wanted_mb:.0f} MB may be needed"
        raise _fault(keys, folder, reason, f"free some, or lower {bounds}")
    return f"{folder}, {free_mb:.0f} MB free, {wanted_mb:.0f} MB may be needed"


def _write_into(key: str, folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"edge check")
    except OSError as exc:
        raise _fault(
            key,
            folder,
            f"cannot be written to: {exc.strerror}",
            "may this user write there, and is there room?",
        ) from exc


def _size_mb(file: Path) -> float:
    return file.stat().st_size / MB if file.is_file() else 0.0


def _broker(config: Config) -> str:
    place = f"{config.mqtt.host}:{config.mqtt.port}"
    reason = probe(config.mqtt, device=config.device_id())
    if reason is not None:
        raise _fault("mqtt.host", place, reason, "is it running, and may this recorder reach it?")
    return f"{place} accepts"
