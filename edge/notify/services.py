"""The services that people name, as URLs of apprise; each is a secret that is never shown.

Apprise's own log has URLs and tokens in it, so nothing of that goes anywhere: what became of a
message is known by the answers of HTTP, or by yes and no.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.errors import ConfigError, UserError, blamed_on
from edge.extras import how_to_install

__all__ = ["Answer", "Service", "check_service", "configured_services", "read_services", "send"]

KEY = "notify.services_file"
MOST_SERVICES = 20
MOST_BYTES = 65_536
MANY_OTHERS = stat.S_IRWXG | stat.S_IRWXO
SEE = "one URL of apprise in a line, see docs/recorder.md"
APP = "edge-monitor"
CREDENTIALS = "/etc/edge-monitor/credentials"  # a folder that only root may enter


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service: its place in the file, counted from 1, and its URL."""

    number: int
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called in front of people."""
        scheme, found, _ = self.url.partition("://")
        kind = f" ({scheme.lower()})" if found and scheme.isalnum() and len(scheme) <= 20 else ""
        return f"service {self.number}{kind}"

    def digest(self, salt: str) -> str:
        """Return what names it in the database."""
        return hmac.new(bytes.fromhex(salt), self.url.encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of an attempt: whether the service took the message, and its answers of HTTP."""

    taken: bool
    statuses: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The same for people."""
        if self.taken:
            return "sent"
        if not self.statuses:
            return "not sent: no answer, or refused; are address, network and password right?"
        return f"not sent: the service answered {self.statuses[-1]}"


def read_services(path: Path | None, *, trusted_folder: Path | None) -> list[Service]:
    """Read the services of the file at `path`; raises `ConfigError`, which shows none of them.

    Below `trusted_folder`, where the service manager puts secrets, the rights are its business.
    """
    if path is None:
        raise ConfigError("names no file", key=KEY, value="null", suggestion=SEE)
    with blamed_on(KEY, path, SEE):
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
                mode = stat.S_IMODE(path.stat().st_mode)
            text = content.decode()
        except OSError as exc:
            raise ConfigError(f"cannot be read: {exc.strerror or exc}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError("is not UTF-8 text") from exc
        trusted = trusted_folder is not None and path.is_relative_to(trusted_folder)
        if mode & MANY_OTHERS and not trusted:
            raise ConfigError("others may read it", suggestion=f"chmod 600 {path}")
        lines = [line.strip() for line in text.splitlines()]
        urls = [line for line in lines if line and not line.startswith("#")]
        if not urls or len(urls) > MOST_SERVICES or len(content) > MOST_BYTES:
            raise ConfigError(f"has {len(urls)} services, and 1 to {MOST_SERVICES} are possible")
    return [Service(number=number, url=url) for number, url in enumerate(urls, 1)]


def configured_services(path: Path | None) -> list[Service]:
    """Read the services of the file that the configuration names; raises `ConfigError`.

    For root, who asks without the service manager, what the unit calls edge_NAME is where that
    takes it from.
    """
    folder = Path(os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIALS))
    if path is not None and not path.is_absolute() and not path.exists():
        path = folder / path.name.removeprefix("edge_")
    return read_services(path, trusted_folder=folder)


def check_service(service: Service, path: Path | None) -> None:
    """Raise `ConfigError` where it is none that apprise knows, `UserError` without apprise."""
    with _silence():
        if _instance(service.url) is None:
            reason = f"{service.name} is none that apprise knows, or is not whole"
            raise ConfigError(reason, key=KEY, value=path or "", suggestion=SEE)


def send(url: str, *, title: str, body: str, files: Sequence[Path] = ()) -> Answer:
    """Send a message through one service, with those files that it takes; never raises."""
    with _silence() as statuses:
        instance = _instance(url)
        if instance is None:
            return Answer(taken=False)
        import apprise

        takes_files = getattr(instance, "attachment_support", False)
        sender = apprise.Apprise(asset=instance.asset)
        sender.add(instance)
        try:
            taken = bool(
                sender.notify(
                    title=title,
                    body=body,
                    body_format=apprise.NotifyFormat.TEXT,
                    attach=[str(file) for file in files] if files and takes_files else None,
                )
            )
        except Exception:  # a plugin's own fault, whose text may have the URL in it
            taken = False
    return Answer(taken=taken, statuses=tuple(statuses))


def _instance(url: str) -> Any:
    """Return apprise's object for a URL, None where it knows none."""
    try:
        import apprise
    except ImportError as exc:
        text = f"edge notify needs apprise ({how_to_install('notify')})"
        raise UserError(text) from exc
    # No icons from elsewhere, and nothing of its own on the disk.
    asset = apprise.AppriseAsset(
        app_id=APP,
        app_desc=APP,
        app_url="",
        image_url_mask="",
        pgp_autogen=False,
        async_mode=False,
    )
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


class _Statuses(logging.Handler):
    """Keeps the status of each answer of HTTP, which urllib3 logs as a number among its fields."""

    def __init__(self, found: list[int]) -> None:
        super().__init__(logging.DEBUG)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        fields = record.args if isinstance(record.args, tuple) else ()
        if len(fields) > 2 and type(fields[-2]) is int and 100 <= fields[-2] < 600:
            self._found.append(fields[-2])


@contextlib.contextmanager
def _silence() -> Iterator[list[int]]:
    """Keep what apprise and its network say from all logs; yield the statuses that came.

    What it warns of is for those who make it: modules that a later Python drops.
    """
    found: list[int] = []
    handler = _Statuses(found)
    loggers = [logging.getLogger(name) for name in ("apprise", "urllib3", "requests")]
    before = [(one, one.propagate, one.level) for one in loggers]
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(handler)
        logger.setLevel(logging.CRITICAL)
    loggers[1].setLevel(logging.DEBUG)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield found
    finally:
        for logger, propagate, level in before:
            logger.removeHandler(handler)
            logger.propagate = propagate
            logger.setLevel(level)
