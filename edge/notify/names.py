"""The species that the configuration lists, as labels of what the recorder hears with."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from edge.bundle import Label
from edge.bundle.bundle import MANIFEST
from edge.bundle.labels import plain_name
from edge.bundle.places import named_bundle, trunk_and_folder
from edge.bundle.verified import manifest_content, manifest_of
from edge.config.config import Config
from edge.detect.species_names import resolve_labels
from edge.errors import BundleError, ConfigError, Fault
from edge.heads.shelf import shelf_of
from edge.models import default_bundle_path
from edge.notify.rules import Names

__all__ = ["listed_names", "unknown_names"]

log = logging.getLogger(__name__)


def listed_names(config: Config) -> tuple[Names, Names]:
    """Return the species of `notify.first_today` and of `notify.species`.

    A name that no bundle here has is told in the log, and looked for all the same: a head that
    knows it may still be sent.
    """
    known = list(_known(config))
    today, species = (_names(listed, known, key) for key, listed in _listed(config))
    for fault in (*today[1], *species[1]):
        log.warning("%s", fault)
    return today[0], species[0]


def unknown_names(config: Config) -> list[Fault]:
    """Return the faults of names that no bundle here has; none where no bundle can be read."""
    known = list(_known(config))
    found = [_names(listed, known, key)[1] for key, listed in _listed(config)]
    return [fault for faults in found for fault in faults] if known else []


def _listed(config: Config) -> list[tuple[str, Sequence[str]]]:
    today = config.notify.first_today
    return [
        ("notify.first_today", () if isinstance(today, bool) else today),
        ("notify.species", config.notify.species),
    ]


def _names(listed: Sequence[str], known: Sequence[Label], key: str) -> tuple[Names, list[Fault]]:
    labels: set[str] = set()
    others: set[str] = set()
    faults = []
    for name in listed:
        try:
            labels.update(resolve_labels([name], known, key=key))
        except ConfigError as exc:
            faults.append(exc.fault)
            others.add(plain_name(name))
    return Names(labels=frozenset(labels), others=frozenset(others)), faults


def _known(config: Config) -> Iterator[Label]:
    """Yield the labels of all that may judge: the bundles of the configuration, and a sent head."""
    model = config.model
    bundles = model.bundles or ((model.bundle,) if model.bundle else (default_bundle_path(),))
    shelf = shelf_of(config)
    folders = [shelf.place(shelf.state.chosen)] if shelf.state.chosen else []
    try:
        for bundle in bundles:
            folders += filter(None, trunk_and_folder(named_bundle(bundle)))
        seen = set()
        for folder in folders:
            for label in manifest_of(folder / MANIFEST, manifest_content(folder)).labels:
                if label.label not in seen:  # the first that knows it, as heads come first
                    seen.add(label.label)
                    yield label
    except BundleError as exc:
        log.warning("the names of notify are not compared with the model: %s", exc)
