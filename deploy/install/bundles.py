"""Bundles on a recorder: each in a folder named by its digest, and a link to the one in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from deploy.install.configuration import trusted_keys
from deploy.install.layout import Layout
from deploy.install.steps import Step, Undo, link, remove
from edge.bundle import Bundle, load_bundle
from edge.bundle.folder import content_of, placed
from edge.bundle.graph import LARGEST_GRAPH_BYTES
from edge.bundle.places import SHIPPED, named_bundle
from edge.errors import BundleError, one_line
from edge.files import replacing_folder

__all__ = ["bundle_steps", "chosen_bundle", "others"]


def chosen_bundle(layout: Layout, asked: Path | None) -> Bundle:
    """Return the bundle to install, verified.

    It is the one that is `asked` for, else the one that is installed, else the model that ships
    with the program. Raises `BundleError` when it cannot be trusted, and `ConfigError` for a
    configuration that does not say which keys are.
    """
    if asked is None and layout.current.is_symlink():
        asked = layout.current.resolve()
    path = SHIPPED / "default" if asked is None else named_bundle(asked)
    return load_bundle(path, trusted=trusted_keys(layout))


def bundle_steps(layout: Layout, bundle: Bundle) -> Iterator[Step]:
    """Copy the bundle, a head after its trunk, and let the link lead there."""
    for part in filter(None, (bundle.trunk, bundle)):
        yield _copy_step(layout, part)
    yield link(layout.current, bundle.digest, "model.bundle of edge.yaml is this link")


def _copy_step(layout: Layout, bundle: Bundle) -> Step:
    place = layout.bundles / bundle.digest
    return Step(
        what=f"copy the bundle {one_line(bundle.manifest.name)} from {bundle.path} to {place}",
        why="every file is verified there against the manifest",
        done=lambda: _sound(place, bundle),
        do=lambda: _copy(bundle, place),
    )


def others(layout: Layout, bundle: Bundle) -> list[Path]:
    """Return the manifests of the bundles that were installed and are not `bundle` in use."""
    used = {part.digest for part in filter(None, (bundle.trunk, bundle))}
    # A hidden folder is what a copy left that was cut off.
    found = sorted(layout.bundles.glob("[!.]*/manifest.json"))
    return [path for path in found if path.parent.resolve().name not in used]


def _sound(place: Path, bundle: Bundle) -> bool:
    try:
        return _is_same(load_bundle(place), bundle)
    except BundleError:
        return False


def _is_same(one: Bundle, other: Bundle) -> bool:
    return one.digest == other.digest and one.signature == other.signature


def _copy(bundle: Bundle, place: Path) -> Undo:
    """Copy the files of a bundle, and no others, to `place`, once they are verified.

    Raises `BundleError` when the copy is not the bundle.
    """
    damaged = place.exists()  # a sound one would not be copied again
    with replacing_folder(place, durable=True) as staging:
        for name in bundle.file_names:
            content = content_of(placed(bundle.path, name), most_bytes=LARGEST_GRAPH_BYTES)
            file = placed(staging, name)
            file.write_bytes(content)
            file.chmod(0o644)
        if not _is_same(load_bundle(staging), bundle):
            raise BundleError(f"{bundle.path}: changed while it was copied; run this again")
    # The link may have led to the damaged one all along, so its replacement stays.
    return (lambda: None) if damaged else (lambda: remove(place))
