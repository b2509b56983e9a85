"""A path in a configuration leads to one place, whoever reads the file from wherever."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic.fields import FieldInfo

from edge.config.config import Config, load_config
from edge.config.paths import INSTALLED, folders_of
from edge.section import Section

STATE = ("store.path", "clips.folder", "heads.kept")
CACHE = ("model.engines",)
MQTT = ("ca_file", "cert_file", "key_file", "username_file", "password_file")
SECRETS = (*(f"mqtt.{name}" for name in MQTT), "notify.services_file")
BESIDE = ("heads.folder", "model.bundle", "model.bundles", "model.trusted_keys")
UNIT = {name: f"/given/{name}" for name in ("STATE", "CACHE", "CREDENTIALS")}
# What has to stand beside a key for a configuration to be valid.
WITH = {"mqtt": {"tls": True, "cert_file": "/c", "key_file": "/k", "username_file": "/u"}}


def key_fields() -> Iterator[tuple[str, FieldInfo]]:
    for section, field in Config.model_fields.items():
        kind = type(field.default)
        assert issubclass(kind, Section)
        yield from ((f"{section}.{key}", each) for key, each in kind.model_fields.items())


def holds(annotation: Any, wanted: Any) -> bool:
    """Whether a type is made of another one, however deep."""
    parts = get_args(annotation)
    return annotation == wanted or any(holds(part, wanted) for part in parts)


PATHS = [key for key, field in key_fields() if holds(field.annotation, Path)]


def written(folder: Path, key: str, value: object) -> Path:
    section, _, name = key.partition(".")
    file = folder / "edge.yaml"
    file.write_text(yaml.safe_dump({section: {**WITH.get(section, {}), name: value}}))
    return file


def read(file: Path | None, key: str, **environ: str) -> str:
    """The value of a key, the only one of several."""
    section, _, name = key.partition(".")
    value = getattr(getattr(load_config(file, environ=environ), section), name)
    return str(value[0] if isinstance(value, tuple) else value)


def several(key: str, word: str) -> object:
    return [word] if key in ("model.bundles", "model.trusted_keys") else word


def test_every_path_is_of_a_kind_that_is_known() -> None:
    assert {*PATHS, "model.trusted_keys"} == {*STATE, *CACHE, *SECRETS, *BESIDE}


@pytest.mark.parametrize("key", [*STATE, *CACHE, *SECRETS, *BESIDE])
def test_a_relative_path_is_below_the_folder_of_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    file = written(tmp_path, key, several(key, "sub/one"))
    for folder in (tmp_path, Path("/")):
        monkeypatch.chdir(folder)
        assert read(file, key) == str(tmp_path / "sub" / "one")
    assert read(written(tmp_path, key, several(key, "/sub/one")), key) == "/sub/one"
    monkeypatch.chdir(tmp_path)
    written(tmp_path, key, several(key, "sub/one"))
    assert read(Path("edge.yaml"), key) == os.path.join("sub", "one")


@pytest.mark.parametrize("key", [*STATE, *CACHE, *SECRETS, *BESIDE])
def test_what_the_service_manager_gives_comes_first(tmp_path: Path, key: str) -> None:
    file = written(tmp_path, key, several(key, "sub/one"))
    given = {f"{name}_DIRECTORY": f"{folder}:/further" for name, folder in UNIT.items()}
    given["CREDENTIALS_DIRECTORY"] = UNIT["CREDENTIALS"]
    kinds = {**dict.fromkeys(STATE, "STATE"), **dict.fromkeys(CACHE, "CACHE")}
    kinds |= dict.fromkeys(SECRETS, "CREDENTIALS")
    place = UNIT[kinds[key]] if key in kinds else str(tmp_path)
    assert read(file, key, **given) == f"{place}/sub/one"


@pytest.mark.parametrize("key", [*STATE, *CACHE])
def test_a_default_is_a_path_like_any_other(tmp_path: Path, key: str) -> None:
    (tmp_path / "edge.yaml").write_text("site: {}\n")
    default = read(tmp_path / "edge.yaml", key)
    assert Path(default).parent == tmp_path
    assert Path(default).name == read(None, key)


@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_is_found_by_the_service_and_by_who_asks_about_it(
    tmp_path: Path, key: str
) -> None:
    """What systemd gives a service as edge_NAME is `credentials/NAME` beside the configuration."""
    file = written(tmp_path, key, "edge_secret")
    assert read(file, key) == str(tmp_path / "edge_secret")  # which is not there, and is told
    secret = tmp_path / "credentials" / "secret"
    secret.parent.mkdir()
    secret.write_text("s")
    assert read(file, key) == str(secret)
    unit = tmp_path / "unit"
    unit.mkdir()
    assert read(file, key, CREDENTIALS_DIRECTORY=str(unit)) == str(secret)
    (unit / "edge_secret").write_text("s")
    assert read(file, key, CREDENTIALS_DIRECTORY=str(unit)) == str(unit / "edge_secret")
    beside = written(tmp_path, key, "secret.pem")
    (tmp_path / "secret.pem").write_text("s")
    assert read(beside, key, CREDENTIALS_DIRECTORY=str(unit)) == str(tmp_path / "secret.pem")


@pytest.mark.parametrize("key", ["model.bundle", "model.bundles"])
def test_a_bundle_may_be_a_name_a_folder_or_two_of_them(tmp_path: Path, key: str) -> None:
    for folder in ("trunk", "state/bundles/named"):
        (tmp_path / folder).mkdir(parents=True)
    state = str(tmp_path / "state")
    trunk, named = tmp_path / "trunk", tmp_path / "state" / "bundles" / "named"
    expected = {
        "trunk": f"{trunk}",
        "named": f"{named}",
        "trunk+named": f"{trunk}+{named}",
        "nobody": "nobody",  # told with the folders that were looked into
        "none/such": f"{tmp_path}/none/such",
    }
    for word, place in expected.items():
        file = written(tmp_path, key, several(key, word))
        assert read(file, key, STATE_DIRECTORY=state, HOME="/nowhere") == place


def test_a_key_is_one_itself_or_the_file_that_has_it(tmp_path: Path) -> None:
    key = base64.b64encode(bytes(32)).decode()
    assert read(written(tmp_path, "model.trusted_keys", [key]), "model.trusted_keys") == key


def test_the_installed_recorder_has_its_folders_without_systemd_too() -> None:
    folders = folders_of(INSTALLED, {})
    assert folders.state == Path("/var/lib/edge-monitor")
    assert folders.cache == Path("/var/cache/edge-monitor")
    assert folders_of(INSTALLED, {"STATE_DIRECTORY": "/elsewhere"}).state == Path("/elsewhere")


def test_paths_of_no_file_are_those_of_the_working_directory() -> None:
    assert load_config(None, environ={}) == Config()
    assert read(None, "store.path") == "edge.db"
