"""Ultravox: a Whisper encoder, a small projector, and any language model that chats, which it leaves as it is.

Source: the published checkpoints of fixie-ai (v0.3 to v0.7), their model cards and `config.json`. They come with code
of their own, which is never run; this is the same architecture on transformers' Whisper layers. A checkpoint holds the
projector and mostly the tower; the language model is fetched from where its config says, unless `--text-model` names
another copy or the checkpoint holds it. Every 30 s of a clip are heard on their own, the spectrogram's normalisation
included, so that a long turn can be prefilled while it is being spoken.
Read `chat_template.py` for how conversations are written, `audio_llm.py` for what all families share.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
)
from transformers.activations import ACT2FN
from transformers.models.whisper.modeling_whisper import WhisperEncoder, WhisperEncoderLayer

from models.engine.prompt import Prompt
from models.errors import ModelUnavailable
from models.families.audio_llm import AudioLLM
from models.families.language_model import LanguageModel
from models.families.windows import audio_span, cut_windows
from models.loading import LoadOptions, find_checkpoint, load_engine, load_pretrained, loading, read_config
from models.prompts.chat_template import ChatTemplate
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, AudioClip, Message, ModelInfo, Samples

WINDOW_S = 30.0  # of Whisper's encoder
HOP_SAMPLES = 160  # 10 ms, one mel frame
FRAMES_PER_STATE = 2  # the encoder's second convolution halves the mel frames
HEAD_SIZE = 64  # of Whisper's encoder in all its sizes (Radford et al., 2022, table 1)
NORM_EPS = 1e-6

Weights = dict[str, torch.Tensor]


class Tower(WhisperEncoder):  # type: ignore[misc]
    """Whisper's encoder on clips as long as they are, where the original pads to 30 s."""

    def forward(self, mel: torch.Tensor, block_states: int | None = None) -> torch.Tensor:
        """Encodes one window: (1, mel bins, frames) to (1, states, width).

        Args:
            mel: at most 3000 frames.
            block_states: a state sees only its own block of so many and those before, as in training for low latency.
        """
        states = nn.functional.gelu(self.conv1(mel))
        states = nn.functional.gelu(self.conv2(states)).transpose(1, 2)
        n_states = states.shape[1]
        states = states + self.embed_positions.weight[:n_states]
        mask = None
        if block_states:
            block = torch.arange(n_states, device=mel.device) // block_states
            hidden = torch.zeros(n_states, n_states, dtype=states.dtype, device=mel.device)
            mask = hidden.masked_fill(block[:, None] < block, torch.finfo(states.dtype).min)[None, None]
        for layer in self.layers:
            states = layer(states, mask)
        normed: torch.Tensor = self.layer_norm(states)
        return normed


class SwiGLU(nn.Module):
    """Shazeer, 2020; of Ultravox's halves the second is the gate."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., 2n) to (..., n)."""
        values, gate = x.chunk(2, dim=-1)
        return nn.functional.silu(gate) * values


class Projector(nn.Module):
    """Stacks states and maps them to the language model's embeddings, up to v0.6.

    Args:
        config: the checkpoint's `config.json`.
        width: of the tower.
        text_width: of the language model.
    """

    def __init__(self, config: dict[str, Any], width: int, text_width: int) -> None:
        super().__init__()
        activation, inner = config.get("projector_act", "swiglu"), config.get("hidden_size", 4096)
        half = inner // 2 if activation == "swiglu" else inner
        is_mid = config.get("projector_ln_mid", False)  # from v0.5
        stacked = stack_factor(config) * width
        self.stack_factor = stack_factor(config)
        self.ln_pre = nn.RMSNorm(stacked, NORM_EPS)
        self.linear_1 = nn.Linear(stacked, inner, bias=False)
        self.act = SwiGLU() if activation == "swiglu" else ACT2FN[activation]
        self.ln_mid = nn.RMSNorm(half, NORM_EPS) if is_mid else nn.Identity()
        self.linear_2 = nn.Linear(half, text_width, bias=False)
        self.ln_post = nn.Identity() if is_mid else nn.RMSNorm(text_width, NORM_EPS)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(1, states, width) to (1, positions, text width)."""
        inner = self.linear_1(self.ln_pre(_stacked(states, self.stack_factor)))
        projected: torch.Tensor = self.ln_post(self.linear_2(self.ln_mid(self.act(inner))))
        return projected


class TransformerProjector(nn.Module):
    """v0.7's: some of Whisper's layers between two linear maps.

    Args:
        config: the checkpoint's `config.json`.
        tower: the tower's config.
        text_width: of the language model.
    """

    def __init__(self, config: dict[str, Any], tower: WhisperConfig, text_width: int) -> None:
        super().__init__()
        self.stack_factor = stack_factor(config)
        self.ln_pre = nn.RMSNorm(self.stack_factor * tower.d_model, NORM_EPS)
        self.linear_in = nn.Linear(self.stack_factor * tower.d_model, tower.d_model)
        self.embed_positions = nn.Embedding(tower.max_source_positions, tower.d_model)
        self.layers = nn.ModuleList(WhisperEncoderLayer(tower) for _ in range(config["num_projector_layers"]))
        self.ln_post = nn.RMSNorm(tower.d_model, NORM_EPS)
        self.linear_out = nn.Linear(tower.d_model, text_width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """(1, states, width) to (1, positions, text width)."""
        inner = self.linear_in(self.ln_pre(_stacked(states, self.stack_factor)))
        inner = inner + self.embed_positions.weight[: inner.shape[1]]
        for layer in self.layers:
            inner = layer(inner, None)
        projected: torch.Tensor = self.linear_out(self.ln_post(inner))
        return projected


def stack_factor(config: dict[str, Any]) -> int:
    """How many of the tower's states become one position."""
    return int(config.get("stack_factor", 8))


def _stacked(states: torch.Tensor, factor: int) -> torch.Tensor:
    """(1, n, width) to (1, ceil(n / factor), factor * width), filled up with zeros."""
    padded = nn.functional.pad(states, (0, 0, 0, -states.shape[1] % factor))
    return padded.reshape(1, -1, factor * states.shape[2])


class Ultravox:
    """Writes conversations down by the language model's chat template; audio stands without marks around it.

    Args:
        tokenizer: the language model's.
        tower: hears.
        projector: maps what it heard to embeddings.
        block_states: `audio_latency_block_size` of the checkpoint.
    """

    def __init__(
        self, tokenizer: Any, tower: Tower, projector: Projector | TransformerProjector, block_states: int | None
    ) -> None:
        self._tokenizer = tokenizer
        self._template = ChatTemplate(tokenizer)
        self._tower = tower
        self._projector = projector
        self._block_states = block_states
        self._features = WhisperFeatureExtractor(feature_size=tower.config.num_mel_bins)

    def prompt(self, messages: Sequence[Message]) -> Prompt:
        """The chat template's text; each clip's windows in one row."""
        writer = PromptWriter(self._tokenizer)

        def write_clip(clip: AudioClip) -> None:
            for window in cut_windows(clip.samples, WINDOW_S):
                writer.add_audio(audio_span(window, self.n_positions(len(window)), self.encode))

        self._template.write(writer, messages, write_clip)
        return writer.spans()

    def n_positions(self, n_samples: int) -> int:
        """How many positions a window of so many samples fills."""
        n_frames = -(-n_samples // HOP_SAMPLES)
        return -(-n_frames // (FRAMES_PER_STATE * self._projector.stack_factor))

    def encode(self, window: Samples) -> torch.Tensor:
        """Embeds float32 (n_samples,) of at most 30 s: (positions, text width)."""
        weight = self._tower.conv1.weight
        mel = self._features(
            window,
            sampling_rate=SAMPLE_RATE_HZ,
            padding="longest",
            pad_to_multiple_of=HOP_SAMPLES,
            truncation=False,
            return_tensors="pt",
        ).input_features
        states = self._tower(mel.to(weight.device, weight.dtype), self._block_states)
        rows: torch.Tensor = self._projector(states)[0]
        return rows


# ---- From a checkpoint's files ----


def load(info: ModelInfo, folder: Path, options: LoadOptions) -> AudioLLM:
    """Loads a checkpoint and the language model it belongs to.

    Raises:
        ModelUnavailable: something is missing or broken; the message names it and says what to do.
    """
    config = read_config(folder)
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(f"{folder} holds no weights in safetensors")
    text_model, text_folder = _load_text_model(folder, config, options)
    with loading(folder):
        tower = _load_tower(folder, config)
        projector = _load_projector(folder, config, tower.config, text_model.get_input_embeddings().weight.shape[1])
        for module in (tower, projector):
            module.to(options.torch_device, options.torch_dtype).eval()
        tokenizer = _load_tokenizer(folder, text_folder)
        family = Ultravox(tokenizer, tower, projector, config.get("audio_latency_block_size"))
        language_model = LanguageModel(text_model.get_decoder(), text_model.get_output_embeddings())
        return AudioLLM(
            info,
            family,
            load_engine(language_model, tokenizer, text_model.generation_config, decode_bits=options.decode_bits),
        )


def fetch_bases(folder: Path, options: LoadOptions) -> None:
    """Gets what the checkpoint is built on and does not hold: its language model, and in v0.3 and v0.4 a Whisper.

    Raises:
        ModelUnavailable: as `load` does.
    """
    config = read_config(folder)
    if options.text_model or not _holds(folder, "language_model."):
        _find_text_model(folder, config, options)
    if not _holds(folder, "audio_tower."):
        _find_whisper(folder, config)


def _holds(folder: Path, prefix: str) -> bool:
    """Whether a checkpoint has weights of a part, not an adapter alone."""
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            if any(name.startswith(prefix) and ".lora_" not in name for name in file.keys()):  # noqa: SIM118
                return True
    return False


def _find_text_model(folder: Path, config: dict[str, Any], options: LoadOptions) -> Path:
    source = options.text_model or config.get("text_model_id")
    if not source:
        raise ModelUnavailable(f"{folder} holds no language model and names none; give its folder with --text-model")
    try:
        return find_checkpoint(source)
    except ModelUnavailable as error:
        raise ModelUnavailable(
            f"{folder} needs the language model {source} (or a copy of it, given with --text-model): {error}"
        ) from error


def _find_whisper(folder: Path, config: dict[str, Any]) -> Path:
    source = config.get("audio_model_id")
    if not source:
        raise ModelUnavailable(f"{folder} holds no audio_tower weights and names no audio_model_id to take them from")
    return find_checkpoint(source)


def _load_tokenizer(folder: Path, text_folder: Path) -> Any:
    if (folder / "tokenizer.json").exists():
        # Not through AutoTokenizer: it would ask whether to run the code that `config.json` names.
        return PreTrainedTokenizerFast.from_pretrained(folder)
    return AutoTokenizer.from_pretrained(text_folder, trust_remote_code=False)


def _load_text_model(folder: Path, config: dict[str, Any], options: LoadOptions) -> tuple[Any, Path]:
    """The language model and the folder that it is from: `--text-model`, else the checkpoint's own, else its base."""
    with loading(folder):
        weights, adapter = _split_adapter(_read_weights(folder, "language_model."))
        if adapter and options.changes_weights:
            raise ModelUnavailable(f"{folder} changes its language model's weights; load it without --quantization")
        if weights and not options.text_model:
            text_config = AutoConfig.for_model(**{"model_type": "llama", **config["text_config"]})
            model_class = MODEL_FOR_CAUSAL_LM_MAPPING[type(text_config)]
            model = load_pretrained(model_class, None, options, config=text_config, state_dict=weights)
            if (folder / "generation_config.json").exists():
                model.generation_config = GenerationConfig.from_pretrained(folder)
            _add_adapter(model, adapter, config.get("text_model_lora_config"))
            return model, folder
    text_folder = _find_text_model(folder, config, options)
    with loading(text_folder):
        model = load_pretrained(AutoModelForCausalLM, text_folder, options)
        _add_adapter(model, adapter, config.get("text_model_lora_config"))
        return model, text_folder


def _load_tower(folder: Path, config: dict[str, Any]) -> Tower:
    """The tower from the checkpoint, or from the Whisper it was made with (v0.3 and v0.4)."""
    weights, adapter = _split_adapter(_read_weights(folder, "audio_tower."))
    if not weights:
        whisper = _find_whisper(folder, config)
        weights = _read_weights(whisper, "model.encoder.")
        if not weights:
            raise ModelUnavailable(f"{whisper}, the audio tower of {folder}, holds no Whisper encoder in safetensors")
    with torch.device("meta"):  # no time for random weights
        tower = Tower(_tower_config(weights, config.get("audio_config") or {}))
    tower.load_state_dict(weights, assign=True)
    _add_adapter(tower, adapter, config.get("audio_model_lora_config"))
    return tower


def _tower_config(weights: Weights, given: dict[str, Any]) -> WhisperConfig:
    """Reads the tower's shape off its weights, because most checkpoints only name the Whisper it came from."""
    width, n_mels = weights["conv1.weight"].shape[:2]
    return WhisperConfig(
        d_model=width,
        num_mel_bins=n_mels,
        encoder_layers=len({name.split(".")[1] for name in weights if name.startswith("layers.")}),
        encoder_ffn_dim=weights["layers.0.fc1.weight"].shape[0],
        encoder_attention_heads=given.get("encoder_attention_heads", width // HEAD_SIZE),
        max_source_positions=weights["embed_positions.weight"].shape[0],
        activation_function=given.get("activation_function", "gelu"),
    )


def _load_projector(
    folder: Path, config: dict[str, Any], tower: WhisperConfig, text_width: int
) -> Projector | TransformerProjector:
    weights = _read_weights(folder, "multi_modal_projector.")
    has_layers = config.get("num_projector_layers", 0) > 0
    last = "linear_out.weight" if has_layers else "linear_2.weight"
    if last not in weights:
        raise ModelUnavailable(f"{folder} holds no multi_modal_projector.{last}; it is not a whole Ultravox checkpoint")
    if len(weights[last]) != text_width:
        raise ModelUnavailable(
            f"{folder} speaks to a language model of width {len(weights[last])}, but the one given has {text_width}; "
            "--text-model must be a copy of the one it was trained with"
        )
    projector: Projector | TransformerProjector
    with torch.device("meta"):
        if has_layers:
            projector = TransformerProjector(config, tower, text_width)
        else:
            projector = Projector(config, tower.d_model, text_width)
    projector.load_state_dict(weights, assign=True)
    return projector


def _read_weights(folder: Path, prefix: str) -> Weights:
    """All weights whose name begins with `prefix`, without it."""
    weights: Weights = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118  # not a dict
            weights.update((name.removeprefix(prefix), file.get_tensor(name)) for name in names)
    return weights


def _split_adapter(weights: Weights) -> tuple[Weights, Weights]:
    """Weights as transformers names them, and those of a low-rank adapter, from names as peft writes them."""
    plain = {name.removeprefix("base_model.model.").replace(".base_layer.", "."): w for name, w in weights.items()}
    adapter = {name: weight for name, weight in plain.items() if ".lora_" in name}
    return {name: weight for name, weight in plain.items() if name not in adapter}, adapter


def _add_adapter(model: Any, adapter: Weights, config: dict[str, Any] | None) -> None:
    """Adds alpha / r * B A to the weights that an adapter changes (Hu et al., 2021)."""
    for name, down in adapter.items():
        if ".lora_A." in name:
            target = model.get_submodule(name.partition(".lora_A.")[0]).weight
            up = adapter[name.replace(".lora_A.", ".lora_B.")]
            change = (config or {})["lora_alpha"] / len(down) * (up.float() @ down.float())
            target.data += change.to(target.device, target.dtype)
