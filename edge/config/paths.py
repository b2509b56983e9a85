"""Where the paths of a configuration lead: to one place, whatever the working directory is.

A relative path is below the folder of the file that names it. What a recorder writes, its engines
and its secrets have folders of their own where the service manager gives them, and the installed
recorder has the same ones when a person asks about it. Each kind of path is a type here; whoever
declares a key chooses one, and validation does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from edge.bundle.places import named_bundle
from edge.bundle.signature import is_key
from edge.errors import BundleError

__all__ = [
    "INSTALLED",
    "STATE",
    "BundlePath",
    "CachePath",
    "FilePath",
    "Folders",
    "KeyText",
    "SecretPath",
    "StatePath",
    "folders_of",
]

INSTALLED = Path("/etc/edge-monitor/edge.yaml")
# What systemd gives to edge.service, whose folders these are for everybody.
STATE = "/var/lib/edge-monitor"
OF_THE_INSTALLED = {"STATE_DIRECTORY": STATE, "CACHE_DIRECTORY": "/var/cache/edge-monitor"}
UNIT = "edge_"  # what edge.service puts before the name of a file in `credentials`


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The folders that relative paths are below.

    `beside` is that of the configuration file. `secrets` are the service manager's, None where it
    gives none; `bundles` is the environment that says where bundles have names.
    """

    beside: Path
    state: Path
    cache: Path
    secrets: Path | None
    bundles: Mapping[str, str]

    def secret(self, path: Path) -> Path:
        """Return the file of a secret: the service manager's, else that which it is made from."""
        places = [self.beside / path]
        if self.secrets is not None:
            places.insert(0, self.secrets / path)
        if len(path.parts) == 1 and path.name.startswith(UNIT):
            places.append(self.beside / "credentials" / path.name.removeprefix(UNIT))
        return next((place for place in places if os.path.exists(place)), places[0])

    def bundle(self, word: Path) -> Path:
        """Return the folder of a bundle, `TRUNK+HEAD` of two; a name that nothing has stays."""
        try:
            return named_bundle(word, self.bundles, beside=self.beside)
        except BundleError:
            return word

    def key(self, text: str) -> str:
        """Return a public key as it is, and the path of a file that has one."""
        return text if is_key(text) else str(self.beside / text)


def folders_of(file: Path | None, environ: Mapping[str, str]) -> Folders:
    """Return the folders of a configuration; without a file, it is the working directory."""
    if file == INSTALLED:
        environ = {**OF_THE_INSTALLED, **environ}
    beside = Path() if file is None else file.parent
    return Folders(
        beside=beside,
        state=_given(environ, "STATE_DIRECTORY") or beside,
        cache=_given(environ, "CACHE_DIRECTORY") or beside,
        secrets=_given(environ, "CREDENTIALS_DIRECTORY"),
        bundles=environ,
    )


def _given(environ: Mapping[str, str], name: str) -> Path | None:
    """Return the folder that systemd gives, the first of several with colons between them."""
    first = environ.get(name, "").partition(":")[0]
    return Path(first) if first else None


def _path(value: object) -> object:
    """Make text a path: YAML has none, and strict pydantic takes nothing else."""
    if isinstance(value, str) and not (value and value.isprintable()):
        # NUL, half a character, line breaks: nothing can be opened by it, or shown.
        raise ValueError("is not a path")
    return Path(value) if isinstance(value, str) else value


def _placed(place: Callable[[Folders, Path], Path]) -> AfterValidator:
    """Return the step that puts a path where `place` says; without folders it stays."""

    def validate(path: Path, info: ValidationInfo) -> Path:
        return path if info.context is None else place(info.context, path)

    return AfterValidator(validate)


def _key(text: str, info: ValidationInfo) -> str:
    folders: Folders | None = info.context
    return text if folders is None else folders.key(text)


FilePath = Annotated[
    Path, BeforeValidator(_path), _placed(lambda folders, path: folders.beside / path)
]
StatePath = Annotated[
    Path, BeforeValidator(_path), _placed(lambda folders, path: folders.state / path)
]
CachePath = Annotated[
    Path, BeforeValidator(_path), _placed(lambda folders, path: folders.cache / path)
]
SecretPath = Annotated[Path, BeforeValidator(_path), _placed(Folders.secret)]
BundlePath = Annotated[Path, BeforeValidator(_path), _placed(Folders.bundle)]
KeyText = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_key)]
