"""TLS for the page: bytes are passed on between clients and the server behind it.

Its thread is one of its own. The server listens in a folder that only this process may enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading

from edge.page.limits import CONNECTIONS, IDLE_S

__all__ = ["Relay"]

RELAYED_BYTES = 65_536


class Relay:
    """Speaks TLS to clients, and passes on what they say; it has a thread of its own."""

    def __init__(self, address: str, port: int, context: ssl.SSLContext, behind: str) -> None:
        self._address, self._port = address, port
        self._context, self._behind = context, behind
        self._listening = threading.Event()
        self._fault: OSError | None = None
        self._clients = 0

    def wait(self) -> None:
        """Wait until it listens; raises OSError where it cannot."""
        self._listening.wait()
        if self._fault is not None:
            raise self._fault

    def run(self) -> None:
        """Relay for ever."""
        try:
            asyncio.run(self._listen())
        except OSError as exc:
            self._fault = exc
            self._listening.set()

    async def _listen(self) -> None:
        server = await asyncio.start_server(
            self._client,
            self._address,
            self._port,
            ssl=self._context,
            ssl_handshake_timeout=10,
        )
        self._listening.set()
        async with server:
            await server.serve_forever()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= CONNECTIONS:
            writer.close()
            return
        self._clients += 1
        try:
            back_reader, back_writer = await asyncio.open_unix_connection(self._behind)
            with contextlib.closing(back_writer):
                there = asyncio.create_task(_pass_on(reader, back_writer))
                back = asyncio.create_task(_pass_on(back_reader, writer))
                await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
                for task in (there, back):
                    task.cancel()
                await asyncio.gather(there, back, return_exceptions=True)
        except OSError:
            pass  # the client has gone, or the page ends
        finally:
            self._clients -= 1
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while content := await asyncio.wait_for(reader.read(RELAYED_BYTES), IDLE_S):
            writer.write(content)
            await writer.drain()
