"""The scheduler of a cluster of Dask's `distributed` that is there already."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edge.errors import ConfigError, UserError
from edge.extras import how_to_install

__all__ = ["another_version", "check_installed", "client_of", "quieten", "refusals"]

REACHED_S = 15.0  # within which a scheduler must answer
FIRST_WORKER_S = 60.0


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    """Give a client of the scheduler at `address`, which has workers.

    Raises `ConfigError` where it cannot be reached or has none.
    """
    check_installed()
    with _connected(address) as client:
        try:
            client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        except TimeoutError as exc:
            reason = f"has had no worker for {FIRST_WORKER_S:.0f} s"
            raise ConfigError(reason, key="--scheduler", value=address) from exc
        yield client


def _connected(address: str) -> Any:
    """Return a client of the scheduler at `address`; one that cannot be made is closed at once.

    Dask closes what its constructor leaves behind when the memory is collected, which may be while
    it starts another client and holds the lock that closing waits for.
    """
    client_type: Any = importlib.import_module("distributed").Client
    quieten()
    client = client_type.__new__(client_type)
    try:
        client.__init__(address, timeout=REACHED_S, set_as_default=False)
    except Exception as exc:  # of any kind: each way of transport has refusals of its own
        client.close()
        reason = f"no scheduler can be reached there ({exc})"
        raise ConfigError(reason, key="--scheduler", value=address) from exc
    return client


def refusals(client: Any, ask: Callable[..., str | None], *asked: object) -> dict[str, str | None]:
    """Return of each worker, by its address, why it refuses: what `ask` returns there, or None."""
    found = client.run(ask, *asked, on_error="return")
    # A program of another version may not even know what it was asked.
    return {
        address: said if said is None or isinstance(said, str) else f"runs another program ({said})"
        for address, said in found.items()
    }


def another_version(ours: str, theirs: str) -> str | None:
    """Return why a worker whose code has the digest `ours` refuses a client with `theirs`."""
    if ours == theirs:
        return None
    return f"runs another version of this program (code {ours[:12]}, not {theirs[:12]})"


def quieten() -> None:
    """Leave it to this program to say, in its words, what is wrong with a cluster."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def check_installed() -> None:
    """Raise `UserError` where `distributed` is missing."""
    try:
        importlib.import_module("distributed")
    except ImportError as exc:
        raise UserError(f"workers need distributed ({how_to_install('archive')})") from exc
