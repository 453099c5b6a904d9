"""Where a Hugging Face Space has no GPU of its own and is lent one for a call at a time (ZeroGPU).

The package `spaces` lends. From its import on, PyTorch pretends on the calling thread that there is a GPU: weights that
are put on it stay in memory or on the disk, until a process that is forked for a call moves them to a real one.
Read `models/zero_gpu.py` for what is run there.
"""

import os
from typing import TYPE_CHECKING

from commands.errors import UsageError

if TYPE_CHECKING:
    from models.zero_gpu import Lend

CALL_S = 30  # 256 tokens at 20 a second, the move of the weights and the prompt; who asks for less is served sooner


def borrow_gpu(port: int) -> "Lend":
    """Gives what lends a GPU; to be called before anything else touches one.

    Args:
        port: of our server, whose connections are not for the processes that are forked.

    Raises:
        UsageError: what lends is not installed, or PyTorch is none for GPUs.
    """
    import torch

    if torch.version.cuda is None:
        raise UsageError("SPACES_ZERO_GPU is set, and this PyTorch is built for CPUs alone; install one for CUDA")
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"  # transformers would put weights on the GPU on threads of its own
    try:
        import spaces
        from spaces.reloading import reload_server_ports
    except ImportError as error:
        raise UsageError(
            f"SPACES_ZERO_GPU is set, and the package that lends a GPU cannot be used ({error}): "
            "pip install -r requirements.txt"
        ) from error
    reload_server_ports.add(port)
    lend: Lend = spaces.GPU(duration=CALL_S)
    return lend


def say_ready() -> None:
    """Tells the Space that the weights are loaded: `spaces` does it when Gradio is launched, which we never do."""
    from spaces import zero

    zero.startup()
