"""Bundles on a recorder: each in a folder named by its digest, and a link to the one in use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import edge.bundle
from deploy.install.layout import Layout
from deploy.install.steps import Step, Undo, link, remove
from edge.bundle import Bundle, load_bundle
from edge.errors import BundleError
from edge.files import replacing_folder

__all__ = ["bundle_steps", "chosen_bundle", "others"]


def chosen_bundle(layout: Layout, asked: Path | None) -> Bundle:
    """Return the bundle to install, verified.

    It is the one in the folder `asked`, else the one that is installed, else the model that ships
    with the program. Raises `BundleError` when it cannot be trusted.
    """
    if asked is None and layout.current.is_symlink():
        asked = layout.current.resolve()
    return load_bundle(
        asked or Path(edge.bundle.__file__).resolve().parents[1] / "models" / "default"
    )


def bundle_steps(layout: Layout, bundle: Bundle) -> Iterator[Step]:
    """Copy the bundle and let the link lead there."""
    place = layout.bundles / bundle.digest
    yield Step(
        what=f"copy the bundle {bundle.manifest.name} from {bundle.path} to {place}",
        why="every file is verified there against the manifest",
        done=lambda: _sound(place, bundle.digest),
        do=lambda: _copy(bundle, place),
    )
    yield link(layout.current, bundle.digest, "model.bundle of edge.yaml is this link")


def others(layout: Layout) -> list[Path]:
    """Return the manifests of the bundles that were installed and are not in use."""
    used = layout.current.resolve()
    # A hidden folder is what a copy left that was cut off.
    found = sorted(layout.bundles.glob("[!.]*/manifest.json"))
    return [path for path in found if path.parent.resolve() != used]


def _sound(place: Path, digest: str) -> bool:
    try:
        return load_bundle(place).digest == digest
    except BundleError:
        return False


def _copy(bundle: Bundle, place: Path) -> Undo:
    """Copy the files that the manifest names, and no others, to `place`, once they are verified.

    Raises `BundleError` when the copy is not the bundle.
    """
    damaged = place.exists()  # a sound one would not be copied again
    with replacing_folder(place, durable=True) as staging:
        for name in ("manifest.json", *bundle.manifest.files):
            file = staging / name
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path / name, file)
            file.chmod(0o644)
        if load_bundle(staging).digest != bundle.digest:
            raise BundleError(f"{bundle.path}: changed while it was copied; run this again")
    # The link may have led to the damaged one all along, so its replacement stays.
    return (lambda: None) if damaged else (lambda: remove(place))
