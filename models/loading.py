"""From a checkpoint's name to a folder on disk, and from there to an engine on a device in a dtype.

A checkpoint is a local folder or a hub id. Weights are safetensors only, and no code that comes with them is run.
Read `registry.py` for how its family is found.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from transformers import BitsAndBytesConfig

from models.engine.engine import CACHE_BUDGET_BYTES, MAX_BATCH, Engine
from models.engine.weight_only import Bits, multiplies_bfloat16, quantize_linears
from models.errors import ModelError, ModelUnavailable
from models.prompts.writer import token_id
from models.zero_gpu import Lend

Quantization = Literal["none", "8bit", "4bit"]

GPU_CACHE_SHARE = 0.2  # of the memory, for prefix caches; weights and the activations of a prefill need the rest
GPU_MAX_BATCH = 32  # decoding 32 rows reads the weights once, as decoding one does
NOT_QUANTIZED = (  # patterns of whole names of modules
    r"(.*\.)?(audio_tower|multi_modal_projector|audio_projector|projector|encoder|embed_audio|embed_tokens_extend)",
    "lm_head",
)
CHECKPOINT_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")  # no pickles, no code
DUPLICATE_FILES = "consolidated*"  # Mistral's repositories hold the weights a second time, in another layout


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """How a checkpoint is put into memory.

    Attributes:
        cache_dir: folder for converted weights of embedded models.
        device: "auto" is the GPU where there is one.
        dtype: "auto" is bfloat16 on a GPU or if weights are quantised, and else float32; a CPU with AVX512-BF16 decodes
            faster in bfloat16.
        quantization: of the language model's weights: on a GPU through bitsandbytes, on a CPU for decoding alone, by
            `engine/weight_only.py`.
        ears: what writes speech down beside the model: a name of `models/ears/`, a folder or a hub id; "none".
        text_model: folder or hub id of the language model of a cascade, or of a checkpoint without one (Ultravox).
        lend: lends a GPU for one answer at a time; None where the device is this process's own.
    """

    cache_dir: Path
    device: str = "auto"
    dtype: str = "auto"
    quantization: Quantization = "none"
    ears: str = "moonshine"
    text_model: str | None = None
    lend: Lend | None = None

    @property
    def torch_device(self) -> torch.device:
        """The device meant.

        Raises:
            ModelUnavailable: torch does not have it.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            return torch.empty(0, device=self.device).device
        except (RuntimeError, AssertionError) as error:
            raise ModelUnavailable(f"device {self.device!r} cannot be used: {error}") from error

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype meant."""
        if self.dtype == "auto":
            is_short = self.torch_device.type == "cuda" or self.decode_bits is not None
            return torch.bfloat16 if is_short else torch.float32
        dtypes = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
        if self.dtype not in dtypes:
            raise ModelUnavailable(f"unknown dtype {self.dtype!r}; choose {', '.join(dtypes)}")
        return dtypes[self.dtype]

    @property
    def decode_bits(self) -> Bits | None:
        """Of the weights that a CPU decodes with; None where it takes them as they are."""
        if self.quantization == "none" or self.torch_device.type != "cpu":
            return None
        return 8 if self.quantization == "8bit" else 4

    @property
    def changes_weights(self) -> bool:
        """Whether the language model's weights are replaced by rounded ones as they are loaded."""
        return self.quantization != "none" and self.decode_bits is None

    @property
    def pretrained(self) -> dict[str, Any]:
        """What transformers' `from_pretrained` is given: no code, no pickles, and where and how the weights go."""
        return {
            "dtype": self.torch_dtype,
            "device_map": {"": self.torch_device},
            "use_safetensors": True,
            "trust_remote_code": False,
            "quantization_config": self._quantization_config(),
        }

    def _quantization_config(self) -> BitsAndBytesConfig | None:
        if not self.changes_weights:
            return None
        if find_spec("bitsandbytes") is None:
            raise ModelUnavailable("8-bit and 4-bit weights on a GPU need bitsandbytes: pip install bitsandbytes")
        skipped = list(NOT_QUANTIZED)
        if self.quantization == "8bit":
            return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
        return BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_compute_dtype=self.torch_dtype, llm_int8_skip_modules=skipped
        )


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the CPU multiplies it; elsewhere a prompt of 60 tokens takes twice as long in it as in float32."""
    return torch.bfloat16 if multiplies_bfloat16() else torch.float32


def find_checkpoint(source: str, files: Sequence[str] = CHECKPOINT_FILES) -> Path:
    """Gives the folder of a checkpoint, downloading it if `source` is a hub id, or one and "@" and a revision.

    Args:
        source: what names it.
        files: patterns of those that are downloaded.

    Raises:
        ModelUnavailable: it is neither a folder nor on the hub, is gated, or there is no network.
    """
    if Path(source).is_dir():
        return Path(source)
    name, _, revision = source.partition("@")
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelUnavailable(f"{source}: no such folder, and no hub id (owner/name) either")
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision or None,
                allow_patterns=list(files),
                ignore_patterns=[DUPLICATE_FILES],
            )
        )
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{source} is gated: accept its licence on its page on the hub, then log in with: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"{source} is not on the hub, or is private: check the name, or: hf auth login"
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelUnavailable(
            f"{source} is not on this machine and the hub cannot be reached: check the network"
        ) from error
    except Exception as error:
        raise ModelUnavailable(f"{source} cannot be downloaded: {error}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """Reads a checkpoint's `config.json`.

    Raises:
        ModelUnavailable: there is none, or it is broken.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ModelUnavailable(f"{folder} is no checkpoint: it holds no config.json") from error
    except (ValueError, OSError) as error:
        raise ModelUnavailable(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise ModelUnavailable(f"{path} names no model_type; it is not a transformers checkpoint")
    return config


def weights_gb(folder: Path) -> float:
    """How much memory a checkpoint's weights take as they are."""
    return round(sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 1e9, 1)


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Turns whatever goes wrong while a checkpoint is loaded into `ModelUnavailable`, in one line that names it."""
    try:
        yield
    except ModelError:
        raise
    except torch.OutOfMemoryError as error:
        raise ModelUnavailable(f"{folder} does not fit: use --quantization 8bit or 4bit, or a smaller model") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelUnavailable(f"{folder} cannot be loaded: {reason}") from error


def load_pretrained(model_class: Any, folder: Path | None, options: LoadOptions, **settings: Any) -> Any:
    """Loads a transformers model, all of it: transformers itself would fill what is missing with random numbers.

    Args:
        model_class: has `from_pretrained`.
        folder: of the checkpoint; None if `settings` hold a config and a state_dict.
        options: where and how the weights go.
        **settings: more for `from_pretrained`.

    Raises:
        ModelUnavailable: weights are missing.
    """
    model, report = model_class.from_pretrained(folder, output_loading_info=True, **options.pretrained, **settings)
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelUnavailable(f"{folder or 'the checkpoint'} lacks {len(missing)} weights, {missing[0]} among them")
    return model


def check_adapter(folder: Path) -> None:
    """Checks that the low-rank adapter in a folder can be loaded, which transformers would silently leave out.

    Raises:
        ModelUnavailable: peft is missing, or the weights are, or they are a pickle.
    """
    if find_spec("peft") is None:
        raise ModelUnavailable(f"{folder} holds an adapter for speech, which needs peft: pip install peft")
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelUnavailable(f"{folder} holds an adapter_config.json but no adapter_model.safetensors")


def merge_adapter(model: Any, options: LoadOptions) -> None:
    """Adds a loaded low-rank adapter to the weights it adapts, so that it costs nothing per token.

    Weights that were quantised would lose precision once more; there it stays beside them.
    """
    if not options.changes_weights:
        for module in model.modules():
            if hasattr(module, "lora_A"):
                module.merge()


def load_engine(
    language_model: Any,
    tokenizer: Any,
    generation_config: Any,
    *stop_tokens: str,
    context_tokens: int | None = None,
    decode_bits: Bits | None = None,
) -> Engine:
    """Puts a language model on an engine.

    Args:
        language_model: what the engine runs, on its device.
        tokenizer: its tokenizer.
        generation_config: of the checkpoint, for the tokens that end an answer.
        *stop_tokens: more of them.
        context_tokens: longest prompt and answer together, where that is not what the configuration says.
        decode_bits: of the weights to decode with, on a CPU; None for the model's own.
    """
    if decode_bits is not None:
        quantize_linears(language_model, decode_bits, kept=NOT_QUANTIZED)
    ends = generation_config.eos_token_id
    ids = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}
    device = language_model.get_input_embeddings().weight.device
    budget, max_batch = CACHE_BUDGET_BYTES, MAX_BATCH
    if device.type == "cuda":
        budget = int(GPU_CACHE_SHARE * torch.cuda.get_device_properties(device).total_memory)
        max_batch = GPU_MAX_BATCH
    return Engine(
        language_model.eval(),
        tokenizer,
        context_tokens=context_tokens or language_model.config.get_text_config().max_position_embeddings,
        stop_token_ids=frozenset(ids | {token_id(tokenizer, token) for token in stop_tokens}),
        cache_budget_bytes=budget,
        max_batch=max_batch,
    )
