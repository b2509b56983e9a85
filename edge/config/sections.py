"""The sections of the configuration: each key with its type, range and default.

Sections of `edge.detect` and `edge.sources` stand there; `config.py` puts all of them together.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from edge.bundle.labels import LabelKind
from edge.bundle.signature import PublicKey, public_key
from edge.config.paths import BundlePath, CachePath, KeyText, SecretPath, StatePath
from edge.detect.smoothing import SmoothingConfig
from edge.errors import blamed_on
from edge.section import MB, Section, as_tuple

__all__ = [
    "ClipsConfig",
    "Credentials",
    "DeviceConfig",
    "EventsConfig",
    "MetricsConfig",
    "ModelConfig",
    "MqttConfig",
    "StoreConfig",
]


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # of one level of a topic
Port = Annotated[int, Field(ge=1, le=65_535)]


class DeviceConfig(Section):
    """Who this recorder is. Without an `id` it is derived from the machine's own."""

    id: Name | None = None
    site: Annotated[str, Field(max_length=200)] = ""


class ModelConfig(SmoothingConfig):
    """Which bundle judges, or which together, how often, on what; and how scores are smoothed.

    Without `bundle` and `bundles` it is the one that ships. Each is a folder, a name or
    `TRUNK+HEAD`. Of `trusted_keys`, each is a public key as base64 or the file that has it. With a
    `precision` a label gives events from the score on that keeps it, which the bundle knows.
    """

    bundle: BundlePath | None = None
    bundles: (
        Annotated[
            tuple[BundlePath, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=16)
        ]
        | None
    ) = None
    hop_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    backend: Literal["auto", "tensorrt", "cuda", "cpu"] = "auto"
    engines: CachePath = Field(default=Path("engines"), validate_default=True)
    precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    trusted_keys: (
        Annotated[
            tuple[KeyText, ...], BeforeValidator(as_tuple), Field(min_length=1, max_length=16)
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _one_of_two(self) -> ModelConfig:
        if self.bundle is not None and self.bundles is not None:
            raise ValueError("bundle and bundles exclude each other")
        if self.precision is not None and self.on:
            raise ValueError("precision does not go with slide_s or boost: they change the scores")
        return self

    def trusted(self) -> list[PublicKey]:
        """Read the keys of which one must have signed a bundle; empty: none has to be signed.

        Raises `ConfigError`, which names the key of the configuration.
        """
        keys = []
        for text in self.trusted_keys or ():
            with blamed_on("model.trusted_keys", text, "see docs/recorder.md"):
                keys.append(public_key(text))
        return keys


class EventsConfig(Section):
    """Which events are stored and sent: of labels of these kinds, and `unknown` sounds."""

    unknown: bool = True
    kinds: Annotated[tuple[LabelKind, ...], BeforeValidator(as_tuple)] = ("animal",)

    @property
    def chosen_kinds(self) -> bool:
        """Whether other kinds are wanted than usual; else the digest is that of before there were
        any.
        """
        return self.kinds != ("animal",)


class StoreConfig(Section):
    """The local database; bounds in MB of 10^6 bytes."""

    path: StatePath = Field(default=Path("edge.db"), validate_default=True)
    outbox_mb: Annotated[float, Field(ge=0.1, le=100_000)] = 64.0
    history_mb: Annotated[float, Field(ge=0.1, le=1_000_000)] = 1024.0
    ballast_mb: Annotated[float, Field(ge=0, le=100_000)] = 16.0

    @property
    def outbox_bytes(self) -> int:
        """Bound of each sink's outbox."""
        return round(self.outbox_mb * MB)

    @property
    def history_bytes(self) -> int:
        """Bound of the detections and minutes kept after they were sent."""
        return round(self.history_mb * MB)

    @property
    def ballast_bytes(self) -> int:
        """Room that is given up to the store when the disk is full."""
        return round(self.ballast_mb * MB)


class ClipsConfig(Section):
    """Audio kept of detections; the folder's budget and the disk's reserve in MB of 10^6 bytes."""

    enabled: bool = True
    folder: StatePath = Field(default=Path("clips"), validate_default=True)
    budget_mb: Annotated[float, Field(ge=0, le=10_000_000)] = 4096.0
    reserve_mb: Annotated[float, Field(ge=0, le=10_000_000)] = 512.0
    padding_s: Annotated[float, Field(ge=0, le=30)] = 2.0
    format: Literal["flac", "wav"] = "flac"

    @property
    def budget_bytes(self) -> int:
        """Bound of all clips together."""
        return round(self.budget_mb * MB)

    @property
    def reserve_bytes(self) -> int:
        """Room on the disk that clips leave to the store."""
        return round(self.reserve_mb * MB)


class Credentials(BaseModel):
    """A user and a password as read from their files; never shown."""

    model_config = ConfigDict(frozen=True)
    username: str | None = Field(default=None, repr=False)
    password: str | None = Field(default=None, repr=False)


class MqttConfig(Section):
    """The broker.

    Files are read at each connection, so that a renewed password needs no restart.
    """

    enabled: bool = True
    host: Annotated[str, Field(pattern=r"^[^\s/]{1,253}$")] = "localhost"
    port: Port = 1883
    protocol: Literal[5, 311] = 5
    tls: bool = False
    ca_file: SecretPath | None = None
    cert_file: SecretPath | None = None
    key_file: SecretPath | None = None
    username_file: SecretPath | None = None
    password_file: SecretPath | None = None
    topic_prefix: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=200)
    ] = "edge"
    keepalive_s: Annotated[int, Field(ge=5, le=3600)] = 30
    rate_per_s: Annotated[float, Field(gt=0, le=10_000)] = 50.0
    wait_for_sync_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    home_assistant: bool = False
    home_assistant_prefix: Name = "homeassistant"

    @model_validator(mode="after")
    def _belong_together(self) -> MqttConfig:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        if self.password_file is not None and self.username_file is None:
            raise ValueError("password_file needs username_file")
        if not self.tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file need tls: true")
        return self

    @property
    def files(self) -> dict[str, Path]:
        """The files it names, by key."""
        keys = ("ca_file", "cert_file", "key_file", "username_file", "password_file")
        return {key: path for key in keys if (path := getattr(self, key)) is not None}

    def credentials(self) -> Credentials:
        """Read user and password.

        Raises OSError naming the file, UnicodeDecodeError where one is not text.
        """
        username, password = _secret(self.username_file), _secret(self.password_file)
        return Credentials(username=username, password=password)


class MetricsConfig(Section):
    """Where Prometheus may ask; only this machine by default."""

    enabled: bool = True
    address: Annotated[str, Field(pattern=r"^[^\s/]{1,253}$")] = "127.0.0.1"
    port: Port = 9618


MOST_SECRET_BYTES = 70_000  # more than MQTT can send


def _secret(path: Path | None) -> str | None:
    if path is None:
        return None
    with path.open("rb") as file:  # of a file that is no secret, not more than shows it
        content = file.read(MOST_SECRET_BYTES)
    cut = len(content) == MOST_SECRET_BYTES  # perhaps within a letter
    return content.decode("utf-8", "ignore" if cut else "strict").strip("\r\n")
