"""A client that talks to the server all the time, in a process of its own, and says how long it had to wait.

It asks for its session's numbers every 20 ms, and takes the time until the event comes. For each line on its standard
input it prints the longest wait since the line before, in seconds, and as JSON.
"""

import json
import sys
import threading
import time

from websockets.sync.client import ClientConnection, connect

EVERY_S = 0.02


class Neighbour:
    """Asks, and remembers the longest wait.

    Args:
        websocket: connected to the door.
    """

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket
        self._longest_s = 0.0
        self._asked_s = 0.0  # 0 while nothing is asked

    def run(self) -> None:
        """Asks until the connection ends."""
        self._websocket.send('{"event": "start", "websocket_id": "neighbour"}')
        self._await("session.created")
        while True:
            self._asked_s = time.monotonic()
            self._websocket.send('{"type": "session.metrics"}')
            self._await("session.metrics")
            self._longest_s = max(self._longest_s, time.monotonic() - self._asked_s)
            self._asked_s = 0.0
            time.sleep(EVERY_S)

    def report(self) -> float:
        """Gives the longest wait since it was asked last, the one under way included."""
        waiting_s = time.monotonic() - self._asked_s if self._asked_s else 0.0
        longest_s, self._longest_s = max(self._longest_s, waiting_s), 0.0
        return longest_s

    def _await(self, wire_type: str) -> None:
        while json.loads(self._websocket.recv())["type"] != wire_type:
            pass


def main(port: str) -> None:
    """Runs until its standard input ends."""
    with connect(f"ws://127.0.0.1:{port}/websocket/offer", compression=None) as websocket:
        neighbour = Neighbour(websocket)
        threading.Thread(target=neighbour.run, daemon=True).start()
        for _ in sys.stdin:
            sys.stdout.write(json.dumps(neighbour.report()) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
