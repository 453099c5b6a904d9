"""A file and a port that nobody should open."""

import os
import socket
import threading
from pathlib import Path


class Trap:
    """Notices whether anybody opens a named pipe or connects to a port.

    Args:
        folder: where the pipe is made.
        content: what whoever opens the pipe reads.
    """

    def __init__(self, folder: Path, content: bytes = b"") -> None:
        self.pipe = folder / "secret.wav"
        os.mkfifo(self.pipe)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setblocking(False)
        self.port = self.server.getsockname()[1]
        self._writer = threading.Thread(target=self.pipe.write_bytes, args=(content,), daemon=True)
        self._writer.start()

    def was_touched(self) -> bool:
        """Whether the pipe or the port was opened so far."""
        try:
            self.server.accept()[0].close()
        except BlockingIOError:
            return not self._writer.is_alive()
        return True

    def close(self) -> None:
        """Lets the pipe and the port go."""
        self.server.close()
        if self._writer.is_alive():
            self.pipe.read_bytes()
        self._writer.join()
