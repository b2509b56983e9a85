"""A head: a folder with labels, rule and top, on the network of another bundle, its trunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edge.bundle.bundle import CARD, HEAD, MANIFEST, TOP, Bundle, Network, golden_file
from edge.bundle.folder import COPY_AGAIN
from edge.bundle.golden import EXPORT_AGAIN, LARGEST_BYTES, Array, Golden, arrays_of
from edge.bundle.manifest import FP32, Manifest
from edge.bundle.places import SHIPPED, bundle_folders
from edge.bundle.signature import Signature
from edge.bundle.top import Top, top_of
from edge.bundle.verified import (
    LARGEST_CARD_BYTES,
    calibration_in,
    head_of,
    manifest_content,
    manifest_of,
    refuse_strange_animal_rule,
    rule_in,
    verified,
)
from edge.errors import BundleError, SpecError

__all__ = ["head_on", "refuse_other_trunk", "trunk_folder"]

TOLERANCE = 1e-3  # of logits, on the outputs that the trunk must give for its golden window
MOST_FOLDERS = 1_000


def trunk_folder(head: Path, digest: str) -> Path:
    """Return the folder of the bundle that has the network of a head, by its trunk digest.

    It is looked for beside the head, among the installed bundles and among those that ship with the
    program. Raises `BundleError`, which names the folders.
    """
    folders = [head.absolute().parent, *bundle_folders(), SHIPPED]
    for candidate in _bundles_in(folders):
        if _is_trunk(candidate, digest):
            return candidate
    looked = ", ".join(dict.fromkeys(map(str, folders[:-1])))
    raise BundleError(
        f"{head}: is a head on the network {digest[:12]}, and no bundle in {looked} has it",
        suggestion="install the bundle that it was made on, or name it: TRUNK+HEAD",
    )


def _bundles_in(folders: list[Path]) -> Iterator[Path]:
    for folder in dict.fromkeys(folders):
        try:
            names = sorted(folder.iterdir())[:MOST_FOLDERS]
        except OSError:  # not there, or not for us
            continue
        yield from (name for name in names if (name / MANIFEST).is_file())


def _is_trunk(folder: Path, digest: str) -> bool:
    try:
        manifest = manifest_of(folder / MANIFEST, manifest_content(folder))
    except (BundleError, OSError):  # another's folder, of which nothing is wanted
        return False
    return not manifest.trunk and manifest.trunk_digest == digest


def refuse_other_trunk(trunk: Bundle, path: Path, manifest: Manifest) -> None:
    """Raise `BundleError` unless the bundle in `path` is a head on the network of `trunk`."""
    if trunk.trunk is not None:
        raise BundleError(
            f"{trunk.path}: is a head itself, and no network of a head",
            suggestion=f"name it alone, or the head on {trunk.trunk.path}",
        )
    if not manifest.trunk:
        raise BundleError(
            f"{path}: is no head: it has a network of its own", suggestion="name it alone"
        )
    if trunk.trunk_digest != manifest.trunk:
        raise BundleError(
            f"{path}: is a head on the network {manifest.trunk[:12]}, and {trunk.path} has "
            f"{trunk.trunk_digest[:12]}",
            suggestion="name the bundle that it was made on, or the head alone",
        )


def head_on(trunk: Bundle, path: Path, manifest: Manifest, signature: Signature | None) -> Bundle:
    """Return the head in the folder `path` as a bundle with the network of `trunk`.

    Raises `BundleError`, which names the file.
    """
    if trunk.trunk_digest != manifest.trunk or trunk.frontend != manifest.frontend:
        raise BundleError(f"{path}: does not belong to {trunk.path}", suggestion=EXPORT_AGAIN)
    below = trunk.networks[FP32]
    top = _top(path, manifest, trunk)
    verified(path, manifest, CARD, LARGEST_CARD_BYTES)
    looked_at = top.looked_at or len(below.golden.embedding)
    rule = rule_in(path, manifest, dimensions=looked_at + top.extra)
    embedding, logits = _golden(path, manifest, top, below.golden)
    golden = dataclasses.replace(below.golden, embedding=embedding, logits=logits)
    head = head_of(path / HEAD, rule, manifest, manifest, golden)
    network = Network(name=FP32, path=below.path, head=head, golden=below.golden, top=top)
    bundle = Bundle(
        path=path,
        manifest=manifest,
        networks={FP32: network},
        bands=trunk.bands,
        calibration=calibration_in(path, manifest),
        trunk=trunk,
        signature=signature,
    )
    refuse_strange_animal_rule(bundle)
    return bundle


def _top(path: Path, manifest: Manifest, trunk: Bundle) -> Top:
    arrays = arrays_of(path / TOP, verified(path, manifest, TOP, LARGEST_BYTES))
    try:
        return top_of(
            arrays,
            labels=len(manifest.labels),
            dimensions=len(trunk.golden.embedding),
            trunk_labels=len(trunk.manifest.labels),
        )
    except SpecError as exc:
        raise BundleError(f"{path / TOP}: {exc}", suggestion=EXPORT_AGAIN) from exc


def _golden(path: Path, manifest: Manifest, top: Top, golden: Golden) -> tuple[Array, Array]:
    """Return what the top gives for the trunk's golden window, which its own file must have."""
    file = path / golden_file(FP32)
    arrays = arrays_of(file, verified(path, manifest, file.name, LARGEST_BYTES))
    looked_at, logits = top(golden.embedding[np.newaxis], golden.logits[np.newaxis])
    expected = arrays.get("logits")
    if arrays.keys() != {"logits"} or expected is None or expected.shape != logits[0].shape:
        raise BundleError(f"{file}: has not the logits of one window", suggestion=EXPORT_AGAIN)
    if not (np.abs(expected - logits[0]) <= TOLERANCE).all():  # so that NaN is refused, too
        raise BundleError(f"{file}: the head gives other logits than these", suggestion=COPY_AGAIN)
    return looked_at[0], logits[0]
