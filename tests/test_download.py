"""Downloads that break off and go on, and files that are not what was expected."""

import functools
import hashlib
import os
import subprocess
import sys

import pytest
from full_disk import no_more_than
from loopback import serving

from course_utils.public_sets import download as module
from course_utils.public_sets.download import download, file_checksum

CONTENT = bytes(range(256)) * 4096  # one megabyte
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()

fetch = functools.partial(download, size=SIZE, checksum=SHA256)


@pytest.fixture
def server():
    with serving({"x": CONTENT}) as server:
        yield server


@pytest.mark.parametrize("how", ["whole", "plain", "nolength"])
@pytest.mark.parametrize("checksum", [SHA256.upper(), MD5, None])
def test_a_download_arrives_whole_and_only_once(server, tmp_path, how, checksum):
    path = tmp_path / "sets" / "x.zip"
    for _ in range(2):
        assert download(f"{server.url}/{how}/x", path, size=SIZE, checksum=checksum) == path
    assert path.read_bytes() == CONTENT
    assert server.asked == [(f"/{how}/x", None)]  # the second call found it on the disk
    assert [file.name for file in path.parent.iterdir()] == ["x.zip"]


@pytest.mark.parametrize("how", ["whole", "nolength"])
def test_progress_counts_up_to_the_total(server, tmp_path, how):
    calls = []
    fetch(f"{server.url}/{how}/x", tmp_path / "x", progress=lambda *call: calls.append(call))
    done = [call[0] for call in calls]
    assert done == sorted(set(done)) and len(done) > 2
    assert calls[-1] == (SIZE, SIZE)


@pytest.mark.parametrize("how", ["breaks", "short"])
def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path, how):
    path, half = tmp_path / "x", SIZE // 2
    with pytest.raises(ConnectionError, match=f"{half} of {SIZE}"):
        fetch(f"{server.url}/{how}/x", path)
    assert not path.exists()
    calls = []
    fetch(f"{server.url}/whole/x", path, progress=lambda *call: calls.append(call))
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/whole/x", f"bytes={half}-")
    assert calls[0][0] > half and calls[-1] == (SIZE, SIZE)


def test_a_place_that_moved_is_followed_and_asked_for_the_rest(server, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    fetch(f"{server.url}/moved/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert server.asked == [("/moved/x", "bytes=1000-"), ("/whole/x", "bytes=1000-")]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    fetch(f"{server.url}/plain/x", tmp_path / "x")
    assert server.asked == [("/plain/x", "bytes=1000-")]
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_part_that_is_complete_is_kept(server, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT)
    fetch(f"{server.url}/whole/x", tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == CONTENT and not (tmp_path / "x.part").exists()


@pytest.mark.parametrize("rest", [b"wrong", b"wrong" + CONTENT])
def test_a_spoilt_part_is_thrown_away(server, tmp_path, rest):
    (tmp_path / "x.part").write_bytes(rest)
    with pytest.raises(ValueError, match=f"checksum {SHA256[:12]}.*nothing was kept"):
        fetch(f"{server.url}/whole/x", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    fetch(f"{server.url}/whole/x", tmp_path / "x")  # the next call starts clean
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("digits", [32, 64])
def test_wrong_bytes_leave_nothing_behind(server, tmp_path, digits):
    with pytest.raises(ValueError, match="checksum 000000000000"):
        download(f"{server.url}/whole/x", tmp_path / "x", size=SIZE, checksum="0" * digits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["whole", "page"])
def test_another_size_is_refused_before_a_byte_is_stored_and_a_part_survives(server, tmp_path, how):
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    with pytest.raises(ValueError, match="web page.*2097152"):
        download(f"{server.url}/{how}/x", tmp_path / "x", size=2 * SIZE, checksum=SHA256)
    assert (tmp_path / "x.part").read_bytes() == CONTENT[:1000]


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_more_bytes_than_announced_are_not_waited_for(server, tmp_path, checksum):
    calls = []
    with pytest.raises(ValueError, match="nothing was kept"):
        download(
            f"{server.url}/endless/x", tmp_path / "x",
            size=SIZE, checksum=checksum, progress=lambda *call: calls.append(call),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert calls[-1][0] <= 1.01 * SIZE  # of twenty megabytes


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_a_file_of_another_content_is_not_overwritten(server, tmp_path, checksum):
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(ValueError, match="remove"):
        download(f"{server.url}/whole/x", tmp_path / "x", size=SIZE, checksum=checksum)
    assert (tmp_path / "x").read_bytes() == b"mine" and server.asked == []


def test_a_missing_page_and_a_dead_server_say_so(server, tmp_path):
    with pytest.raises(ConnectionError, match="404"):
        fetch(f"{server.url}/missing/x", tmp_path / "x")
    with pytest.raises(ConnectionError, match="403"):
        fetch(f"{server.url}/forbidden/x", tmp_path / "x")
    with pytest.raises(ConnectionError, match="go on after 0"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_has_nothing_to_give_says_so_where_nothing_is_here(server, tmp_path):
    with pytest.raises(ConnectionError, match="416"):
        fetch(f"{server.url}/norange/x", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_moved_to_no_web_address_is_not_followed(server, tmp_path):
    with pytest.raises(ConnectionError, match="ftp://.*no web address"):
        fetch(f"{server.url}/ftp/x", tmp_path / "x")


def test_a_server_that_drips_is_given_up_and_what_came_is_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    monkeypatch.setattr(module, "_SLOWEST", 100_000)
    with pytest.raises(ConnectionError, match="call again to go on after"):
        fetch(f"{server.url}/drips/x", tmp_path / "x")
    part = (tmp_path / "x.part").read_bytes()
    assert 0 < len(part) < 4000 and CONTENT.startswith(part)
    monkeypatch.undo()
    assert fetch(f"{server.url}/whole/x", tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk_is_called_so_and_what_fits_is_kept(server, tmp_path):
    with no_more_than(300_000), pytest.raises(OSError, match="x.part.*free space") as error:
        fetch(f"{server.url}/whole/x", tmp_path / "x")
    assert not isinstance(error.value, ConnectionError) and server.url not in str(error.value)
    assert CONTENT.startswith((tmp_path / "x.part").read_bytes())
    assert fetch(f"{server.url}/whole/x", tmp_path / "x").read_bytes() == CONTENT


def test_two_downloads_at_once_do_not_meet(server, tmp_path):
    program = (
        "import sys; from course_utils.targets import reserved\n"
        "with reserved(sys.argv[1]): print(flush=True); sys.stdin.read()"
    )
    first = [sys.executable, "-c", program, str(tmp_path / "x")]
    with subprocess.Popen(first, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(FileExistsError, match="another one"):
            fetch(f"{server.url}/whole/x", tmp_path / "x")
        other.communicate()
    assert server.asked == []
    fetch(f"{server.url}/whole/x", tmp_path / "x")


def test_malformed_arguments_are_refused_before_anything_is_fetched(tmp_path):
    url = "http://127.0.0.1:9/x"
    with pytest.raises(ValueError, match="url.*'file'"):
        fetch("file:///etc/passwd", tmp_path / "x")
    for checksum in ("abc", "0" * 48, "g" * 64):
        with pytest.raises(ValueError, match=f"checksum.*'{checksum}'"):
            fetch(url, tmp_path / "x", checksum=checksum)
    for size, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (None, TypeError)):
        with pytest.raises(error, match=f"size.*got {size}"):
            fetch(url, tmp_path / "x", size=size)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="folder"):
        fetch(url, tmp_path)


def test_the_checksum_of_a_file_is_the_one_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")  # the examples of RFC 1321 and FIPS 180-2
    assert file_checksum(tmp_path / "x", "md5") == "900150983cd24fb0d6963f7d28e17f72"
    assert file_checksum(tmp_path / "x").startswith("ba7816bf8f01cfea414140de5dae2223")
