"""The installer: where PyTorch comes from, and that only what the locks name is installed.

The package indexes are small ones on this machine, with packages that hold nothing.
"""

import base64
import hashlib
import importlib.util
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from loopback import serving
from packaging.requirements import Requirement
from test_repository import pins

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
import install  # noqa: E402

FOLDERS = [".", "tests", "tests/benchmarks", "site"]
LISTING = b'<a href="torch-2.14.1%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl">torch</a>'


def lock_of(folder: str) -> dict[str, str]:
    return install.read_lock(ROOT / folder / "requirements.lock")


# ---- the locks ----


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_lock_names_each_version_that_is_asked_for_and_every_checksum(folder):
    lock = lock_of(folder)
    asked = pins(f"{folder}/requirements.txt")
    assert {name: install.pinned_version(lock[name]) for name in asked} == asked
    for name, block in lock.items():
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}$", block.replace(" \\", ""), re.M), name
    text = (ROOT / folder / "requirements.lock").read_text()
    assert "#    make lock\n" in text
    assert "://" not in text, "a lock must not name an index"


def test_the_locks_agree_with_each_other():
    versions = {}
    for folder in FOLDERS:
        for name, block in lock_of(folder).items():
            versions.setdefault(name, set()).add(install.pinned_version(block))
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def needed(names: set[str]) -> set[str]:
    """These packages and all that they need on this machine, as the installed ones say."""
    found, left = set(), {(name, "") for name in names}
    while left:
        name, extra = left.pop()
        found.add((name, extra))
        for need in map(Requirement, metadata.requires(name) or []):
            if need.marker is None or need.marker.evaluate({"extra": extra}):
                key = re.sub(r"[-_.]+", "-", need.name).lower()
                left |= {(key, extra) for extra in ("", *need.extras)} - found
    return {name for name, _ in found}


def for_this_machine(lock: dict[str, str]) -> set[str]:
    """The packages of a lock whose markers hold here; of a CPU build, none that want a GPU."""
    markers = {name: Requirement(block.split("\\")[0]).marker for name, block in lock.items()}
    found = {name for name, marker in markers.items() if marker is None or marker.evaluate()}
    own_build = "+" in metadata.version("torch")
    return {name for name in found if not (own_build and install.GPU_ONLY.match(name))}


@pytest.mark.parametrize("folder", [".", "tests"])
def test_a_lock_names_all_that_its_packages_need_and_nothing_else(folder):
    lock = lock_of(folder)
    direct = for_this_machine(lock) & set(pins(f"{folder}/requirements.txt"))
    found = needed(direct)
    assert found - set(lock) == set(), "needed, but not in the lock"
    assert for_this_machine(lock) - found == set(), "in the lock, but not needed"


def test_what_is_left_out_without_a_gpu_is_what_pytorch_needs_on_linux_only():
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^([a-z0-9-]+)==(.*?)(?=^[a-z]|\Z)", text, re.M | re.S)
    gpu = {name for name, _ in blocks if install.GPU_ONLY.match(name)}
    assert "torch" not in gpu and len(gpu) > 10
    for name, block in blocks:
        head, _, needed_by = block.partition("# via")
        needed_by = set(re.findall(r"[a-z][a-z0-9-]+", needed_by))
        only_gpu = needed_by <= gpu | {"torch"} and "sys_platform == 'linux'" in head
        assert only_gpu == (name in gpu), name


# ---- where PyTorch comes from ----


def choose(platform="linux", wanted="", has_gpu=False):
    return install.choose_index("2.14.1", platform=platform, wanted=wanted, has_gpu=has_gpu)


def test_a_machine_without_a_gpu_takes_the_cpu_build_if_its_index_answers(monkeypatch):
    with serving({"torch/": LISTING}) as server:
        monkeypatch.setattr(install, "CPU_INDEX", f"{server.url}/whole")
        index, sentence = choose()
        assert index == f"{server.url}/whole"
        assert sentence == "PyTorch: the CPU build, because this machine has no NVIDIA GPU."
        monkeypatch.setattr(install, "CPU_INDEX", f"{server.url}/missing")
        index, sentence = choose()
        assert index == "" and sentence.endswith("/missing answered with error 404.")


def test_gpus_and_other_systems_take_pypis_build_without_asking(monkeypatch):
    with serving({"torch/": LISTING}) as server:
        monkeypatch.setattr(install, "CPU_INDEX", f"{server.url}/whole")
        assert choose(has_gpu=True)[0] == choose("darwin")[0] == choose("win32")[0] == ""
        assert "has an NVIDIA GPU" in choose(has_gpu=True)[1]
        assert server.asked == []


def test_the_index_that_the_user_names_is_taken_on_any_machine():
    for options in ({}, {"has_gpu": True}, {"platform": "win32"}):
        assert choose(wanted="https://example.org/cu130", **options)[0].endswith("/cu130")


def test_an_index_that_refuses_hangs_or_has_other_versions_is_left_within_seconds():
    with serving({"torch/": LISTING.replace(b"2.14.1", b"2.14.10")}) as server:
        other = install.fault_of_index(f"{server.url}/whole", "2.14.1")
        assert other == "does not list torch 2.14.1"
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the call and says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        hanging = install.fault_of_index(address, "2.14.1", patience=0.3)
        assert "within 0.3 seconds" in hanging or "timed out" in hanging
        assert time.monotonic() - start < 5
    assert install.fault_of_index(address, "2.14.1").startswith("cannot be reached")


@pytest.mark.skipif(sys.platform == "win32", reason="the program stood in for is a shell script")
def test_the_driver_is_asked_for_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(install.Path, "exists", lambda self: False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not install.has_nvidia_gpu()
    program = tmp_path / "nvidia-smi"
    for script, found in (("echo 'GPU 0: NVIDIA'", True), ("exit 9", False)):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        assert install.has_nvidia_gpu() == found


# ---- an installation, with packages that hold nothing ----


def wheel(name: str, version: str) -> bytes:
    """The file of a package that holds an empty module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
        record += f"{path},sha256={digest.rstrip(b'=').decode()},{len(text)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


BACKEND = """
import pathlib
def build_editable(folder, *args):
    (pathlib.Path(folder) / NAME).write_bytes(pathlib.Path(NAME).read_bytes())
    return NAME
NAME = "course-1-py3-none-any.whl"
"""
PYPI = {"torch": "2.14.1", "torchaudio": "2.11.0", "nvidia_cublas": "13.1", "triton": "3.8.0"}
CPU = {"torch": "2.14.1+cpu", "torchaudio": "2.11.0+cpu"}


@pytest.fixture
def course(tmp_path):
    """A course of the same kind, with an environment of its own, and what two indexes serve."""
    files = {}
    for folder, packages in (("pypi", PYPI), ("cpu", CPU)):
        for name, version in packages.items():
            file = f"{name}-{version}-py3-none-any.whl".replace("+", "%2B")
            page = f"{folder}/{name.replace('_', '-')}/"
            files[page] = f'<a href="{file}">{file.replace("%2B", "+")}</a>'.encode()
            files[page + file] = wheel(name, version)
    lock = ""
    for name, version in PYPI.items():
        page = f"pypi/{name.replace('_', '-')}/"
        digest = hashlib.sha256(files[f"{page}{name}-{version}-py3-none-any.whl"]).hexdigest()
        lock += f"{page.split('/')[1]}=={version} \\\n    --hash=sha256:{digest}\n    # via x\n"
    folder = tmp_path / "course"
    folder.mkdir()
    (folder / "install.py").write_bytes((ROOT / "install.py").read_bytes())
    (folder / "requirements.lock").write_text(lock)
    (folder / "course-1-py3-none-any.whl").write_bytes(wheel("course", "1"))
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    )
    venv.create(folder / "env")
    pip = Path(importlib.util.find_spec("pip").origin).parent  # quicker than installing it
    shutil.copytree(pip, next((folder / "env").rglob("site-packages")) / "pip")
    return folder, files


def run_installer(folder: Path, server, index: str) -> tuple[str, dict[str, str]]:
    """Run it without a GPU on Linux; its output, and what is installed afterwards."""
    python = folder / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "TORCH_"))}
    settings |= {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": f"{server.url}/whole/pypi"}
    settings["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    script = (
        "import sys, install; sys.platform = 'linux'; install.has_nvidia_gpu = lambda: False; "
        f"install.CPU_INDEX = {index!r}; install.main([])"
    )
    run = subprocess.run(
        [python, "-c", script], cwd=folder, env=settings, capture_output=True, text=True
    )
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], env=settings, capture_output=True
    )
    packages = dict(line.replace("_", "-").split("==") for line in listed.stdout.decode().split())
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, packages


@pytest.mark.slow
def test_the_cpu_build_comes_without_the_packages_for_gpus(course):
    folder, files = course
    with serving(files) as server:
        out, packages = run_installer(folder, server, f"{server.url}/whole/cpu")
        assert "PyTorch: the CPU build" in out
        assert {name: packages[name] for name in CPU} == CPU
        assert "course" in packages
        asked = [path for path, _ in server.asked]
        assert not {"nvidia-cublas", "triton"} & set(packages)
        assert not [path for path in asked if "/pypi/" in path], "nothing is left for PyPI"
        # The second time, nothing is looked up.
        out, packages = run_installer(folder, server, f"{server.url}/whole/cpu")
        assert "2.14.1+cpu is installed already" in out
        assert [path for path, _ in server.asked] == asked


@pytest.mark.slow
def test_pypis_build_comes_with_them_and_a_changed_file_is_refused(course):
    folder, files = course
    with serving(files) as server:
        out, packages = run_installer(folder, server, f"{server.url}/missing/cpu")
        assert "PyTorch: PyPI's build, because" in out
        assert {"nvidia-cublas", "triton"} <= set(packages)
        assert packages["torch"] == "2.14.1"
        lock = folder / "requirements.lock"
        lock.write_text(lock.read_text().replace("triton==3.8.0", "triton==3.9.0"))
        file = "triton-3.9.0-py3-none-any.whl"
        files["pypi/triton/"] = f'<a href="{file}">{file}</a>'.encode()
        files[f"pypi/triton/{file}"] = wheel("triton", "3.9.0")
        with pytest.raises(AssertionError, match="DO NOT MATCH THE HASHES"):
            run_installer(folder, server, f"{server.url}/missing/cpu")
