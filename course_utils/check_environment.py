"""Look over the learner's machine before the first lesson: one line for each need.

Run it with ``python -m course_utils.check_environment``. Every line begins with [OK] or
[FAIL], and every [FAIL] is followed by what to do about it. The exit code is 1 if anything
failed. Notebook: 01
"""

import argparse
import importlib
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
FREE_GIGABYTES = 1.0
INSTALL = "run: python install.py"
CLONE = "run: git checkout -- data (or clone the course again)"
COMPILER = "lesson 6 wants it: install a C compiler (see README), then: python -m pip install {}"
MANAGER = "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager/package.json"
RECORDER = "share/jupyter/labextensions/anywidget/package.json"


class Problem(Exception):
    """Something a lesson needs is missing: ``Problem(what is wrong, what to do about it)``."""


def _check_python(version: tuple[int, ...] = sys.version_info[:3]) -> str:
    """Is this one of the Pythons that the course is tested on?"""
    text = "Python " + ".".join(map(str, version))
    if not OLDEST_PYTHON <= tuple(version[:2]) <= NEWEST_PYTHON:
        raise Problem(
            f"this is {text}, and the course runs on Python 3.11, 3.12 and 3.13",
            "install Python 3.12 from python.org, delete the folder .venv, and start again",
        )
    return text


def _check_package(package: str, *, root: Path = ROOT) -> str:
    """Can the package be imported, and is it the version that requirements.txt names?"""
    pins = (root / "requirements.txt").read_text(encoding="utf-8")
    wanted = dict(re.findall(r"^([\w.-]+)==([^\s;#]+)", pins, flags=re.MULTILINE))[package]
    try:
        loaded = importlib.import_module(package)
    except Exception as error:  # a broken shared library raises OSError, not ImportError
        remedy = COMPILER.format(f"pesq=={wanted}") if package == "pesq" else INSTALL
        raise Problem(f"{package} cannot be imported ({error})", remedy) from error
    # "2.14.1+cpu" is 2.14.1, built for machines without a GPU. pesq does not tell its version.
    found = str(getattr(loaded, "__version__", wanted)).split("+")[0]
    if found != wanted:
        raise Problem(f"{package} is {found}, and the course is tested with {wanted}", INSTALL)
    return f"{package} {found}"


def _check_torch() -> str:
    """Is PyTorch there, and what will it compute on?"""
    text = _check_package("torch")
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        return f"{text}, computing on the GPU ({torch.cuda.get_device_name()}) or the CPU"
    return f"{text}, computing on the CPU, which is enough for every lesson"


def _check_flac() -> str:
    """Does a short sound survive being written to FLAC and read back?"""
    text = _check_package("soundfile")
    import numpy as np
    import soundfile

    written = np.linspace(-0.5, 0.5, 1600)
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, written, 16_000, format="FLAC", subtype="PCM_16")
        buffer.seek(0)
        read, sample_rate = soundfile.read(buffer)
    except Exception as error:
        raise Problem(f"soundfile cannot handle FLAC files ({error})", INSTALL) from error
    if sample_rate != 16_000 or len(read) != 1600 or abs(read - written).max() > 2**-15:
        raise Problem("soundfile read back other samples than it wrote", INSTALL)
    return f"{text} writes and reads FLAC"


def _check_data(root: Path = ROOT) -> str:
    """Is every clip of the manifest there, and the very one that was listed?"""
    try:
        from course_utils.corpus import check_files, load_manifest

        num_files = check_files(root / "data")
        minutes = sum(clip.duration for clip in load_manifest(root / "data")) / 60
    except Exception as error:
        raise Problem(f"the recordings are not complete ({error})", CLONE) from error
    return f"{num_files} recordings, {minutes:.0f} minutes, all as listed"


def _check_checkpoint(root: Path = ROOT) -> str:
    """Can the trained denoiser that comes with the course be loaded?"""
    file = root / "data" / "pretrained" / "denoiser.pt"
    if not file.is_file():
        raise Problem("no trained denoiser in data/pretrained", CLONE)
    try:
        from course_utils.checkpoints import load_checkpoint

        load_checkpoint(file)
    except Exception as error:
        raise Problem(f"{file.name} cannot be loaded ({error})", CLONE) from error
    return f"trained denoiser {file.name}, {file.stat().st_size / 1e6:.1f} MB"


def _check_disk(root: Path = ROOT) -> str:
    """Is there room for what the lessons write?"""
    free = shutil.disk_usage(root).free / 1e9
    if free < FREE_GIGABYTES:
        remedy = f"make room: the lessons want {FREE_GIGABYTES:.0f} GB"
        raise Problem(f"only {free:.1f} GB of disk are free", remedy)
    return f"{free:.0f} GB of disk are free"


def _check_widgets(prefix: str = sys.prefix) -> str:
    """Are both halves of the sliders there, Python's and JupyterLab's?"""
    text = _check_package("ipywidgets")
    if not (Path(prefix) / MANAGER).is_file():
        raise Problem("JupyterLab lacks its widgets manager, so sliders would not show", INSTALL)
    return f"{text} and its manager in JupyterLab"


def _check_recorder(prefix: str = sys.prefix) -> str:
    """Are both halves of what brings own sound into a lesson there?"""
    text = _check_package("anywidget")
    if not (Path(prefix) / RECORDER).is_file():
        raise Problem("JupyterLab lacks anywidget, so lessons 1 and 6 could not record", INSTALL)
    return f"{text}, for your own recordings"


def _check_output(root: Path = ROOT) -> str:
    """Can the lessons write their results?"""
    folder = root / "notebooks" / "output"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return "notebooks/output can be written to"
    except OSError as error:
        raise Problem(
            f"cannot write to notebooks/output ({error.strerror})",
            "move the course to a folder of your own, such as Documents",
        ) from error


CHECKS: dict[str, Callable[[], str]] = {
    "python": _check_python,
    "torch": _check_torch,
    "torchaudio": lambda: _check_package("torchaudio"),
    "soundfile": _check_flac,
    "matplotlib": lambda: _check_package("matplotlib"),
    "stoi": lambda: _check_package("pystoi"),
    "pesq": lambda: _check_package("pesq"),
    "jupyterlab": lambda: _check_package("jupyterlab"),
    "sliders": _check_widgets,
    "recorder": _check_recorder,
    "data": _check_data,
    "checkpoint": _check_checkpoint,
    "disk": _check_disk,
    "output": _check_output,
}


def run_checks(checks: dict[str, Callable[[], str]]) -> int:
    """Run every check, print a line for each, and go on after a failure.

    Args:
        checks: Name and function of each check; it returns what it found or raises Problem.

    Returns:
        How many failed.
    """
    num_failed = 0
    for name, check in checks.items():
        try:
            print(f"[OK]   {check()}")
        except Problem as problem:
            text, remedy = problem.args
            num_failed += 1
            print(f"[FAIL] {name}: {text}\n       What to do: {remedy}")
    return num_failed


def main() -> int:
    """Print the report.

    Returns:
        The exit code: 0 if all is well, 1 otherwise.
    """
    argparse.ArgumentParser(
        prog="python -m course_utils.check_environment",
        description="Look over this machine before the first lesson.",
    ).parse_args()
    num_failed = run_checks(CHECKS)
    if num_failed:
        print(f"\n{num_failed} of {len(CHECKS)} checks failed. Mend the topmost first.")
        return 1
    print("\nEverything is in place. Enjoy the first lesson.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
