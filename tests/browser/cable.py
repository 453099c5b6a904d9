"""A cable between a browser and a server: TCP that can be cut, or go silent, while both ends live."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

READ_BYTES = 65_536


class Cable:
    """Carries connections from a port of its own to a server's.

    Args:
        port: of the server.

    Attributes:
        port: to connect to.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self._server_port = port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._carries = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def lead_to(self, port: int) -> None:
        """Carries new connections to another server."""
        self._server_port = port

    def cut(self) -> None:
        """Ends every connection at once; new ones are carried."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def fall_silent(self) -> None:
        """Carries nothing any more of what is connected now; nobody is told. New connections are carried."""
        self._loop.call_soon_threadsafe(self._silence_all)

    def close(self) -> None:
        """Ends."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._carries.set()
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._abort_all()
        self._loop.run_until_complete(asyncio.sleep(0.01))  # transports close their sockets a little later

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            self._writers.remove(writer)
            writer.transport.abort()
            return
        carries = self._carries
        self._writers.add(far_writer)
        await asyncio.gather(self._pump(reader, far_writer, carries), self._pump(far_reader, writer, carries))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, carries: asyncio.Event) -> None:
        with suppress(OSError):
            while content := await reader.read(READ_BYTES):
                await carries.wait()
                writer.write(content)
                await writer.drain()
        writer.close()

    def _abort_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _silence_all(self) -> None:
        self._carries.clear()
        self._carries = asyncio.Event()
        self._carries.set()


@contextmanager
def cable_to(port: int) -> Iterator[Cable]:
    """Gives a cable to a server until the block ends."""
    cable = Cable(port)
    try:
        yield cable
    finally:
        cable.close()
