"""Names kept for one program, and files that are written with all at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import no_more_than

from course_utils import targets
from course_utils.targets import reserved, write_whole

ROOT = Path(targets.__file__).parents[1]
KEEPER = """
import sys
from course_utils.targets import reserved
with reserved(sys.argv[1]):
    print("kept", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def keeper(tmp_path):
    """Another program that keeps a.pt, until its input ends or it is killed."""
    command = [sys.executable, "-c", KEEPER, str(tmp_path / "a.pt")]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout.readline() == b"kept\n"
        yield running
        running.kill()


def test_a_name_is_kept_for_one_program(tmp_path, keeper):
    with pytest.raises(FileExistsError, match="a.pt.*another one"), reserved(tmp_path / "a.pt"):
        pass
    with reserved(tmp_path / "b.pt"):  # another name is free
        pass
    keeper.communicate()
    with reserved(tmp_path / "a.pt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_program_keeps_nothing(tmp_path, keeper):
    keeper.kill()
    keeper.wait()
    with reserved(tmp_path / "a.pt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_program_may_keep_a_name_twice_and_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with reserved(tmp_path / "real" / "a.pt"):
        with reserved(tmp_path / "link" / "a.pt"):
            pass
        assert len(list((tmp_path / "real").iterdir())) == 1  # still kept
    assert list((tmp_path / "real").iterdir()) == []


def test_a_block_that_fails_gives_the_name_back(tmp_path):
    with pytest.raises(RuntimeError), reserved(tmp_path / "new" / "a.pt"):
        raise RuntimeError
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("place", ["file/a.pt", "/proc/none/a.pt"])
def test_a_place_that_cannot_be_written_is_named_before_the_work(tmp_path, place):
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("only Linux has such a folder")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="a.pt.*check the folder") as refusal:
        with reserved(tmp_path / place):
            pytest.fail("the work began")
    assert "\n" not in str(refusal.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("room", [0, 1, 4095, 99_999])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, room):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with no_more_than(room), pytest.raises(OSError, match="a.bin"):
        write_whole(path, bytes(100_000))
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == ["a.bin"]
    with no_more_than(100_000):
        write_whole(path, bytes(100_000))
    assert path.read_bytes() == bytes(100_000)


def test_text_is_written_as_it_is(tmp_path):
    write_whole(tmp_path / "a.txt", "é\r\nb\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\r\nb\n".encode()
