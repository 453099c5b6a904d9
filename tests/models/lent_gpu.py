"""What happens on a Space with ZeroGPU, with the real `spaces`, and a service that lends GPUs it does not have.

    python -m tests.models.lent_gpu CHECKPOINT...

A process of its own, since `spaces` changes PyTorch for good. What a machine without a GPU cannot do is left out: the
first touch of the GPU, and the move of the weights. So answers are computed on the CPU, in the process that `spaces`
forks for each of them, with the first checkpoint. Of all of them it says how many bytes of weights were put aside for
the GPU. Prints one JSON object.
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.errors import GenerationFailed, PromptTooLong
from models.loading import LoadOptions
from models.registry import load_model
from models.types import AudioClip, GenerationOptions, Message, TextDelta


class Lender(BaseHTTPRequestHandler):
    """The service that Hugging Face runs beside a Space."""

    asked: list[str]
    has_gpus = True

    def do_POST(self) -> None:
        what = self.path.partition("?")[0].strip("/")
        self.asked.append(what)
        body = json.dumps({"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "one"}).encode()
        self.send_response(200 if self.has_gpus or what != "schedule" else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def question(seconds: float) -> list[Message]:
    tone = np.sin(np.arange(round(16_000 * seconds)) / 20).astype(np.float32)
    return [Message("user", (AudioClip(tone), "What is this?"))]


async def answer(model: Any, messages: Sequence[Message], n_tokens: int = 12) -> dict[str, Any]:
    text = ""
    async for event in model.generate(messages, GenerationOptions(max_new_tokens=n_tokens), dialogue="one"):
        text += event.text if isinstance(event, TextDelta) else ""
    return {"text": text, "prompt_tokens": event.prompt_tokens, "cached_tokens": event.cached_tokens}


async def give_up(model: Any) -> str:
    """Takes one token of a long answer."""
    stream = model.generate(question(1), GenerationOptions(max_new_tokens=20_000), dialogue="one")
    text = (await anext(stream)).text
    await stream.aclose()
    return text


async def what_is_raised(model: Any, messages: Sequence[Message], kind: type[Exception]) -> str:
    try:
        await answer(model, messages)
    except kind as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


async def talk(folder: str, lend: Any) -> dict[str, Any]:
    options = {"cache_dir": Path(folder), "ears": "none", "device": "cpu", "dtype": "float32"}
    ours = load_model(folder, LoadOptions(**options))
    lent = load_model(folder, LoadOptions(**options, lend=lend))
    report = {
        "lent": [await answer(lent, question(1)), await answer(lent, question(1))],
        "given_up": await give_up(lent),
        "after": await answer(lent, question(1)),
        "too_long": await what_is_raised(lent, [Message("user", ("word " * 40_000,))], PromptTooLong),
        "ours": await answer(ours, question(1)),
    }
    Lender.has_gpus = False
    report["refused"] = await what_is_raised(lent, question(1), GenerationFailed)
    await lent.close()
    return report


def main() -> None:
    Lender.asked = []
    lender = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    threading.Thread(target=lender.serve_forever, daemon=True).start()
    os.environ |= {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{lender.server_address[1]}",
        "HOME": tempfile.mkdtemp(),
    }
    torch.version.cuda, torch._C._cuda_init, torch.cuda._is_in_bad_fork = "13.0", None, bool  # as in a build for GPUs
    from commands.zero_gpu import borrow_gpu, say_ready

    lend = borrow_gpu(7860)
    import spaces.zero

    put_aside, models = [], []
    for folder in sys.argv[1:]:
        before = spaces.zero.torch.size()
        models.append(load_model(folder, LoadOptions(cache_dir=Path(folder), ears="none", lend=lend)))
        put_aside.append(spaces.zero.torch.size() - before)
    say_ready()
    spaces.zero.torch.init = spaces.zero.torch.move = lambda *_, **__: None
    report = asyncio.run(talk(sys.argv[1], lend))
    sys.stdout.write(json.dumps(report | {"asked": Lender.asked, "put_aside": put_aside}) + "\n")


if __name__ == "__main__":
    main()
