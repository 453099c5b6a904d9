"""Tiny checkpoints with random weights, one file a family: real classes and file layouts, a thousandth of the size.

Each file has a `TinyFamily`: it saves a checkpoint as its publisher lays it out, and answers through the publisher's
own processor and transformers' own `generate`, recomputing everything. That is what our answers are compared with.
"""

from tests.models.tiny.audio_flamingo3 import AUDIO_FLAMINGO3
from tests.models.tiny.family import TinyFamily
from tests.models.tiny.gemma4 import GEMMA4
from tests.models.tiny.granite_speech import GRANITE_SPEECH
from tests.models.tiny.phi4_multimodal import PHI4_MULTIMODAL
from tests.models.tiny.qwen2_5_omni import QWEN2_5_OMNI
from tests.models.tiny.qwen2_audio import QWEN2_AUDIO
from tests.models.tiny.ultravox import ULTRAVOX, ULTRAVOX_V0_7
from tests.models.tiny.voxtral import VOXTRAL

TINY_FAMILIES: tuple[TinyFamily, ...] = (
    ULTRAVOX,
    ULTRAVOX_V0_7,
    QWEN2_AUDIO,
    VOXTRAL,
    AUDIO_FLAMINGO3,
    PHI4_MULTIMODAL,
    QWEN2_5_OMNI,
    GRANITE_SPEECH,
    GEMMA4,
)

__all__ = ["TINY_FAMILIES", "TinyFamily"]
