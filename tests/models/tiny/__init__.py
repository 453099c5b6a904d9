"""Tiny checkpoints with random weights, one file a family: real classes and file layouts, a thousandth of the size.

Each file has a `TinyFamily`: it saves a checkpoint as its publisher lays it out, and answers through the publisher's
own processor and transformers' own `generate`, recomputing everything. That is what our answers are compared with.
"""

from tests.models.tiny.common import TinyFamily
from tests.models.tiny.gemma4 import GEMMA4
from tests.models.tiny.qwen2_audio import QWEN2_AUDIO
from tests.models.tiny.ultravox import ULTRAVOX, ULTRAVOX_V0_7
from tests.models.tiny.voxtral import VOXTRAL

TINY_FAMILIES: tuple[TinyFamily, ...] = (QWEN2_AUDIO, ULTRAVOX, ULTRAVOX_V0_7, VOXTRAL, GEMMA4)

__all__ = ["TINY_FAMILIES", "TinyFamily"]
