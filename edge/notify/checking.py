"""What would keep `edge notify` from telling people, for `edge check`: nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator

from edge.config.config import Config
from edge.config.notify import NotifyConfig
from edge.errors import Fault, UserError
from edge.notify.names import unknown_names
from edge.notify.rules import RULES
from edge.notify.services import check_service, configured_services

__all__ = ["found_services", "notify_doubts", "service_faults"]


def service_faults(config: Config) -> Iterator[Fault]:
    """Yield why services cannot be used: the file, each of them, or the library that is missing."""
    file = config.notify.services_file
    try:
        for service in configured_services(file):
            try:
                check_service(service, file)
            except UserError as exc:
                yield exc.fault
                if not exc.fault.key:  # the library, which is missing for the next one, too
                    return
    except UserError as exc:
        yield exc.fault


def found_services(config: Config) -> str:
    """Say what is told through how many services; raises `UserError`."""
    count = len(configured_services(config.notify.services_file))
    chosen = [rule for rule in RULES if getattr(config.notify, rule)]
    faults = ["microphone", "recorder", "disk_free_mb"]
    rules = [*chosen, *(fault for fault in faults if getattr(config.notify, fault))]
    return f"{count} service{'s' if count > 1 else ''}, not asked now; tells of {', '.join(rules)}"


def notify_doubts(config: Config) -> Iterator[str]:
    """Yield what is hardly meant: rules that tell nobody, or of nothing that is heard here."""
    if config.notify.services_file is None and config.notify != NotifyConfig():
        yield "notify.services_file names no file, so that nobody is told of anything"
    for fault in unknown_names(config):
        yield f"{fault}; it is told of only if a head that knows it is sent"
