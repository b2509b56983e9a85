"""An address at which there is no scheduler, however it is wrong."""

from __future__ import annotations

import gc

import pytest
from distributed import Client

from edge import scheduler
from edge.errors import ConfigError

WRONG = (
    *("", " ", "nonsense", "tcp://", "tcp://127.0.0.1:x", "tcp://[::1", "http://127.0.0.1:9"),
    *("tls://127.0.0.1:9", "ucx://127.0.0.1:9", "inproc://x", "wss://127.0.0.1:9"),
    *("tcp://127.0.0.1:9", "tcp://127.0.0.1:99999999", "tcp://\x01\n:2", "tcp://nosuch.invalid:8"),
)


@pytest.mark.parametrize("address", WRONG)
def test_is_one_error_and_leaves_no_client_to_be_closed_at_any_moment(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client closed while another one starts waits for ever: both want one lock of Dask's."""
    monkeypatch.setattr(scheduler, "REACHED_S", 0.2)
    with (
        pytest.raises(ConfigError, match="no scheduler can be reached there"),
        scheduler.client_of(address),
    ):
        pass
    left = [it.status for it in gc.get_objects() if type(it) is Client]
    assert set(left) <= {"closed"}
