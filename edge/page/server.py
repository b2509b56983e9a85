"""The page's process: waitress on an address, with TLS in front where there are certificates.

Threads: waitress has a few that answer, and TLS has one.
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import tempfile
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import ConfigError, UserError
from edge.extras import how_to_install
from edge.page.limits import CONNECTIONS, IDLE_S
from edge.page.place import Shown

if TYPE_CHECKING:
    from edge.page.dataset.lab import Lab

__all__ = ["PASSWORD_FILE", "Served", "serve"]

THREADS = 2
MOST_REQUEST_BYTES = 100_000
PASSWORD_FILE = "password"
OPTIONS: dict[str, Any] = {
    "connection_limit": CONNECTIONS,
    "channel_timeout": IDLE_S,
    "max_request_body_size": MOST_REQUEST_BYTES,
    "ident": None,
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Served:
    """Where the page is served; certificate and key are files, PEM, that go together.

    So many `threads` answer.
    """

    address: str = "127.0.0.1"
    port: int = 9619
    cert_file: Path | None = None
    key_file: Path | None = None
    threads: int = THREADS

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.address == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return False

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS is made from, None without; raises `ConfigError`."""
        if self.cert_file is None and self.key_file is None:
            return None
        if self.cert_file is None or self.key_file is None:
            raise ConfigError("go together", key="--cert and --key")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as exc:
            reason = f"cannot be used as a certificate with its key ({exc})"
            raise ConfigError(reason, key="--cert", value=self.cert_file) from exc
        return context


def serve(place: Shown | Lab, served: Served, *, say: Callable[[str], None]) -> None:
    """Serve the page until the process is ended; raises `UserError` where that cannot be."""
    try:
        import waitress

        from edge.page.access import Access, read_password
        from edge.page.app import create_app
    except ImportError as exc:
        raise UserError(f"edge page needs Flask and waitress ({how_to_install('page')})") from exc
    password = read_password(place.labels.parent / PASSWORD_FILE)
    context = _checked(served, password)
    access = Access(password_hash=password, loopback=served.loopback, secure=context is not None)
    app = create_app(place, access=access)
    options = {**OPTIONS, "threads": served.threads}
    with ExitStack() as parts:
        try:
            if context is None:
                server = waitress.create_server(
                    app, host=served.address, port=served.port, **options
                )
            else:
                server = _behind_tls(app, served, context, parts, options)
        except OSError as exc:
            reason = f"cannot be listened at, port {served.port} ({exc.strerror or exc})"
            raise ConfigError(reason, key="--address", value=served.address) from exc
        parts.callback(server.close)
        scheme = "http" if context is None else "https"
        say(f"{scheme}://{_shown(served.address)}:{served.port}/")
        server.run()


def _checked(served: Served, password: str | None) -> ssl.SSLContext | None:
    """Return what TLS is made from; raises `ConfigError` where strangers could get in."""
    if not served.loopback and password is None:
        reason = "others could open the page: it needs a password"
        raise ConfigError(
            reason, key="--address", value=served.address, suggestion="edge page --set-password"
        )
    context = served.context()
    if context is None and not served.loopback:
        log.warning("the password goes over the network in the clear: give --cert and --key")
    return context


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _behind_tls(
    app: Any, served: Served, context: ssl.SSLContext, parts: ExitStack, options: dict[str, Any]
) -> Any:
    """Return waitress in a folder of its own, with TLS before it; raises OSError."""
    import waitress

    from edge.page.relay import Relay

    folder = parts.enter_context(tempfile.TemporaryDirectory(prefix="edge-page-"))
    behind = str(Path(folder) / "http")
    server = waitress.create_server(
        app, unix_socket=behind, unix_socket_perms="600", url_scheme="https", **options
    )
    relay = Relay(served.address, served.port, context, behind)
    threading.Thread(target=relay.run, name="tls", daemon=True).start()
    relay.wait()
    return server
