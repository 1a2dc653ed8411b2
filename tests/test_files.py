"""Files are written whole or not at all, and a folder tells everything that lies in it."""

import os
import stat
import subprocess
import sys
import time

import pytest

from course_utils import files
from course_utils.files import folder_sounds, written_whole

posix = pytest.mark.skipif(os.name == "nt", reason="Windows knows no such mode or signal")


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_takes_its_place_when_it_is_whole(tmp_path, replace):
    path = tmp_path / "table.csv"
    for text in ("first", "second"):
        with written_whole(path, replace=replace) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".csv" and temporary.name.startswith(".")
    assert path.read_text() == ("second" if replace else "first")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(error), written_whole(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_replaced_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / "secret.txt"
    path.write_text("old")
    path.chmod(mode)
    with written_whole(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_a_link_goes_on_leading_to_the_file(tmp_path):
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("links need a permission here")
    with written_whole(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and real.read_text() == "new"
    assert [each.name for each in real.parent.iterdir()] == ["real.txt"]


@pytest.mark.parametrize("links", [True, False])
def test_a_name_taken_in_the_meantime_is_an_error_and_stays_as_it_is(tmp_path, monkeypatch, links):
    if not links:  # as on a memory stick
        monkeypatch.setattr(os, "link", lambda *names: (_ for _ in ()).throw(PermissionError()))
    path = tmp_path / "result.txt"
    with pytest.raises(FileExistsError, match="result.txt"):
        with written_whole(path, exclusive=True) as temporary:
            temporary.write_text("mine")
            path.write_text("theirs")
    assert path.read_text() == "theirs" and list(tmp_path.iterdir()) == [path]
    path.unlink()
    with written_whole(path, exclusive=True) as temporary:
        temporary.write_text("mine")
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_of_many_programs_that_race_for_a_name_one_wins(tmp_path):
    program = (
        "import sys, time; from course_utils.files import written_whole\n"
        "with written_whole(sys.argv[1], exclusive=True) as temporary:\n"
        "    temporary.write_text(sys.argv[2])\n"
        "    time.sleep(max(0, float(sys.argv[3]) - time.time()))\n"
        "print(sys.argv[2])"
    )
    path = tmp_path / "result.txt"
    command = [sys.executable, "-c", program, str(path)]
    start = str(time.time() + 1)
    running = [
        subprocess.Popen([*command, str(n), start], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for n in range(6)
    ]
    said = [each.communicate(timeout=60)[0].decode().strip() for each in running]
    winners = [name for name in said if name]
    assert len(winners) == 1 and path.read_text() == winners[0]
    assert list(tmp_path.iterdir()) == [path]


def test_content_and_name_are_on_the_disk_before_the_work_counts_as_done(tmp_path, monkeypatch):
    flushed = []
    real = os.fsync

    def fsync(handle):
        real(handle)
        flushed.append((stat.S_ISDIR(os.fstat(handle).st_mode), (tmp_path / "a.txt").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    with written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("content")
    expected = [(False, False), (True, True)]  # the file under its hidden name, then the folder
    assert flushed == expected[: 1 if os.name == "nt" else 2]


def dead_process():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@posix
def test_what_killed_programs_left_is_swept_by_age_and_program(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_swept", set())
    dead, alive, letters = dead_process(), os.getpid(), "0" * 32
    ages = {
        f".{letters}-{dead}.tmp.wav": 3600,  # killed an hour ago
        f".{letters}-{alive}.tmp.wav": 200_000,  # of another machine, or long forgotten
        f".{'1' * 32}-{dead}.tmp": 10,  # perhaps of another machine, which is at work
        f".{'1' * 32}-{alive}.tmp.wav": 3600,  # at work, or asleep
        "song.tmp.wav": 200_000,  # somebody's own
    }
    for name, age in ages.items():
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    with written_whole(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", *list(ages)[2:]}


# --- folders ---------------------------------------------------------------------------------


def test_a_folder_tells_what_is_sound_and_why_the_rest_is_not(tmp_path):
    for name in ("b.WAV", "a.flac", "._a.flac", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "more.wav").mkdir()
    (tmp_path / "more.wav" / "c.mp3").write_text("x")
    found, left_out = folder_sounds(tmp_path)
    assert [path.name for path in found] == ["a.flac", "b.WAV"]
    assert {path.name: reason for path, reason in left_out.items()} == {
        "._a.flac": "hidden",
        "more.wav": "a folder",
        "notes.txt": "not known as sound by its name",
    }
    found, left_out = folder_sounds(tmp_path, deep=True)
    assert [path.name for path in found] == ["a.flac", "b.WAV", "c.mp3"]


@posix
def test_links_are_followed_and_loops_end(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.wav").write_text("x")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "far")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "far")
    (tmp_path / "in" / "sub" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b.wav").symlink_to(tmp_path / "far" / "a.wav")
    (tmp_path / "in" / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    (tmp_path / "in" / "self.wav").symlink_to(tmp_path / "in" / "self.wav")
    os.mkfifo(tmp_path / "in" / "pipe.wav")
    found, left_out = folder_sounds(tmp_path / "in", deep=True)
    assert [path.name for path in found] == ["a.wav", "b.wav"]
    assert sorted(path.name for path in left_out) == [
        "gone.wav",
        "link",
        "loop",
        "pipe.wav",
        "self.wav",
    ]
