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
from edge.errors import BundleError, ConfigError
from edge.heads.shelf import shelf_of
from edge.models import default_bundle_path
from edge.notify.rules import Names

__all__ = ["listed_names"]

log = logging.getLogger(__name__)


def listed_names(config: Config) -> tuple[Names, Names]:
    """Return the species of `notify.first_today` and of `notify.species`.

    A name that no bundle here has is told in the log, and looked for all the same: a head that
    knows it may still be sent.
    """
    known = list(_known(config))
    chosen = config.notify
    today = () if isinstance(chosen.first_today, bool) else chosen.first_today
    return _names(today, known, "notify.first_today"), _names(
        chosen.species, known, "notify.species"
    )


def _names(listed: Sequence[str], known: Sequence[Label], key: str) -> Names:
    labels: set[str] = set()
    others: set[str] = set()
    for name in listed:
        try:
            labels.update(resolve_labels([name], known, key=key))
        except ConfigError as exc:
            log.warning("%s", exc)
            others.add(plain_name(name))
    return Names(labels=frozenset(labels), others=frozenset(others))


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
