"""What the configuration says without any head that was sent, and how a head stands on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.bundle.bundle import MANIFEST
from edge.bundle.head_folder import trunk_folder
from edge.bundle.places import named_bundle, trunk_and_folder
from edge.bundle.signature import PublicKey
from edge.bundle.verified import manifest_content, manifest_of
from edge.config.config import Config
from edge.errors import ConfigError
from edge.models import default_bundle_path

__all__ = ["ConfiguredBundle", "configured_bundle", "trusted_keys"]


@dataclass(frozen=True, kw_only=True)
class ConfiguredBundle:
    """The bundle of the configuration: its digest, and the folder and digest of its network."""

    digest: str
    trunk: Path
    network: str

    def with_head(self, config: Config, head: Path) -> Config:
        """Return `config` with the head in that folder on the configured network."""
        model = config.model.model_copy(update={"bundle": Path(f"{self.trunk}+{head}")})
        return config.model_copy(update={"model": model})


def configured_bundle(config: Config) -> ConfiguredBundle | None:
    """Return the bundle of the configuration, None where several judge together.

    Only its manifest is read. Raises `BundleError`.
    """
    chosen = config.model
    if chosen.bundles is not None:
        return None
    named = named_bundle(chosen.bundle) if chosen.bundle else default_bundle_path()
    trunk, folder = trunk_and_folder(named)
    manifest = manifest_of(folder / MANIFEST, manifest_content(folder))
    if trunk is None:
        trunk = trunk_folder(folder, manifest.trunk) if manifest.trunk else folder
    network = manifest.trunk or manifest.trunk_digest
    return ConfiguredBundle(digest=manifest.digest, trunk=trunk, network=network)


def trusted_keys(config: Config) -> list[PublicKey]:
    """Return the keys of which one must have signed; raises `ConfigError` where there is none, and
    heads may be sent.
    """
    trusted = config.model.trusted()
    if config.heads.wanted and not trusted:
        raise ConfigError(
            "heads may be sent to this recorder, and nobody's are trusted",
            key="model.trusted_keys",
            value="null",
            suggestion="name the public keys of those who may send heads",
        )
    return trusted
