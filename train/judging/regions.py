"""Which species live at which site: lists by region, as those of BirdCLEF 2020."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Label
from edge.errors import UserError, shown
from edge.strictyaml import read_any
from train.corpus.species_match import Names

__all__ = ["read_regions"]


def read_regions(
    file: Path, labels: Sequence[Label], sites: Collection[str]
) -> dict[str, NDArray[np.bool_]]:
    """Return which labels (K,) may be answered at each site; a YAML mapping of lists says it.

    Species that are no labels are passed over: a region has more than a bundle knows. Raises
    `UserError` for a file that is none, and for a site of recordings that it lacks.
    """
    try:
        content = read_any(file)
    except ValueError as exc:
        raise UserError(f"{file} {exc}") from exc
    if not isinstance(content, dict) or not all(map(_is_list, content.values())):
        raise UserError(f"{file}: must have a list of species for each site")
    lacking = sorted(site for site in sites if site not in content)
    if lacking:
        what = shown(lacking[0]) if lacking[0] else "recordings without a site"
        raise UserError(f"{file}: has no list for {what}; it has {', '.join(map(str, content))}")
    names = Names(labels)
    return {site: _mask(names, content[site], len(labels), file, site) for site in sorted(sites)}


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _mask(
    names: Names, listed: Sequence[str], count: int, file: Path, site: str
) -> NDArray[np.bool_]:
    mask = np.zeros(count, bool)
    mask[names.known(listed)] = True
    if not mask.any():
        raise UserError(f"{file}: {site}: none of its species is one of the bundle")
    return mask
