"""Who may open the page, and whose forms it takes."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from edge.cli import main
from edge.errors import ConfigError, UserError
from edge.page.access import read_password, write_password
from edge.page.place import place_of
from edge.page.server import Served, serve
from tests.support.daemons import write_config
from tests.support.heard import heard_recorder
from tests.support.pages import page_of, token_in

PASSWORD = "correct horse battery"
HERE = "http://localhost"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return heard_recorder(tmp_path_factory.mktemp("recorder"), days=1, clips=1)


@pytest.fixture(scope="module")
def password_hash(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("password") / "password"
    write_password(path, PASSWORD)
    kept = read_password(path)
    assert kept is not None
    return kept


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def log_in(
    client: FlaskClient, password: str, then: str = "/", base: str = HERE
) -> tuple[int, str]:
    token = token_in(client.get("/login", base_url=base).text)
    form = {"token": token, "password": password, "then": then}
    response = client.post("/login", data=form, base_url=base)
    return response.status_code, response.headers.get("Location", "")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9619", "127.0.0.1.evil.example", ""]
)
def test_only_names_of_this_machine_are_answered_to(config: Path, host: str) -> None:
    _, client = page_of(config)
    assert client.get("/species", headers={"Host": host}).status_code in (400, 421)
    for good in ("localhost", "127.0.0.1:9619", "[::1]:9619"):
        assert client.get("/species", headers={"Host": good}).status_code == 200


def test_with_a_password_nothing_but_the_way_in_is_shown(config: Path, password_hash: str) -> None:
    app, client = page_of(config, password_hash=password_hash)
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint in ("static", "login"):
            continue
        path = rule.rule.replace("<day:on>", "2026-05-03").replace("<form>", "csv")
        path = path.partition("<")[0] + ("x" if "<" in path else "")
        response = client.get(path, base_url=HERE)
        assert response.status_code in (302, 404), path
        assert "Great Tit" not in response.text
    assert log_in(client, PASSWORD) == (302, "/")
    assert client.get("/species", base_url=HERE).status_code == 200
    token = token_in(client.get("/species", base_url=HERE).text)
    client.post("/logout", data={"token": token}, base_url=HERE)
    assert client.get("/species", base_url=HERE).status_code == 302


def test_wrong_passwords_are_few_a_minute(config: Path, password_hash: str) -> None:
    clock = Clock()
    _, client = page_of(config, password_hash=password_hash, monotonic_s=clock)
    assert [log_in(client, "wrong")[0] for _ in range(6)] == [403] * 5 + [429]
    assert log_in(client, PASSWORD)[0] == 429
    clock.now_s = 61.0
    assert log_in(client, PASSWORD)[0] == 302


@pytest.mark.parametrize(
    "then",
    ["https://evil.example", "//evil.example", "/\\evil.example", "x", "/a\r\nSet-Cookie: b"],
)
def test_the_way_in_leads_nowhere_else(config: Path, password_hash: str, then: str) -> None:
    _, client = page_of(config, password_hash=password_hash)
    assert log_in(client, PASSWORD, then) == (302, "/")


def test_the_cookie_is_for_this_page_alone(config: Path, password_hash: str) -> None:
    _, client = page_of(config, password_hash=password_hash, loopback=False, secure=True)
    cookie = client.get("/login", base_url="https://pond.example").headers["Set-Cookie"]
    assert {"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))


@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_forms_of_others_are_refused(config: Path, token: str | None) -> None:
    app, client = page_of(config)
    client.get("/species", base_url=HERE)
    data = {"answer": "noise"} | ({} if token is None else {"token": token})
    posts = [rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    assert len(posts) == 4
    for rule in posts:
        path = re.sub("<int[^>]*>", "1", re.sub("<string[^>]*>", "x", rule))
        assert "<" not in path
        assert client.post(path, data=data, base_url=HERE).status_code == 400


def test_a_password_is_kept_as_a_hash_that_only_its_owner_reads(tmp_path: Path) -> None:
    config = write_config(tmp_path, tmp_path)
    command = ["page", "--config", str(config), "--set-password"]
    environ = {"STATE_DIRECTORY": str(tmp_path)}
    done = CliRunner().invoke(main, command, input=f"{PASSWORD}\n", env=environ)
    assert done.exit_code == 0, done.output
    path = tmp_path / "labels" / "password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    assert path.stat().st_uid == path.parent.stat().st_uid == tmp_path.stat().st_uid
    done = CliRunner().invoke(main, command, input="short\n", env=environ)
    assert done.exit_code == 1
    assert "too short" in done.stderr


def test_others_are_let_in_only_by_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    place = place_of(write_config(tmp_path, tmp_path))
    for address in ("0.0.0.0", "::", "192.0.2.1", "pond.example"):
        with pytest.raises(ConfigError, match="--set-password"):
            serve(place, Served(address=address), say=lambda line: None)


def test_certificate_and_key_go_together_and_must_fit(tmp_path: Path) -> None:
    file = tmp_path / "a.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigError, match="go together"):
        Served(cert_file=file).context()
    with pytest.raises(ConfigError, match="cannot be used"):
        Served(cert_file=file, key_file=file).context()


def test_a_damaged_password_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="damaged"):
        read_password(tmp_path / "password")
