"""Install the course's packages, at the versions and with the checksums that the locks name.

    python install.py                          what the lessons need
    python install.py tests                    and what the tests need
    python install.py tests tests/benchmarks   and what the benchmarks need

Run it with the Python of the environment that is to be filled. It needs nothing but that Python.
Each folder named holds a ``requirements.lock``; ``make lock`` writes these files.

PyTorch comes in several builds. On Linux, PyPI's is for NVIDIA GPUs and takes 5 GB. A Linux machine
without such a GPU gets the CPU build from PyTorch's own index, if that index answers. The index
names the checksums of its files, so the locks need not; of everything else, pip refuses a file
whose checksum is not in the lock.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 5.0  # seconds that the index has for its answer
PYTORCH = ("torch", "torchaudio")
GPU_ONLY = re.compile(r"cuda-|nvidia-|triton$")
BUILT_HERE = "pesq"  # published as source only
COMPILER = "Lesson 6's score PESQ could not be built. Install a C compiler: README.md says how."


def read_lock(file: Path) -> dict[str, str]:
    """Split a lock into its packages.

    Args:
        file: A ``requirements.lock``.

    Returns:
        For each package its lines: name, version, marker and checksums.
    """
    text = re.sub(r"^ *#.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return {re.split("[=; ]", block)[0]: block for block in blocks if block.strip()}


def pinned_version(block: str) -> str:
    """Read the version from a package's lines.

    Args:
        block: The lines, as in :func:`read_lock`.

    Returns:
        The version, such as ``2.14.1``.
    """
    return re.match(r"[\w.-]+==([^\s;\\]+)", block).group(1)


def installed_version(package: str) -> str:
    """Look up a package of this environment.

    Args:
        package: Its name.

    Returns:
        Its version, such as ``2.14.1+cpu``; empty if the package is not installed.
    """
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def has_nvidia_gpu() -> bool:
    """Ask the driver for a GPU.

    Returns:
        Whether there is an NVIDIA GPU that programs can use.
    """
    if Path("/dev/nvidia0").exists():
        return True
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def fault_of_index(index: str, version: str, *, patience: float = PATIENCE) -> str:
    """Find out whether a package index can give PyTorch.

    Args:
        index: Its address.
        version: The version of torch that it must list.
        patience: Seconds for the whole answer, the look-up of the name included.

    Returns:
        What is wrong with the index; empty if nothing is.
    """
    found = [f"gave no answer within {patience:g} seconds"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{index}/torch/", timeout=patience) as answer:
                page = answer.read().decode("utf-8", errors="replace")
        except urllib.error.HTTPError as error:
            found[0] = f"answered with error {error.code}"
        except (OSError, ValueError) as error:
            found[0] = f"cannot be reached ({getattr(error, 'reason', error)})"
        else:
            listed = re.search(rf"torch-{re.escape(version)}\D", page)
            found[0] = "" if listed else f"does not list torch {version}"

    # In a thread of its own, because looking up a name has no time limit.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return found[0]


def choose_index(version: str, *, platform: str, wanted: str, has_gpu: bool) -> tuple[str, str]:
    """Decide where PyTorch comes from.

    Args:
        version: The version of torch that is needed.
        platform: The system, as in ``sys.platform``.
        wanted: The index that the user named; empty for none.
        has_gpu: Whether there is an NVIDIA GPU.

    Returns:
        The address of an index, empty for PyPI; and a sentence that says what was chosen, and why.
    """
    if wanted:
        return wanted, f"PyTorch: the build of {wanted}, as TORCH_INDEX says."
    if platform != "linux":
        return "", "PyTorch: PyPI's build, the usual one on this system."
    if has_gpu:
        return "", "PyTorch: PyPI's build, because this machine has an NVIDIA GPU."
    fault = fault_of_index(CPU_INDEX, version)
    if fault:
        return "", f"PyTorch: PyPI's build, because {CPU_INDEX} {fault}."
    return CPU_INDEX, "PyTorch: the CPU build, because this machine has no NVIDIA GPU."


def pip(*arguments: str) -> bool:
    """Run this environment's pip.

    Args:
        *arguments: The words after ``pip``.

    Returns:
        Whether it succeeded.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command).returncode == 0


def install_pytorch(requirements: list[str]) -> str:
    """Install PyTorch where it must not come from PyPI, and say where it comes from.

    Args:
        requirements: Such as ``torch==2.14.1``.

    Returns:
        The address of the index that gave it, empty if PyPI is still to give it.

    Raises:
        SystemExit: If the index that the user named did not give it.
    """
    pins = dict(requirement.split("==") for requirement in requirements)
    if all(installed_version(name).split("+")[0] == pin for name, pin in pins.items()):
        print(f"PyTorch: {installed_version('torch')} is installed already.", flush=True)
        return ""
    wanted = os.environ.get("TORCH_INDEX", "").rstrip("/")
    index, sentence = choose_index(
        pins["torch"], platform=sys.platform, wanted=wanted, has_gpu=has_nvidia_gpu()
    )
    print(sentence, flush=True)
    options = ["--no-deps", "--upgrade", "--only-binary", ":all:", "--retries", "2"]
    if not index or pip("install", *options, "--index-url", index, *requirements):
        return index
    if wanted:
        sys.exit(f"The installation stopped: {index} did not give {' and '.join(requirements)}.")
    print("PyTorch: PyPI's build, because the CPU build could not be installed.", flush=True)
    return ""


def pytorch_starts() -> bool:
    """Import PyTorch in a fresh Python.

    Returns:
        Whether that worked.
    """
    command = [sys.executable, "-c", f"import {', '.join(PYTORCH)}"]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def install_locked(packages: dict[str, str]) -> None:
    """Install packages of a lock: first those that come ready, then the one that is built here.

    A build of PyTorch from elsewhere has a name of its own, as in 2.14.1+cpu. It needs none of the
    packages that PyPI's build computes on a GPU with, so these are left out.

    Args:
        packages: Their lines, as in :func:`read_lock`.

    Raises:
        SystemExit: If pip failed.
    """
    if "+" in installed_version("torch"):
        packages = {name: block for name, block in packages.items() if not GPU_ONLY.match(name)}
    built = [block for name, block in packages.items() if name == BUILT_HERE]
    ready = [block for name, block in packages.items() if name != BUILT_HERE]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.lock"
        checked = ["install", "--no-deps", "--require-hashes", "-r", str(file)]
        file.write_text("".join(ready), encoding="utf-8")
        if not pip(*checked):
            sys.exit("The installation stopped: the lines above say why.")
        file.write_text("".join(built), encoding="utf-8")
        # Built with the packages just installed, so that these tools are pinned as well.
        if built and not pip(*checked, "--no-build-isolation", "--use-pep517"):
            sys.exit(COMPILER)


def main(arguments: list[str] | None = None) -> None:
    """Install the packages of every lock that is asked for, and the course's helpers.

    Args:
        arguments: The words of the command line.

    Raises:
        SystemExit: If anything could not be installed.
    """
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit("The course runs on Python 3.11, 3.12 and 3.13: make the environment with one.")
    parser = argparse.ArgumentParser(description="Install what the course needs.")
    parser.add_argument("folders", nargs="*", help="folders with a requirements.lock of their own")
    folders = [".", *parser.parse_args(arguments).folders]
    locks = [read_lock(ROOT / folder / "requirements.lock") for folder in folders]
    requirements = [f"{name}=={pinned_version(locks[0][name])}" for name in PYTORCH]

    index = install_pytorch(requirements)
    for lock in locks:
        install_locked(lock)
    if index and not pip("install", "--index-url", index, *requirements):
        sys.exit(f"The installation stopped: {index} did not give what its PyTorch needs.")
    if index == CPU_INDEX and not pytorch_starts():
        print("PyTorch: PyPI's build, because the CPU build does not start.", flush=True)
        pip("uninstall", "--yes", *PYTORCH)
        install_locked(locks[0])
    if not pip("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT)):
        sys.exit("The installation stopped: the lines above say why.")


if __name__ == "__main__":
    main()
