"""What a Hugging Face Space is told where nobody says otherwise: variables of the environment, as a person sets them.

A Space runs `python app.py` behind a proxy with a certificate, shows the page in a frame of huggingface.co, and anybody
may come: so it listens on all addresses, answers to its own name, asks nobody for a key unless it has some, and
visits are few and short.
Read `environment.py` for how variables become options, `deploy/space.md` for how a Space is made.
"""

from collections.abc import Mapping

from commands.environment import PREFIX
from commands.errors import UsageError

FRAME_ORIGIN = "https://huggingface.co"  # where people open a Space
PORT = 7860  # where the proxy of a Space looks
MAX_SESSIONS = 4  # two cores answer so many people in turn
MAX_SESSION_MINUTES = 10
TRUE = ("1", "t", "true")  # as the package `spaces` reads its switches


def is_zero_gpu(environment: Mapping[str, str]) -> bool:
    """Whether this is a Space to which a GPU is lent for one call at a time."""
    return environment.get("SPACES_ZERO_GPU", "").lower() in TRUE


def space_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Gives the variables that a Space sets for itself; none where this is no Space.

    Raises:
        UsageError: the port that the Space names is none.
    """
    if not environment.get("SPACE_ID"):
        return {}
    port = environment.get("GRADIO_SERVER_PORT") or str(PORT)
    if not port.isdecimal():
        raise UsageError(f"GRADIO_SERVER_PORT: {port!r} is no port; it is a number from 0 to 65535")
    settings = {
        "HOST": environment.get("GRADIO_SERVER_NAME") or "0.0.0.0",
        "PORT": port,
        "MAX_SESSIONS": str(MAX_SESSIONS),
        "MAX_SESSION_MINUTES": str(MAX_SESSION_MINUTES),
    }
    if not environment.get(PREFIX + "API_KEYS"):
        settings["NO_AUTH"] = "1"
    host = environment.get("SPACE_HOST")  # without it the server answers to any name
    if host:
        settings["ALLOW_ORIGIN"] = f"https://{host} {FRAME_ORIGIN}"
    if is_zero_gpu(environment):
        settings["SPECULATE_BELOW"] = "0"  # an answer that is taken back would have used up the visitors' share
    return {PREFIX + name: value for name, value in settings.items()}
