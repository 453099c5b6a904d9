"""A server whose answers go on for a long time, for interrupting: a word every 20 ms."""

import argparse

from models.scripted import ScriptedModel
from models.types import GenerationOptions
from realtime.server import Server, create_app
from realtime.server_options import ServerOptions
from realtime.session import SessionOptions

WORD_S = 0.02  # 50 words a second: the resolution of what is measured
N_WORDS = 10_000


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.endless", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    model = ScriptedModel([[f"{number} " for number in range(N_WORDS)]], word_s=WORD_S)
    session_options = SessionOptions(generation=GenerationOptions(max_new_tokens=N_WORDS))
    server_options = ServerOptions(port=options.port)
    Server(create_app(model, session_options, server_options), server_options).run()


if __name__ == "__main__":
    main()
