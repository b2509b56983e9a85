"""The configuration of a recorder: YAML, parsed once and completely at the border, frozen from
there on.

Every fault is reported, not just the first: an unknown key with the key it was probably meant to
be, a bad value with its range. Secrets stand in files of their own, of which the configuration
holds only the paths. `config/edge.yaml` shows every key.
"""

from __future__ import annotations

import difflib
import hashlib
import hmac
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge.config.sections import (
    ClipsConfig,
    Credentials,
    DeviceConfig,
    EventsConfig,
    MetricsConfig,
    ModelConfig,
    MqttConfig,
    SiteConfig,
    StoreConfig,
)
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
    tracker: TrackerConfig = TrackerConfig()
    health: HealthConfig = HealthConfig()
    events: EventsConfig = EventsConfig()
    store: StoreConfig = StoreConfig()
    clips: ClipsConfig = ClipsConfig()
    mqtt: MqttConfig = MqttConfig()
    metrics: MetricsConfig = MetricsConfig()

    @property
    def smoothing(self) -> SmoothingConfig:
        """For the stage between model and tracker."""
        return SmoothingConfig(
            slide_s=self.model.slide_s, boost=self.model.boost, boost_s=self.model.boost_s
        )

    @property
    def epoch(self) -> dict[str, Any]:
        """What decides which detections there are, for `provenance_of`; nothing secret, nothing
        about delivery or storage.
        """
        return {
            **chosen_later(species=self.site.species, smoothing=self.smoothing),
            "hop_s": self.model.hop_s,
            "tracker": self.tracker,
            "health": self.health,
            "audio": self.audio.model_dump(exclude={"buffer_s"}),
            "events": self.events.model_dump(),
        }

    @property
    def digest(self) -> str:
        """sha256 that names the configuration epoch."""
        return config_digest(**self.epoch)

    def device_id(self, machine_id: Path = MACHINE_ID) -> str:
        """The configured id, else one derived from the machine's; raises `ConfigError` when there
        is neither.
        """
        if self.device.id is not None:
            return self.device.id
        try:
            machine = machine_id.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            machine = ""
        if not machine or machine == "uninitialized":
            raise ConfigError(
                f"device.id: this machine has no id in {machine_id}; give the recorder a name of "
                "its own"
            )
        # machine-id(5): not to be shown as it is; a keyed digest tells as much about identity and
        # nothing else.
        return hmac.new(
            bytes.fromhex(hashlib.sha256(machine.encode()).hexdigest()), b"edge-monitor", "sha256"
        ).hexdigest()[:12]

    def missing_files(self) -> list[Fault]:
        """Faults of files that are named but cannot be read, for `edge check`."""
        named = {f"mqtt.{key}": path for key, path in self.mqtt.files.items()}
        return [
            Fault(
                key=key,
                value=str(path),
                reason="cannot be read",
                suggestion="is it there, and may this user read it?",
            )
            for key, path in named.items()
            if not _readable(path)
        ]


def load_config(
    path: Path | None, *, environ: Mapping[str, str] = os.environ, without: Set[str] = frozenset()
) -> Config:
    """Read `path` (None: defaults only), but for what is named in `without`; raises
    `FaultyConfigError` with every fault.

    Relative paths of the store and clips are below $STATE_DIRECTORY, of engines below
    $CACHE_DIRECTORY, of secrets below $CREDENTIALS_DIRECTORY, as systemd sets them; else below the
    working directory.
    """
    content = read_yaml(path) if path is not None else {}
    # A section with nothing below it, all keys commented out, is an empty one.
    content = {
        key: {} if value is None and key in Config.model_fields else value
        for key, value in content.items()
        if key not in without
    }
    try:
        config = Config.model_validate(content)
    except ValidationError as exc:
        # pydantic's own text would show values again
        raise FaultyConfigError(str(path), _faults(exc)) from None
    return _placed(config, environ)


def _readable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # a name too long for the file system
        return False


def _placed(config: Config, environ: Mapping[str, str]) -> Config:
    state = Path(environ.get("STATE_DIRECTORY", "").partition(":")[0])
    cache = Path(environ.get("CACHE_DIRECTORY", "").partition(":")[0])
    secrets = Path(environ.get("CREDENTIALS_DIRECTORY", ""))
    mqtt = {key: secrets / path for key, path in config.mqtt.files.items()}
    return config.model_copy(
        update={
            "model": config.model.model_copy(update={"engines": cache / config.model.engines}),
            "store": config.store.model_copy(update={"path": state / config.store.path}),
            "clips": config.clips.model_copy(update={"folder": state / config.clips.folder}),
            "mqtt": config.mqtt.model_copy(update=mqtt),
        }
    )


def _faults(exc: ValidationError) -> list[Fault]:
    """One fault per key: the alternatives that a value could have been are joined."""
    errors: dict[str, list[ErrorDetails]] = {}
    for error in exc.errors(include_url=False):
        errors.setdefault(_key(error), []).append(error)
    return [_fault(key, alike) for key, alike in errors.items()]


def _fault(key: str, errors: list[ErrorDetails]) -> Fault:
    error = errors[0]
    if error["type"] in ("extra_forbidden", "invalid_key"):
        # Without its value: a key that is not known may well be a password in the wrong place.
        return Fault(key=key, value="", reason="unknown key", suggestion=_meant(key))
    if error["type"] in ("model_type", "model_attributes_type"):
        return Fault(
            key=key,
            value=_shown(error["input"]),
            reason="must be keys with values",
            suggestion="see config/edge.yaml",
        )
    shown = "" if isinstance(error["input"], dict) else _shown(error["input"])
    reason = " or ".join(dict.fromkeys(_reason(error) for error in errors))
    return Fault(key=key, value=shown, reason=reason, suggestion=_default(key))


def _key(error: ErrorDetails) -> str:
    """Dotted key as in the file; pydantic's path goes on into the alternatives of a type."""
    parts = [str(part) for part in error["loc"]]
    return ".".join(parts[:2]) if parts[0] in Config.model_fields else parts[0]


def _reason(error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys() -> list[str]:
    return [
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        for key in type(field.default).model_fields
    ]


def _meant(key: str) -> str:
    """The nearest known key, in its own section first, then anywhere."""
    section, _, name = key.partition(".")
    if not name:
        close = difflib.get_close_matches(key, Config.model_fields, 1) or [
            k for k in _keys() if k.endswith(f".{key}")
        ]
    else:
        inside = [k.partition(".")[2] for k in _keys() if k.startswith(f"{section}.")]
        near = difflib.get_close_matches(name, inside, 1)
        close = [f"{section}.{near[0]}"] if near else [k for k in _keys() if k.endswith(f".{name}")]
    return f"did you mean {close[0]}?" if close else "see config/edge.yaml for all keys"


def _default(key: str) -> str:
    section, _, name = key.partition(".")
    field = (
        type(Config.model_fields[section].default).model_fields.get(name)
        if section in Config.model_fields
        else None
    )
    if field is None:
        return "see config/edge.yaml"
    return "leave it out for the default" if field.default is None else f"default {field.default}"
