"""Downloads that break off and go on, checksums, and archives that want out of their folder."""

import functools
import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from course_utils.download import download, unpack

CONTENT = bytes(range(256)) * 4096  # one megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; /plain ignores ranges, /breaks stops half-way, /nolength says no length."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.path == "/missing":
            return self.send_error(404)
        start = 0
        if self.path != "/plain" and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(CONTENT):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        body = CONTENT[start:]
        if self.path != "/nolength":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/breaks" else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.asked = []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# --- download ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["whole", "plain", "nolength"])
def test_a_download_arrives_whole_and_only_once(server, tmp_path, name):
    path = tmp_path / "sets" / "x.zip"
    for _ in range(2):
        assert download(f"{server.url}/{name}", path, sha256=SHA256.upper()) == path
    assert path.read_bytes() == CONTENT
    assert server.asked == [(f"/{name}", None)]  # the second call found it on the disk
    assert [file.name for file in path.parent.iterdir()] == ["x.zip"]


def test_progress_counts_up_to_the_total(server, tmp_path):
    calls = []
    download(
        f"{server.url}/x", tmp_path / "x", sha256=SHA256, progress=lambda *call: calls.append(call)
    )
    done = [call[0] for call in calls]
    assert done == sorted(set(done)) and len(done) > 2
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_progress_without_a_length_has_no_total(server, tmp_path):
    calls = []
    download(
        f"{server.url}/nolength",
        tmp_path / "x",
        sha256=SHA256,
        progress=lambda *call: calls.append(call),
    )
    assert calls[-1] == (len(CONTENT), None)


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    path, half = tmp_path / "x", len(CONTENT) // 2
    with pytest.raises(ConnectionError, match=rf"stopped after {half} of {len(CONTENT)} bytes"):
        download(f"{server.url}/breaks", path, sha256=SHA256)
    assert not path.exists()
    calls = []
    download(f"{server.url}/x", path, sha256=SHA256, progress=lambda *call: calls.append(call))
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/x", f"bytes={half}-")
    assert calls[0][0] > half and calls[-1] == (len(CONTENT), len(CONTENT))


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT[:1000])
    download(f"{server.url}/plain", tmp_path / "x", sha256=SHA256)
    assert server.asked == [("/plain", "bytes=1000-")]
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_part_that_is_complete_is_kept(server, tmp_path):
    (tmp_path / "x.part").write_bytes(CONTENT)
    download(f"{server.url}/x", tmp_path / "x", sha256=SHA256)
    assert (tmp_path / "x").read_bytes() == CONTENT and not (tmp_path / "x.part").exists()


@pytest.mark.parametrize("rest", [b"wrong", b"wrong" + CONTENT])
def test_a_spoilt_part_is_thrown_away(server, tmp_path, rest):
    (tmp_path / "x.part").write_bytes(rest)
    with pytest.raises(ValueError, match=rf"sha256 of .* must be {SHA256[:12]}.*nothing was kept"):
        download(f"{server.url}/x", tmp_path / "x", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []
    download(f"{server.url}/x", tmp_path / "x", sha256=SHA256)  # the next call starts clean
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_behind(server, tmp_path):
    with pytest.raises(ValueError, match="must be 000000000000.*look for a newer checksum"):
        download(f"{server.url}/x", tmp_path / "x", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_content_is_not_overwritten(server, tmp_path):
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(ValueError, match="holds another file; remove it"):
        download(f"{server.url}/x", tmp_path / "x", sha256=SHA256)
    assert (tmp_path / "x").read_bytes() == b"mine" and server.asked == []


def test_a_missing_page_and_a_dead_server_say_so(server, tmp_path):
    with pytest.raises(ConnectionError, match="404.*check the address"):
        download(f"{server.url}/missing", tmp_path / "x", sha256=SHA256)
    with pytest.raises(ConnectionError, match="could not be read .*call again to go on after 0"):
        download("http://127.0.0.1:9/x", tmp_path / "x", sha256=SHA256)


def test_malformed_arguments_are_refused_before_anything_is_fetched(tmp_path):
    with pytest.raises(ValueError, match="url must begin with http.*'file:///etc/passwd'"):
        download("file:///etc/passwd", tmp_path / "x", sha256=SHA256)
    with pytest.raises(ValueError, match="sha256 must have 64 hexadecimal digits, got 'abc'"):
        download("http://127.0.0.1:9/x", tmp_path / "x", sha256="abc")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="is a folder; add the name of the file"):
        download("http://127.0.0.1:9/x", tmp_path, sha256=SHA256)


# --- unpack ------------------------------------------------------------------------------------


def make_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def make_tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            if name.endswith("/"):
                item.type, item.name = tarfile.DIRTYPE, name.rstrip("/")
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))


MAKERS = {
    "a.zip": make_zip,
    "a.tar.gz": make_tar,
    "a.tgz": make_tar,
    "a.tar": functools.partial(make_tar, mode="w"),
    "a.tar.xz": functools.partial(make_tar, mode="w:xz"),
}


def everything_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("name", MAKERS)
def test_archives_unpack_with_their_folders(name, tmp_path):
    MAKERS[name](tmp_path / name, {"empty/": b"", "deep/er/x.wav": b"sound", "..y": b"dots"})
    target = tmp_path / "to" / "here"
    for _ in range(2):  # a second time replaces the same files
        assert unpack(tmp_path / name, target) == target
    assert everything_below(target) == {
        **{"empty": None, "deep": None, "deep/er": None},
        **{"deep/er/x.wav": b"sound", "..y": b"dots"},
    }


def test_several_archives_share_a_folder(tmp_path):
    make_zip(tmp_path / "a.zip", {"set/a": b"a"})
    make_tar(tmp_path / "b.tar.gz", {"set/b": b"b"})
    for name in ("a.zip", "b.tar.gz"):
        unpack(tmp_path / name, tmp_path / "out")
    assert everything_below(tmp_path / "out") == {"set": None, "set/a": b"a", "set/b": b"b"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize(
    "bad", ["../evil", "x/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil", "\\evil"]
)
def test_a_name_that_leads_out_is_refused_before_anything_is_written(name, bad, tmp_path):
    MAKERS[name](tmp_path / name, {"good": b"good", bad: b"evil"})
    with pytest.raises(ValueError, match="leads out of the folder; do not unpack it"):
        unpack(tmp_path / name, tmp_path / "in" / "side")
    assert set(everything_below(tmp_path)) == {name}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        item = tarfile.TarInfo("link")
        item.type, item.linkname = kind, "../../elsewhere"
        archive.addfile(item)
    with pytest.raises(ValueError, match="'link', which is a link"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        item = zipfile.ZipInfo("link")
        item.create_system, item.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(item, "/etc/passwd")
    with pytest.raises(ValueError, match="'link', which is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_what_is_no_archive_or_is_damaged_is_named(tmp_path):
    (tmp_path / "page.zip").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"'page\.zip' cannot be unpacked .*download it again"):
        unpack(tmp_path / "page.zip", tmp_path / "out")
    make_tar(tmp_path / "cut.tar.gz", {"x": bytes(range(256)) * 1000})
    whole = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"'cut\.tar\.gz' cannot be unpacked"):
        unpack(tmp_path / "cut.tar.gz", tmp_path / "out")
    for place in range(0, len(whole), 97):  # a spoilt byte is found, or did not matter
        (tmp_path / "cut.tar.gz").write_bytes(whole[:place] + b"!" + whole[place + 1 :])
        try:
            unpack(tmp_path / "cut.tar.gz", tmp_path / "out")
        except ValueError as error:
            assert "cut.tar.gz' " in str(error) and "\n" not in str(error)
    make_zip(tmp_path / "bad.zip", {"x": b"sound" * 100})
    spoilt = (tmp_path / "bad.zip").read_bytes().replace(b"soundsound", b"sounDsound", 1)
    (tmp_path / "bad.zip").write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"'bad\.zip' cannot be unpacked .*CRC"):
        unpack(tmp_path / "bad.zip", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"nothing\.zip' is not there; download it first"):
        unpack(tmp_path / "nothing.zip", tmp_path / "out")
