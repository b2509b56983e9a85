"""The configuration of a recorder: the default, which never replaces what a person has written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from deploy.install.layout import Layout, shipped
from deploy.install.steps import Step, Undo, write
from edge.bundle.signature import PublicKey
from edge.config.config import Config, load_config
from edge.errors import ConfigError

__all__ = ["configuration_step", "trusted_keys", "unused_bundle"]


def configuration_step(layout: Layout) -> Step:
    """Write the default configuration.

    A file that a person has edited stays; the default then goes beside it, once for each new
    default.
    """
    file, pristine = _file(layout), layout.kept / "edge.yaml.shipped"
    default = _default(layout)
    if _is_edited(file, pristine, default):
        target = file.with_name("edge.yaml.new")
        why = f"{file} was edited and stays; this is the new default to compare it with"
    else:
        target = file
        why = "every key with its default; edit it as you like"

    def done() -> bool:
        return (
            file.exists() and pristine.exists() and pristine.read_text(encoding="utf-8") == default
        )

    def do() -> Undo:
        undo_target = write(target, default.encode())
        undo_pristine = write(pristine, default.encode())
        return lambda: (undo_pristine(), undo_target())

    return Step(what=f"write {target}", why=why, done=done, do=do)


def trusted_keys(layout: Layout) -> list[PublicKey]:
    """Return the keys of which the installed configuration wants one to have signed a bundle.

    Raises `ConfigError` where it does not say which.
    """
    file = _file(layout)
    if not file.exists():
        return []
    return load_config(file, without=Config.model_fields.keys() - {"model"}).model.trusted()


def unused_bundle(layout: Layout) -> Iterator[str]:
    """Say so when the configuration names another bundle than the installed one."""
    file = _file(layout)
    if not file.exists():
        return
    configured = load_config(file).model.bundle
    if configured != layout.current:
        yield (
            f"{file} has model.bundle = {configured or 'null'}, so the installed bundle is not "
            f"used; its link is {layout.current}"
        )


def _file(layout: Layout) -> Path:
    return layout.settings / "edge.yaml"


def _default(layout: Layout) -> str:
    """Return the configuration that ships with the program, with the installed bundle in it."""
    line = (
        f"  bundle: {layout.current}  # the link that `edge-deploy install` sets; null: the "
        "program's own; else a folder, a name, or TRUNK+HEAD"
    )
    default, found = re.subn(
        r"^  bundle: null .*$", line, shipped("config/edge.yaml"), flags=re.MULTILINE
    )
    if found != 1:
        raise ConfigError("config/edge.yaml: has no line `bundle: null`; install the program again")
    return default


def _is_edited(file: Path, pristine: Path, default: str) -> bool:
    """Return whether `file` is neither what was shipped last nor what is shipped now."""
    if not file.exists():
        return False
    if pristine.exists() and file.read_bytes() == pristine.read_bytes():
        return False
    return file.read_text(encoding="utf-8", errors="replace") != default
