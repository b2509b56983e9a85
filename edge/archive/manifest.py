"""What a dataset says of itself: its version, what it keeps, and who has heard what is in it.

One bundle hears a dataset, in one way. Where somebody asks for it, others hear into it as well: the
rows of all stand beside each other, and a reader takes those of one, so nothing counts twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge.archive.keeping import Keeps
from edge.archive.schema import KNOWN_VERSIONS, SCHEMA_VERSION
from edge.bundle.strictjson import read_json
from edge.clock import parse_zone
from edge.errors import ConfigError
from edge.files import write_whole

__all__ = [
    "MANIFEST",
    "OTHER",
    "Maker",
    "check_version",
    "chosen_bundle",
    "kept_in",
    "makers_of",
    "settle_maker",
]

MANIFEST = "dataset.json"
OTHER = "choose another --out for a new dataset beside it"
MIXED = f"{OTHER}, or have both in this one by --mix"
SHOWN = 12  # digits of a digest
LONGEST_HOP_S = 86_400.0
Maker = dict[str, Any]  # what all rows of a bundle have in common: see `edge.archive.hear.maker`


def _is_zone(value: object) -> bool:
    with suppress(ValueError):
        return value is None or (isinstance(value, str) and bool(parse_zone(value)))
    return False


def _is_hop(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 < value <= LONGEST_HOP_S


# What each maker says, and what that must be; earlier ones did not say all that `maker` does.
SAYS: dict[str, Callable[[object], bool]] = {
    **{name: lambda value: isinstance(value, str) for name in ("bundle", "variant")},
    "configuration": lambda value: isinstance(value, str),
    "hop_s": _is_hop,
    "time_zone": _is_zone,
    "language": lambda value: value is None or isinstance(value, str),
    "channel": lambda value: value is None or type(value) in (int, str),
}


def makers_of(folder: Path, *, key: str) -> list[Maker]:
    """Return all that have heard a dataset, the first one first: each another bundle.

    Raises `ConfigError` of `key` for what is no dataset of this version.
    """
    if not (folder / MANIFEST).is_file():
        raise ConfigError("is no dataset of `edge archive hear`", key=key, value=folder)
    found = read_json(folder / MANIFEST)
    version, made_by = found.get("schema_version"), found.get("made_by")
    if version not in KNOWN_VERSIONS:
        reason = f"has schema version {version}, and this program has {SCHEMA_VERSION}"
        raise ConfigError(reason, key=key, value=folder, suggestion=OTHER)
    makers: list[Any] = made_by if isinstance(made_by, list) else [made_by]
    if not makers or not all(isinstance(maker, dict) for maker in makers):
        raise ConfigError(f"{MANIFEST} does not say what made it", key=key, value=folder)
    for maker in makers:
        for name, is_right in SAYS.items():
            if not is_right(maker.get(name)):
                reason = f"{MANIFEST} does not say by which {name.replace('_', ' ')} it was made"
                raise ConfigError(reason, key=key, value=folder)
    return makers


def check_version(folder: Path, *, key: str) -> Maker:
    """Return what a dataset was made by; raises `ConfigError` of `key` for what is none, and for
    one that several bundles have heard.
    """
    makers = makers_of(folder, key=key)
    if len(makers) > 1:
        raise _several(folder, makers, key, "this takes a dataset of one: hear it with --out NEW")
    return makers[0]


def chosen_bundle(
    folder: Path, given: str | None, *, key: str = "DATASET", option: str = "--bundle"
) -> str | None:
    """Return the bundle whose rows are meant, by how its digest begins; None where all rows are.

    Raises `ConfigError` of `key` where several have heard the dataset and none is `given`, and of
    `option` for one that has not heard it.
    """
    makers = makers_of(folder, key=key)
    if given is None:
        if len(makers) == 1:
            return None
        raise _several(folder, makers, key, f"say with {option} whose detections are meant")
    known = [str(maker.get("bundle")) for maker in makers]
    found = [digest for digest in known if given and digest.startswith(given.lower())]
    if len(found) != 1:
        reason = "begins the digest of several bundles" if found else "has not heard the dataset"
        raise ConfigError(reason, key=option, value=given, suggestion=f"one of {_digests(makers)}")
    return found[0] if len(makers) > 1 else None


def kept_in(folder: Path) -> Keeps:
    """Return which further tables the dataset at `folder` has."""
    return Keeps.parse(read_json(folder / MANIFEST).get("keeps"))


def settle_maker(folder: Path, made_by: Mapping[str, object], keeps: Keeps, *, mix: bool) -> None:
    """See that a dataset was made by the same, or write down by what it is made.

    With `mix`, another bundle is one more that has made it. Raises `ConfigError` of `--out`.
    """
    if not (folder / MANIFEST).exists():
        _write(folder, [dict(made_by)], keeps)
        return
    makers = makers_of(folder, key="--out")
    own = [maker for maker in makers if maker.get("bundle") == made_by.get("bundle")]
    kept = kept_in(folder)
    if own or not mix:
        _refuse_another_way(folder, (own or makers)[0], made_by, others=not own)
    _refuse_earlier_form(folder, kept)
    several = len(makers) > 1 or not own
    # Of several bundles, each has a network of its own.
    if (replace(kept, network=keeps.network) if several else kept) != keeps:
        raise ConfigError(f"keeps {kept}, not {keeps}", key="--out", value=folder, suggestion=OTHER)
    if not own:
        _write(folder, [*makers, dict(made_by)], kept)


def _refuse_earlier_form(folder: Path, kept: Keeps) -> None:
    """Raise `ConfigError` for a dataset whose embeddings are in lists: none are added to these."""
    version = read_json(folder / MANIFEST).get("schema_version")
    if version != SCHEMA_VERSION and kept.embeddings is not None:
        raise ConfigError(
            f"has embeddings of schema version {version}, which are read and not added to",
            key="--out",
            value=folder,
            suggestion=OTHER,
        )


def _refuse_another_way(
    folder: Path, before: Maker, made_by: Mapping[str, object], *, others: bool
) -> None:
    for name, value in made_by.items():
        if before.get(name) != value:
            was, now = (f"{str(given)[:SHOWN]}" for given in (before.get(name), value))
            raise ConfigError(
                f"was made with another {name.replace('_', ' ')} ({was}, not {now})",
                key="--out",
                value=folder,
                suggestion=MIXED if others else OTHER,
            )


def _write(folder: Path, makers: list[Maker], keeps: Keeps) -> None:
    content = {
        "schema_version": SCHEMA_VERSION,
        # A program that knows of one maker only refuses several.
        "made_by": makers[0] if len(makers) == 1 else makers,
        "keeps": keeps.as_mapping(),
    }
    write_whole(folder / MANIFEST, json.dumps(content, indent=2) + "\n", durable=True)


def _several(folder: Path, makers: list[Maker], key: str, suggestion: str) -> ConfigError:
    reason = f"was heard by several bundles ({_digests(makers)})"
    return ConfigError(reason, key=key, value=folder, suggestion=suggestion)


def _digests(makers: list[Maker]) -> str:
    return ", ".join(str(maker.get("bundle"))[:SHOWN] for maker in makers)
