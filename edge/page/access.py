"""Who may open the page: a password's hash, sessions, tokens of forms, and the pace of logins."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask, abort, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.security import check_password_hash, generate_password_hash

from edge.errors import UserError
from edge.files import write_whole
from edge.page.owner import give_to_owner

__all__ = ["Access", "guard", "read_password", "write_password"]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Slow for whoever tries many, without the memory that other slow hashes take on a small board.
METHOD = "pbkdf2:sha256:600000"
LEAST_CHARACTERS = 10
TRIES, TRIES_S = 5, 60.0  # wrong passwords, from all the world together, in so many seconds
OPEN_TO_ALL = ("login", "static")


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may open the page: those who know the password of `password_hash`, else everybody.

    With `loopback`, only names of this machine are answered to: a page of somebody else that a
    browser here has open cannot pretend to be this one. `secure`: it is reached by TLS alone.
    """

    password_hash: str | None = None
    loopback: bool = True
    secure: bool = False
    monotonic_s: Callable[[], float] = time.monotonic


def write_password(path: Path, password: str) -> None:
    """Keep the hash of a password for its owner only; raises `UserError` for a short one."""
    if len(password) < LEAST_CHARACTERS:
        raise UserError(
            f"the password is too short: it has fewer than {LEAST_CHARACTERS} characters"
        )
    text = generate_password_hash(password, method=METHOD)
    write_whole(path, f"{text}\n", durable=True, mode=0o600)
    give_to_owner(path.parent, path)


def read_password(path: Path) -> str | None:
    """Return the hash that is kept, None where no password was ever set."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as exc:
        raise UserError(f"{path}: is damaged", suggestion="edge page --set-password") from exc


class LoginPace:
    """Lets a few wrong passwords a minute be tried, and none beyond. Any thread may ask."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._failed: deque[float] = deque(maxlen=TRIES)

    def open(self) -> bool:
        """Return whether a password may be tried now."""
        full = len(self._failed) == TRIES
        return not full or self._monotonic_s() - self._failed[0] > TRIES_S

    def failed(self) -> None:
        """Count a wrong password."""
        self._failed.append(self._monotonic_s())


def guard(app: Flask, access: Access) -> None:
    """Let `app` answer only those who may ask, and take forms only from its own pages."""
    app.secret_key = secrets.token_bytes(32)  # so a restart ends all sessions
    app.config.update(
        SESSION_COOKIE_NAME="edge_page",
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=access.secure,
        MAX_CONTENT_LENGTH=64_000,
    )
    app.context_processor(lambda: {"token": token, "locked": access.password_hash is not None})

    @app.before_request
    def check() -> ResponseReturnValue | None:
        if access.loopback and _host() not in LOOPBACK:
            abort(421)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            _check_token()
        open_to_all = access.password_hash is None or request.endpoint in OPEN_TO_ALL
        if open_to_all or session.get("in") is True:
            return None
        return redirect(url_for("login", then=request.full_path.rstrip("?")))

    _add_login(app, access)


def _add_login(app: Flask, access: Access) -> None:
    pace = LoginPace(access.monotonic_s)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> ResponseReturnValue:
        then = _own_path(request.values.get("then", ""))
        if access.password_hash is None:
            return redirect(then)
        if request.method == "GET":
            return render_template("login.html", then=then, fault="")
        if not pace.open():
            fault = "Too many wrong passwords: wait a minute."
            return render_template("login.html", then=then, fault=fault), 429
        given = request.form.get("password", "")[:1000]
        if not check_password_hash(access.password_hash, given):
            pace.failed()
            return render_template("login.html", then=then, fault="That is not the password."), 403
        session.clear()  # no token of before is of any use
        session["in"] = True
        return redirect(then)

    @app.post("/logout")
    def logout() -> ResponseReturnValue:
        session.clear()
        return redirect(url_for("login"))


def token() -> str:
    """Return the token that each form of this session carries."""
    if "token" not in session:
        session["token"] = secrets.token_urlsafe(24)
    return str(session["token"])


def _check_token() -> None:
    kept, given = session.get("token"), request.form.get("token", "")
    if not isinstance(kept, str) or not hmac.compare_digest(kept.encode(), given.encode()):
        abort(400, "This form is too old: go back, load the page anew and try again.")


def _host() -> str:
    try:
        return (urlsplit(f"//{request.host}").hostname or "").lower()
    except ValueError:
        return ""


def _own_path(text: str) -> str:
    """Return a path of this page, so that nobody is led elsewhere."""
    plain = text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if plain and text.isprintable() else "/"
