"""The configuration of a recorder: YAML, read once and completely, frozen from there on.

Every fault is reported, not just the first (`edge.config.faults`). Secrets stand in files of their
own, of which the configuration holds only the paths. `config/edge.yaml` shows every key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.config.faults import faults_of
from edge.config.heads import HeadsConfig
from edge.config.notify import NotifyConfig
from edge.config.paths import folders_of
from edge.config.sections import (
    ClipsConfig,
    Credentials,
    DeviceConfig,
    EventsConfig,
    MetricsConfig,
    ModelConfig,
    MqttConfig,
    StoreConfig,
)
from edge.config.site import SiteConfig
from edge.detect.privacy import PrivacyConfig
from edge.detect.signal_health import HealthConfig
from edge.detect.smoothing import SmoothingConfig
from edge.detect.tracker import TrackerConfig
from edge.errors import ConfigError, Fault, FaultyConfigError
from edge.provenance import chosen_later, config_digest
from edge.section import Section
from edge.sources.microphone import AudioConfig
from edge.strictyaml import read_yaml

__all__ = [
    "AudioConfig",
    "ClipsConfig",
    "Config",
    "Credentials",
    "MetricsConfig",
    "ModelConfig",
    "MqttConfig",
    "StoreConfig",
    "load_config",
]

MACHINE_ID = Path("/etc/machine-id")


class Config(Section):
    """Everything that can be configured. Immutable; read by every thread."""

    device: DeviceConfig = DeviceConfig()
    site: SiteConfig = SiteConfig()
    audio: AudioConfig = AudioConfig()
    model: ModelConfig = ModelConfig()
    heads: HeadsConfig = HeadsConfig()
    tracker: TrackerConfig = TrackerConfig()
    health: HealthConfig = HealthConfig()
    events: EventsConfig = EventsConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    store: StoreConfig = StoreConfig()
    clips: ClipsConfig = ClipsConfig()
    mqtt: MqttConfig = MqttConfig()
    metrics: MetricsConfig = MetricsConfig()
    notify: NotifyConfig = NotifyConfig()

    @property
    def smoothing(self) -> SmoothingConfig:
        """How scores are smoothed between model and tracker."""
        return SmoothingConfig(
            slide_s=self.model.slide_s, boost=self.model.boost, boost_s=self.model.boost_s
        )

    @property
    def epoch(self) -> dict[str, Any]:
        """What decides which detections there are, for `provenance_of`.

        There is nothing secret in it, and nothing about delivery or storage.
        """
        return {
            **chosen_later(
                species=self.site.species,
                smoothing=self.smoothing,
                offlist=self.site.offlist,
                precision=self.model.precision,
            ),
            **({"privacy": self.privacy} if self.privacy.decides_events else {}),
            "hop_s": self.model.hop_s,
            "tracker": self.tracker.decisive,
            "health": self.health,
            "audio": self.audio.model_dump(exclude={"buffer_s", "memory_mb"}),
            "events": self.events.model_dump(
                exclude=None if self.events.chosen_kinds else {"kinds"}
            ),
        }

    @property
    def digest(self) -> str:
        """sha256 that names the configuration epoch."""
        return config_digest(**self.epoch)

    def device_id(self, machine_id: Path = MACHINE_ID) -> str:
        """Return the configured id, else one derived from the machine's.

        Raises `ConfigError` when there is neither.
        """
        if self.device.id is not None:
            return self.device.id
        try:
            machine = machine_id.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            machine = ""
        if not machine or machine == "uninitialized":
            raise ConfigError(
                f"this machine has no id in {machine_id}",
                key="device.id",
                suggestion="give the recorder a name of its own",
            )
        # machine-id(5): not to be shown as it is; a keyed digest says as much about identity and
        # nothing else.
        secret = hashlib.sha256(machine.encode()).digest()
        return hmac.new(secret, b"edge-monitor", "sha256").hexdigest()[:12]

    def missing_files(self) -> list[Fault]:
        """Return the faults of files that are named but cannot be read, for `edge check`."""
        fault = Fault(reason="cannot be read", suggestion="is it there, and may this user read it?")
        files = self.mqtt.files.items()
        return [fault.of(f"mqtt.{key}", path) for key, path in files if not _readable(path)]


def load_config(
    path: Path | None, *, environ: Mapping[str, str] = os.environ, without: Set[str] = frozenset()
) -> Config:
    """Read `path`, but for the sections in `without`; None: defaults only.

    Raises `FaultyConfigError` with every fault. Relative paths are as `edge.config.paths` says.
    """
    content = read_yaml(path) if path is not None else {}
    # A section with nothing below it, all keys commented out, is an empty one, and so is one that
    # is not there: its defaults have paths, too.
    given = {
        key: {} if value is None and key in Config.model_fields else value
        for key, value in content.items()
        if key not in without
    }
    sections = {**{key: {} for key in Config.model_fields}, **given}
    try:
        return Config.model_validate(sections, context=folders_of(path, environ))
    except ValidationError as exc:
        # Not with pydantic's own text, which would show values again.
        raise FaultyConfigError(str(path), faults_of(exc, Config)) from None


def _readable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # a name too long for the file system
        return False
