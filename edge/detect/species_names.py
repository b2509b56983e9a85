"""What people call the species of a bundle: labels, scientific names and English names."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable

from edge.bundle import Label
from edge.bundle.labels import plain_name
from edge.detect.seasons import MONTHS
from edge.detect.species_list import SpeciesList
from edge.errors import ConfigError, shown

__all__ = ["resolve_labels", "resolve_species"]


def resolve_species(
    species: SpeciesList | None, known: Iterable[Label], *, key: str
) -> SpeciesList | None:
    """Return the list by the labels of a bundle, whose species are `known`.

    A species may be listed by its label, its scientific name or one in a language that the bundle
    has; case counts for nothing, and blanks, underscores and hyphens are alike. A list of labels
    stays as it is. Labels that are no animals (engines, people, wind) are everywhere and belong to
    every list. Raises
    `ConfigError` for names that no species has or several have, and for two names of one species;
    `key` is where the list stands.
    """
    if species is None:
        return None
    known = tuple(known)
    names = _Names(known)
    found = {name: names.labels_of(name.lstrip("+-")) for name in species.labels}
    _refuse_unknown(found, names, key)
    _refuse_ambiguous(found, key)
    every_month = tuple(sorted(MONTHS.all))
    if species.is_change:
        signed = sorted((name[0] + found[name][0], months) for name, months in species.months)
        return SpeciesList(months=tuple(signed))
    everywhere = {label.label: every_month for label in known if label.kind != "animal"}
    listed = {found[name][0]: months for name, months in species.months}
    return SpeciesList(months=tuple(sorted((everywhere | listed).items())))


def resolve_labels(names: Iterable[str], known: Iterable[Label], *, key: str) -> tuple[str, ...]:
    """Return the labels that go by these names; raises as `resolve_species` does."""
    lookup = _Names(known)
    found = {name: lookup.labels_of(name) for name in names}
    _refuse_unknown(found, lookup, key)
    _refuse_ambiguous(found, key)
    return tuple(labels[0] for labels in found.values())


class _Names:
    """Finds species by any of their names."""

    def __init__(self, known: Iterable[Label]) -> None:
        self._labels: set[str] = set()
        self._by_name: dict[str, set[str]] = defaultdict(set)
        for species in known:
            self._labels.add(species.label)
            names = (species.common_name, species.scientific_name, *species.names.values())
            for name in filter(None, names):
                self._by_name[plain_name(name)].add(species.label)
            self._by_name[plain_name(species.label)].add(species.label)

    def labels_of(self, name: str) -> list[str]:
        """Return the labels of all species with this name; a label itself means only its own."""
        return [name] if name in self._labels else sorted(self._by_name.get(plain_name(name), ()))

    def meant(self, name: str) -> str:
        """Return a remark on the species with the most similar name, if there is one."""
        near = difflib.get_close_matches(plain_name(name), self._by_name, 1)
        return f" (did you mean {' or '.join(sorted(self._by_name[near[0]]))}?)" if near else ""


def _refuse_unknown(found: dict[str, list[str]], names: _Names, key: str) -> None:
    strange = [f"{shown(name)}{names.meant(name)}" for name, labels in found.items() if not labels]
    if strange:
        reason = f"the bundle has no label {', '.join(strange)}"
        raise ConfigError(reason, key=key, suggestion="`edge info` lists its labels")


def _refuse_ambiguous(found: dict[str, list[str]], key: str) -> None:
    by_label: dict[str, str] = {}
    for name, (label, *others) in found.items():
        if others:
            reason = f"{shown(name)} is the name of {label} and {' and '.join(others)}"
            raise ConfigError(reason, key=key, suggestion="list the label that is meant")
        if label in by_label:
            reason = f"{shown(by_label[label])} and {shown(name)} are both {label}"
            raise ConfigError(reason, key=key, suggestion="list one of them")
        by_label[label] = name
