"""A set of the catalogue on its way to the disk: from a server on this machine that misbehaves."""

import dataclasses
import hashlib
import io
import os
import zipfile
from types import SimpleNamespace

import pytest
from loopback import serving

from course_utils.public_sets import fetching
from course_utils.public_sets.catalogue import Archive, PublicSet
from course_utils.public_sets.fetching import DOWNLOADS, SUMS, fetch, free_space


def make_archive(names, prefix=b""):
    """A zip with files of 1000 random bytes."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name in names:
            archive.writestr(name, prefix + os.urandom(1000))
    return memory.getvalue()


def count(folder):
    found = len(list(folder.glob("*/*.wav")))
    if not found:
        raise ValueError(f"folder must hold recordings, got {folder.name!r}.")
    return found


FILES = {
    "noisy.zip": make_archive([f"noisy/{n}.wav" for n in range(40)]),
    "clean.zip": make_archive([f"clean/{n}.wav" for n in range(40)]),
    "empty.zip": make_archive(["README"]),
    "hostile.zip": make_archive(["noisy/a.wav", "../evil"]),
    "big.zip": make_archive(["noisy/a.wav"], prefix=bytes(1_000_000)),
    "page.zip": b"not an archive" * 1000,
}


@pytest.fixture
def server():
    with serving(FILES) as server:
        yield server


@pytest.fixture
def make_set(server):
    """Make a set of the archives named; `how` is how the server behaves, see loopback.py."""

    def make(*names, how="whole", published=True):
        archives = tuple(
            Archive(
                url=f"{server.url}/{how}/{name}",
                file=name,
                size=len(FILES[name]),
                md5=hashlib.md5(FILES[name]).hexdigest() if published else None,
            )
            for name in names
        )
        return PublicSet(
            name="pairs",
            holds="pairs",
            licence="CC BY 4.0",
            page="https://example.org/pairs",
            archives=archives,
            unpacked=100_000,
            count=count,
            use={},
        )

    return make


def below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.iterdir())


def quiet(line):
    pass


def test_a_set_of_two_archives_arrives_in_one_folder(make_set, server, tmp_path):
    lines, calls = [], []
    chosen = make_set("noisy.zip", "clean.zip")
    folder = fetch(chosen, tmp_path, say=lines.append, progress=lambda *c: calls.append(c))
    assert folder == tmp_path / "pairs"
    assert count(folder) == 80 and below(folder) == ["clean", "noisy"]
    with zipfile.ZipFile(io.BytesIO(FILES["clean.zip"])) as archive:
        assert (folder / "clean" / "7.wav").read_bytes() == archive.read("clean/7.wav")
    assert below(tmp_path) == ["pairs"]  # no archive, no half of anything
    assert [line.split()[:2] for line in lines[:2]] == [
        ["fetching", "noisy.zip"],
        ["fetching", "clean.zip"],
    ]
    assert calls[-1] == (chosen.archives[1].size,) * 2
    assert fetch(chosen, tmp_path, say=quiet) == folder
    assert len(server.asked) == 2  # the second call found it on the disk


def test_a_break_keeps_what_came_and_the_next_call_goes_on(make_set, server, tmp_path):
    half = len(FILES["noisy.zip"]) // 2
    with pytest.raises(ConnectionError, match=rf"{half} of .*example\.org/pairs"):
        fetch(make_set("noisy.zip", how="breaks"), tmp_path, say=quiet)
    assert below(tmp_path) == [DOWNLOADS]
    assert below(tmp_path / DOWNLOADS) == ["noisy.zip.part"]
    assert count(fetch(make_set("noisy.zip"), tmp_path, say=quiet)) == 40
    assert server.asked[-1] == ("/whole/noisy.zip", f"bytes={half}-")
    assert below(tmp_path) == ["pairs"]


def test_a_place_that_is_gone_says_where_to_look_in_one_sentence(make_set, tmp_path):
    with pytest.raises(ConnectionError) as error:
        fetch(make_set("noisy.zip", how="missing"), tmp_path, say=quiet)
    text = str(error.value)
    assert "404" in text and "https://example.org/pairs" in text and "--archive" in text
    assert text.count(". ") == 0 and text.endswith(".") and "\n" not in text
    assert below(tmp_path) == []


@pytest.mark.parametrize("published", [True, False])
def test_a_web_page_instead_of_the_archive_is_no_set(make_set, tmp_path, published):
    with pytest.raises(ValueError, match="web page"):
        fetch(make_set("noisy.zip", how="page", published=published), tmp_path, say=quiet)
    assert below(tmp_path) == []


def test_wrong_bytes_are_no_set(make_set, server, tmp_path):
    chosen = make_set("noisy.zip")
    server.files = {"noisy.zip": FILES["noisy.zip"][:-1] + b"!"}
    with pytest.raises(ValueError, match="checksum"):
        fetch(chosen, tmp_path, say=quiet)
    assert below(tmp_path) == []


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hostile.zip", "out of the folder"),
        ("big.zip", "150000 bytes"),
        ("page.zip", "cannot be unpacked"),
        ("empty.zip", "recordings"),
    ],
)
def test_what_cannot_be_unpacked_is_no_set(make_set, tmp_path, name, reason, published):
    with pytest.raises(ValueError, match=reason):
        fetch(make_set(name, published=published), tmp_path / "sets", say=quiet)
    # An archive with the right checksum stays, one that nothing vouches for does not.
    assert below(tmp_path / "sets") == ([DOWNLOADS] if published else [])
    assert below(tmp_path) == ["sets"]


def test_a_checksum_that_nobody_published_is_noted_and_compared_next_time(
    make_set, server, tmp_path
):
    lines = []
    chosen = make_set("noisy.zip", published=False)
    folder = fetch(chosen, tmp_path, say=lines.append)
    sha256 = hashlib.sha256(FILES["noisy.zip"]).hexdigest()
    assert (tmp_path / SUMS).read_text() == f"{sha256}  noisy.zip\n"  # as sha256sum writes it
    assert sha256 in lines[-1]
    folder.rename(tmp_path / "moved")
    fetch(chosen, tmp_path, say=quiet)  # the same bytes again
    (tmp_path / "pairs").rename(tmp_path / "moved again")
    server.files = {"noisy.zip": make_archive([f"noisy/{n}.wav" for n in range(40)])}
    with pytest.raises(ValueError, match=f"checksum {sha256[:12]}"):
        fetch(chosen, tmp_path, say=quiet)


def test_archives_that_are_there_already_are_taken_and_left(make_set, server, tmp_path):
    for name in ("noisy.zip", "clean.zip"):
        (tmp_path / name).write_bytes(FILES[name])
    chosen = make_set("noisy.zip", "clean.zip", how="missing")
    folder = fetch(
        chosen, tmp_path / "sets",
        archives=[tmp_path / "clean.zip", tmp_path / "noisy.zip"], say=quiet,
    )  # fmt: skip
    assert count(folder) == 80 and server.asked == []
    assert below(tmp_path) == ["clean.zip", "noisy.zip", "sets"]
    # One of two: the other is fetched. A set of one archive takes it under any name.
    chosen = dataclasses.replace(make_set("noisy.zip", "clean.zip"), name="half")
    assert count(fetch(chosen, tmp_path, archives=[tmp_path / "clean.zip"], say=quiet)) == 80
    assert server.asked == [("/whole/noisy.zip", None)] and (tmp_path / "clean.zip").is_file()
    (tmp_path / "clean.zip").rename(tmp_path / "mine (1).zip")
    chosen = dataclasses.replace(make_set("clean.zip", how="missing"), name="one")
    assert count(fetch(chosen, tmp_path, archives=[tmp_path / "mine (1).zip"], say=quiet)) == 40


def test_an_archive_that_is_not_the_sets_is_refused(make_set, tmp_path):
    (tmp_path / "x.zip").write_bytes(FILES["noisy.zip"])
    (tmp_path / "clean.zip").write_bytes(FILES["noisy.zip"])
    both = make_set("noisy.zip", "clean.zip")
    for name, reason in (("x.zip", "noisy.zip, clean.zip.*'x.zip'"), ("clean.zip", "MD5")):
        with pytest.raises(ValueError, match=reason):
            fetch(both, tmp_path / "sets", archives=[tmp_path / name], say=quiet)
    with pytest.raises(FileNotFoundError, match=r"nothing\.zip"):
        fetch(make_set("noisy.zip"), tmp_path, archives=[tmp_path / "nothing.zip"], say=quiet)
    assert not (tmp_path / "sets").exists()


def test_a_full_disk_is_noticed_before_anything_is_fetched(make_set, server, tmp_path, monkeypatch):
    chosen, half = make_set("noisy.zip"), 20_000
    room = chosen.size + chosen.unpacked
    monkeypatch.setattr(
        fetching.shutil, "disk_usage", lambda path: SimpleNamespace(free=room - half)
    )
    with pytest.raises(ValueError, match=r"0\.0 GB.*0\.0 GB free"):
        fetch(chosen, tmp_path, say=quiet)
    assert server.asked == [] and below(tmp_path) == []
    (tmp_path / DOWNLOADS).mkdir()
    (tmp_path / DOWNLOADS / "noisy.zip.part").write_bytes(FILES["noisy.zip"][:half])
    assert count(fetch(chosen, tmp_path, say=quiet)) == 40  # what came already needs no room


def test_free_space_looks_at_the_disk_below_folders_that_are_not_there_yet(tmp_path):
    assert free_space(tmp_path / "not" / "yet") > 0
