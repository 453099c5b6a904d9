"""How a model is found, fetched and loaded. Beside `app.py` the only place that names a concrete model.

A source is a short name, a hub id or a folder. From it comes an entry of the catalogue, and from that the file that
loads the model. Nothing heavy is imported before: listing the models is instantaneous.
Read `catalogue.py` for which models there are, `loading.py` for what their files share.
"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.base import AudioLanguageModel, Transcriber
from models.catalogue import ENTRIES, MODELS, Entry
from models.ears.beside import ModelWithEars
from models.errors import ModelUnavailable
from models.types import ModelInfo

if TYPE_CHECKING:
    from models.loading import LoadOptions


def load_model(source: str, options: "LoadOptions") -> AudioLanguageModel:
    """Loads a model into memory; downloads its checkpoint first where that is needed.

    Args:
        source: a short name, as listed by `python app.py models`; a hub id; or the folder of a checkpoint.
        options: where and how the weights are put.

    Raises:
        ModelUnavailable: there is no such model, or it cannot be loaded; the message says what to do.
    """
    entry = _entry_of(source)
    if entry is not None and not entry.model_types:
        if options.lend is not None:
            raise ModelUnavailable(
                f"{source} answers words that ears on the CPU write down, and is given no GPU for a call; choose a "
                "model that hears the voice itself with EARPIECE_MODEL, or run it on a machine of its own"
            )
        folder: Path = _module(entry).find(MODELS[source], options)
    else:
        entry, folder = _find_checkpoint(source)
    if options.text_model and not entry.takes_text_model:
        raise ModelUnavailable(
            f"{source} answers with its own language model; leave out --text-model, or take --model cascade"
        )
    ears = _load_ears(entry, options)
    model: AudioLanguageModel = _module(entry).load(
        MODELS.get(source) or _describe(source, folder, entry), folder, options
    )
    model = _where_gpus_are_lent(model, options)
    return model if ears is None else ModelWithEars(model, ears)


def _where_gpus_are_lent(model: AudioLanguageModel, options: "LoadOptions") -> AudioLanguageModel:
    """The model as it answers there; itself where the device is our own."""
    if options.lend is None:
        return model
    from models.zero_gpu import ZeroGpuModel  # noqa: PLC0415  # torch takes seconds

    return ZeroGpuModel(model, options.lend)


def fetch_model(source: str, options: "LoadOptions") -> Path:
    """Gets a model's weights, once, without ears, and gives their folder; raises as `load_model` does."""
    entry = _entry_of(source)
    if entry is not None and not entry.model_types:
        folder: Path = _module(entry).fetch(MODELS[source], options)
        return folder
    entry, folder = _find_checkpoint(source)
    if entry.takes_text_model:
        _module(entry).fetch_bases(folder, options)
    return folder


def _load_ears(entry: Entry, options: "LoadOptions") -> Transcriber | None:
    """What is to write down beside a model of this entry; a cascade has ears of its own, which it answers by."""
    if not entry.model_types:
        return None
    from models.ears.loading import load_ears  # noqa: PLC0415  # what ears run on takes a second

    return load_ears(options.ears, options.cache_dir)


def _entry_of(source: str) -> Entry | None:
    """The entry that a short name belongs to."""
    return next((entry for entry in ENTRIES if any(info.name == source for info in entry.models)), None)


def _module(entry: Entry) -> Any:
    return import_module(f"models.{entry.module}")  # torch takes seconds


def _find_checkpoint(source: str) -> tuple[Entry, Path]:
    """The family and the folder of a checkpoint."""
    from models.loading import find_checkpoint, read_config  # noqa: PLC0415  # torch takes seconds

    info = MODELS.get(source)
    if info is None and "/" not in source and not Path(source).is_dir():
        raise ModelUnavailable(f"unknown model {source!r}; choose {', '.join(MODELS)}, a hub id or a folder")
    folder = find_checkpoint(info.checkpoints[0] if info else source)
    model_type = str(read_config(folder)["model_type"])
    known = {name: entry for entry in ENTRIES for name in entry.model_types}
    if model_type not in known:
        raise ModelUnavailable(
            f"{folder / 'config.json'} names the model_type {model_type!r}; known are: {', '.join(known)}"
        )
    return known[model_type], folder


def _describe(source: str, folder: Path, entry: Entry) -> ModelInfo:
    """What can be said of a checkpoint that is not in the list."""
    from models.loading import weights_gb  # noqa: PLC0415

    return replace(
        entry.models[0],
        name=folder.name if Path(source).is_dir() else source,
        description=f"A checkpoint of the family {entry.name} from {source}.",
        checkpoints=(source,),
        parameters="not listed",
        licence="see the checkpoint",
        gated=False,
        memory_gb=weights_gb(folder),
    )
