"""Make a virtual environment with Serenade in it, torch first.

    python scripts/setup_env.py .venv --extras train,media [--torch cpu|gpu|auto]

On Linux the plain torch wheel of PyPI brings more than 2 GB of CUDA libraries, so torch comes first, from PyTorch's
CPU index where that can be reached. Everything else follows under constraints.txt, so nothing can replace torch. Only
the standard library is used here: this file runs before anything is installed.
"""

import argparse
import platform
import shutil
import subprocess
import sys
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PROBE_SECONDS = 5
FORBIDDEN = ("torchaudio", "torchvision")

# Runs inside the environment: what came in, one fact a line.
FACTS = f"""
import importlib.metadata as metadata, torch
names = sorted({{(d.metadata["Name"] or "").lower() for d in metadata.distributions()}})
print(torch.__version__, torch.version.cuda or "cpu")
print(*[n for n in names if n in {FORBIDDEN!r}])
print(*[n for n in names if n.startswith("nvidia-")])
"""


def main() -> None:
    """Make the environment and say what torch it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--extras", default="train,media")
    parser.add_argument("--torch", choices=["auto", "cpu", "gpu"], default="auto")
    options = parser.parse_args()
    python = make_environment(options.folder)
    kind = options.torch if options.torch != "auto" else ("gpu" if has_gpu() else "cpu")
    install_torch(python, kind)
    say(f"Serenade and its packages ({options.extras})")
    pip(python, "--quiet", "-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[{options.extras}]")
    report(python, kind)


def make_environment(folder: Path) -> Path:
    """The Python of a virtual environment, made where there is none that works."""
    python = folder.absolute() / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not works(python, "import pip"):
        if folder.exists() and not (folder / "pyvenv.cfg").exists() and any(folder.iterdir()):
            sys.exit(f"Error: {folder} holds something else than a virtual environment. Name another: make VENV=folder")
        say(f"virtual environment {folder} (Python {platform.python_version()})")
        venv.create(folder, with_pip=True, clear=True)
    return python


def install_torch(python: Path, kind: str) -> None:
    """Install the pinned torch; one that is there already and fits stays."""
    pinned = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    version = pinned.partition("==")[2]
    if works(python, f"import torch; assert torch.__version__.split('+')[0] == {version!r}"):
        return
    index: list[str] = []
    if kind == "cpu" and sys.platform == "linux":
        if reachable(f"{CPU_INDEX}/torch/"):
            index = ["--extra-index-url", CPU_INDEX]  # a "+cpu" version counts as newer than the plain one
        else:
            say(f"{CPU_INDEX} cannot be reached, so torch comes from your usual index", verb="Note:")
    say(f"{pinned} ({kind} build)")
    pip(python, *index, pinned)


def report(python: Path, kind: str) -> None:
    """Say which torch came in; end with an error where a package came that breaks it."""
    lines = subprocess.run([python, "-c", FACTS], check=True, capture_output=True, text=True).stdout.split("\n")
    (version, cuda), forbidden, nvidia = lines[0].split(), lines[1].split(), lines[2].split()
    if forbidden:
        sys.exit(f"Error: {', '.join(forbidden)} came in, which does not work beside torch {version}; remove it")
    if cuda == "cpu" and not nvidia:
        say(f"torch {version} (CPU build); no torchaudio, torchvision or nvidia packages", verb="Ready:")
    else:
        say(f"torch {version} (CUDA {cuda}, {len(nvidia)} nvidia packages); no torchaudio, torchvision", verb="Ready:")
        if kind == "cpu":
            say("this is the large CUDA build: it works here too, it only takes more room", verb="Note:")


def has_gpu() -> bool:
    """Whether this machine shows an NVIDIA device."""
    found = shutil.which("nvidia-smi")
    return found is not None and subprocess.run([found, "-L"], capture_output=True, check=False).returncode == 0


def reachable(address: str) -> bool:
    """Whether an address answers within a few seconds."""
    try:
        with urllib.request.urlopen(address, timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def works(python: Path, code: str) -> bool:
    """Whether a line of Python runs in the environment."""
    return python.exists() and subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def pip(python: Path, *arguments: str) -> None:
    """Run pip install in the environment, or end with its exit code."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    if code := subprocess.run(command, check=False).returncode:
        say("pip could not install what Serenade needs; its message stands above", verb="Error:")
        sys.exit(code)


def say(what: str, verb: str = "Installing") -> None:
    """One line of progress."""
    print(verb, what, flush=True)


if __name__ == "__main__":
    main()
