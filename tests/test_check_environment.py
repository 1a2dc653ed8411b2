"""The environment check must see what is missing, name it, and say what to do."""

import builtins
import hashlib
import importlib
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from course_utils import check_environment as check

ROOT = Path(__file__).resolve().parents[1]


def test_this_environment_is_complete(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["check_environment"])
    code = check.main()
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert printed.count("[OK]") == len(check.CHECKS)
    assert "[FAIL]" not in printed


def test_a_failure_is_printed_with_its_remedy_and_the_rest_still_runs(capsys, monkeypatch):
    def broken():
        raise check.Problem("the piano is missing", "rent a piano")

    monkeypatch.setattr(check, "CHECKS", {"piano": broken, "stool": lambda: "a stool"})
    monkeypatch.setattr("sys.argv", ["check_environment"])
    assert check.main() == 1
    printed = capsys.readouterr().out
    assert "[FAIL] piano: the piano is missing\n       What to do: rent a piano\n" in printed
    assert "[OK]   a stool" in printed
    assert "1 of 2 checks failed" in printed


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 4), (3, 13, 99)])
def test_supported_pythons(version):
    assert check._check_python(version) == "Python " + ".".join(map(str, version))


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_other_pythons_are_refused(version):
    with pytest.raises(check.Problem, match="3.11, 3.12 and 3.13"):
        check._check_python(version)


def test_another_version_of_a_package_is_named(tmp_path):
    (tmp_path / "requirements.txt").write_text("torch==1.0.0  # old\n")
    with pytest.raises(check.Problem, match=r"torch.*2\.\d+\.\d+.*1\.0\.0"):
        check._check_package("torch", root=tmp_path)


def test_a_cpu_build_is_the_same_version(monkeypatch):
    wanted = check._check_package("torch").split()[1]
    fake = SimpleNamespace(__version__=f"{wanted}+cpu")
    monkeypatch.setattr(importlib, "import_module", lambda name: fake)
    assert check._check_package("torch") == f"torch {wanted}"


def test_a_package_that_breaks_on_import(monkeypatch):
    def broken(name):
        raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(check.Problem, match="torchaudio.*libcudart") as caught:
        check._check_package("torchaudio")
    assert "python install.py" in caught.value.args[1]


def test_a_package_that_could_not_be_built(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(check.Problem, match="pesq") as caught:
        check._check_package("pesq")
    assert re.search(r"C compiler .* pip install pesq==\d", caught.value.args[1])


def test_soundfile_without_flac(monkeypatch):
    import soundfile

    def no_flac(*args, **kwargs):
        raise soundfile.LibsndfileError(1)

    monkeypatch.setattr(soundfile, "write", no_flac)
    with pytest.raises(check.Problem, match="FLAC"):
        check._check_flac()


@pytest.fixture
def small_course(tmp_path):
    """A copy of the manifest's head with its clips, to be damaged by a test."""
    lines = (ROOT / "data" / "manifest.csv").read_text(encoding="utf-8").splitlines()[:3]
    data = tmp_path / "data"
    data.mkdir()
    (data / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    from course_utils.corpus import load_manifest

    for clip in load_manifest(data):
        clip.path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "data" / clip.file, clip.path)
    return tmp_path


def test_data_is_counted(small_course):
    assert check._check_data(small_course).startswith("2 recordings, ")


def test_a_missing_clip_is_named(small_course):
    from course_utils.corpus import load_manifest

    clip = load_manifest(small_course / "data")[1]
    clip.path.unlink()
    with pytest.raises(check.Problem, match=clip.path.name):
        check._check_data(small_course)


def test_a_damaged_clip_is_named(small_course):
    from course_utils.corpus import load_manifest

    clip = load_manifest(small_course / "data")[0]
    sound = bytearray(clip.path.read_bytes())
    sound[len(sound) // 2] ^= 1
    clip.path.write_bytes(sound)
    assert hashlib.sha256(sound).hexdigest() != clip.sha256
    with pytest.raises(check.Problem, match=clip.path.name):
        check._check_data(small_course)


def test_missing_data(tmp_path):
    with pytest.raises(check.Problem, match="recordings") as caught:
        check._check_data(tmp_path)
    assert "git checkout -- data" in caught.value.args[1]


def test_missing_checkpoint(tmp_path):
    with pytest.raises(check.Problem, match="denoiser"):
        check._check_checkpoint(tmp_path)


def test_unreadable_checkpoint(tmp_path):
    folder = tmp_path / "data" / "pretrained"
    folder.mkdir(parents=True)
    (folder / "denoiser.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(check.Problem, match="denoiser.pt"):
        check._check_checkpoint(tmp_path)


def test_full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=4e8))
    with pytest.raises(check.Problem, match="0.4 GB"):
        check._check_disk()


def test_missing_widgets_manager(tmp_path):
    with pytest.raises(check.Problem, match="widgets manager"):
        check._check_widgets(str(tmp_path))


def test_missing_recorder(tmp_path):
    with pytest.raises(check.Problem, match="could not record"):
        check._check_recorder(str(tmp_path))


def test_output_folder_is_made_and_left_clean(tmp_path):
    assert check._check_output(tmp_path) == "notebooks/output can be written to"
    assert list((tmp_path / "notebooks" / "output").iterdir()) == []


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "notebooks").write_text("a file where a folder should be")
    with pytest.raises(check.Problem, match="notebooks/output"):
        check._check_output(tmp_path)


def test_it_starts_without_any_package(monkeypatch, capsys):
    """A learner who forgot to install anything gets lines, not a traceback."""
    real_import, ours = builtins.__import__, ("course_utils", "torch", "numpy", "soundfile")

    def no_packages(name, *args, **kwargs):
        if name.split(".")[0] in ours:
            raise ModuleNotFoundError(f"No module named '{name}'")
        return real_import(name, *args, **kwargs)

    def not_importable(name):
        raise ModuleNotFoundError(f"No module named '{name}'")

    monkeypatch.setattr(builtins, "__import__", no_packages)
    monkeypatch.setattr(importlib, "import_module", not_importable)
    num_failed = check.run_checks(check.CHECKS)
    printed = capsys.readouterr().out
    assert num_failed == printed.count("[FAIL]") == printed.count("What to do: ") >= 8
    assert "No module named 'torch'" in printed
