"""What a person has given as options, as settings of a replay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import Any, cast

from edge.bundle.places import named_bundle
from edge.clock import parse_zone
from edge.config.config import load_config
from edge.detect.place import place_of
from edge.detect.smoothing import SmoothingConfig
from edge.detect.species_list import read_species
from edge.errors import ConfigError
from edge.models import default_bundle_path
from edge.replay.settings import ReplaySettings
from edge.section import section_of_options
from edge.sources.file import Channel

__all__ = ["settings_of"]

MOST_CHANNELS = 1024  # of libsndfile


def settings_of(options: Mapping[str, Any], *, spool: bool = False) -> ReplaySettings:
    """Take what decides the result from the options of `edge.replay.options`.

    Raises `ConfigError` naming the option.
    """
    bundles = [named_bundle(bundle) for bundle in options["bundles"]] or [default_bundle_path()]
    species: str | None = options["species"]
    smoothing = {name: options[name] for name in SmoothingConfig.model_fields}
    return ReplaySettings(
        bundle=bundles[0],
        more_bundles=tuple(bundles[1:]),
        hop_s=options["hop_s"],
        zone=_zone(options["zone"]),
        place=place_of(options["lat"], options["lon"], occurrence=options["occurrence"]),
        offlist=options["offlist"],
        language=options["language"],
        channel=_channel(options["channel"]),
        species=read_species(Path(species), key="--species") if species is not None else None,
        smoothing=section_of_options(SmoothingConfig, smoothing),
        precision=options["precision"],
        spool=spool,
        backend=options["backend"],
        engines=_engines(options["engines"]),
    )


def _zone(text: str | None) -> tzinfo | None:
    try:
        return None if text is None else parse_zone(text)
    except ValueError as exc:
        raise ConfigError(str(exc), key="--timezone") from exc


def _channel(text: str) -> Channel:
    if text in ("mix", "loudest"):
        return cast("Channel", text)
    if not text.isdecimal() or not 1 <= int(text) <= MOST_CHANNELS:
        raise ConfigError("is not a channel from 1, mix or loudest", key="--channel", value=text)
    return int(text)


def _engines(folder: str | None) -> Path:
    return Path(folder) if folder is not None else load_config(None).model.engines
