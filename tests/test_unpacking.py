"""Archives that want out of their folder, that are damaged, or that would fill the disk."""

import functools
import io
import stat
import tarfile
import zipfile

import pytest

from course_utils.public_sets import unpacking
from course_utils.public_sets.unpacking import unpack


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
    assert unpack(tmp_path / name, target) == target
    assert everything_below(target) == {
        **{"empty": None, "deep": None, "deep/er": None},
        **{"deep/er/x.wav": b"sound", "..y": b"dots"},
    }


def test_several_archives_share_a_folder(tmp_path):
    make_zip(tmp_path / "a.zip", {"set/a": b"a"})
    make_tar(tmp_path / "b.tar.gz", {"set/b": b"b"})
    unpack([tmp_path / "a.zip", tmp_path / "b.tar.gz"], tmp_path / "out")
    assert everything_below(tmp_path / "out") == {"set": None, "set/a": b"a", "set/b": b"b"}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize(
    "bad", ["../evil", "x/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil", "\\evil"]
)
def test_a_name_that_leads_out_is_refused_before_anything_is_written(name, bad, tmp_path):
    MAKERS[name](tmp_path / name, {"good": b"good", bad: b"evil"})
    with pytest.raises(ValueError, match="out of the folder"):
        unpack(tmp_path / name, tmp_path / "in" / "side")
    assert set(everything_below(tmp_path)) == {name}


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE],
)
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        item = tarfile.TarInfo("link")
        item.type, item.linkname = kind, "../../elsewhere"
        archive.addfile(item)
    with pytest.raises(ValueError, match="'link'.*link"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK])
def test_links_and_devices_in_a_zip_are_refused(kind, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        item = zipfile.ZipInfo("link")
        item.create_system, item.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(item, "/etc/passwd")
    with pytest.raises(ValueError, match="'link'.*link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_what_is_no_archive_or_is_damaged_is_named(tmp_path):
    (tmp_path / "page.zip").write_text("<html>not found</html>")
    with pytest.raises(ValueError, match=r"page\.zip"):
        unpack(tmp_path / "page.zip", tmp_path / "out")
    make_tar(tmp_path / "cut.tar.gz", {"x": bytes(range(256)) * 1000})
    whole = (tmp_path / "cut.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.tar\.gz"):
        unpack(tmp_path / "cut.tar.gz", tmp_path / "out")
    for place in range(0, len(whole), 97):  # a spoilt byte is found, or did not matter
        (tmp_path / "cut.tar.gz").write_bytes(whole[:place] + b"!" + whole[place + 1 :])
        try:
            unpack(tmp_path / "cut.tar.gz", tmp_path / f"out{place}")
        except ValueError as error:
            assert "cut.tar.gz' " in str(error) and "\n" not in str(error)
    make_zip(tmp_path / "bad.zip", {"x": b"sound" * 100})
    spoilt = (tmp_path / "bad.zip").read_bytes().replace(b"soundsound", b"sounDsound", 1)
    (tmp_path / "bad.zip").write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"bad\.zip.*CRC"):
        unpack(tmp_path / "bad.zip", tmp_path / "out")
    with pytest.raises(FileNotFoundError, match=r"nothing\.zip"):
        unpack(tmp_path / "nothing.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- all or nothing ------------------------------------------------------------------------------


def test_what_is_there_already_is_not_touched(tmp_path):
    make_zip(tmp_path / "a.zip", {"a": b"new"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"mine")
    with pytest.raises(ValueError, match="already"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == b"mine"


@pytest.mark.parametrize("second", ["hostile", "damaged", "missing"])
def test_one_bad_archive_undoes_all(second, tmp_path):
    make_zip(tmp_path / "a.zip", {"a": b"a"})
    if second == "hostile":
        make_zip(tmp_path / "b.zip", {"../b": b"b"})
    if second == "damaged":
        make_zip(tmp_path / "b.zip", {"first": b"fine", "b": b"sound" * 100})
        spoilt = (tmp_path / "b.zip").read_bytes().replace(b"soundsound", b"sounDsound", 1)
        (tmp_path / "b.zip").write_bytes(spoilt)
    with pytest.raises((ValueError, FileNotFoundError)):
        unpack([tmp_path / "a.zip", tmp_path / "b.zip"], tmp_path / "out")
    assert {path.suffix for path in tmp_path.iterdir()} == {".zip"}


def test_the_folder_appears_only_when_its_contents_were_approved(tmp_path):
    make_zip(tmp_path / "a.zip", {"a": b"a"})
    seen = []

    def check(folder):
        seen.append((everything_below(folder), (tmp_path / "out").exists()))
        if len(seen) == 1:
            raise ValueError("not this")

    with pytest.raises(ValueError, match="not this"):
        unpack(tmp_path / "a.zip", tmp_path / "out", check=check)
    assert set(everything_below(tmp_path)) == {"a.zip"}
    unpack(tmp_path / "a.zip", tmp_path / "out", check=check)
    assert seen == [({"a": b"a"}, False)] * 2 and (tmp_path / "out" / "a").is_file()


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    make_zip(tmp_path / "a.zip", {"a": b"a"})
    (tmp_path / "out.unpacking").mkdir()
    (tmp_path / "out.unpacking" / "half").write_bytes(b"half")
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert set(everything_below(tmp_path)) == {"a.zip", "out", "out/a"}


# --- bombs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_more_bytes_than_the_limit_are_never_written(name, tmp_path):
    MAKERS[name](tmp_path / name, {"small": b"x" * 10, "big": bytes(1_000_000)})
    with pytest.raises(ValueError, match="1000009 bytes"):
        unpack(tmp_path / name, tmp_path / "out", limit=1_000_009)
    assert set(everything_below(tmp_path)) == {name}
    unpack(tmp_path / name, tmp_path / "out", limit=1_000_010)


def test_the_limit_holds_for_all_archives_together(tmp_path):
    make_zip(tmp_path / "a.zip", {"a": b"x" * 600})
    make_zip(tmp_path / "b.zip", {"b": b"x" * 600})
    with pytest.raises(ValueError, match=r"b\.zip.*disk"):
        unpack([tmp_path / "a.zip", tmp_path / "b.zip"], tmp_path / "out", limit=1000)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize("names", [("x", "x/y"), ("x/y", "x")])
def test_names_that_clash_are_damage(name, names, tmp_path):
    MAKERS[name](tmp_path / name, dict.fromkeys(names, b"sound"))
    with pytest.raises(ValueError, match="download it again"):
        unpack(tmp_path / name, tmp_path / "out")
    assert set(everything_below(tmp_path)) == {name}


def test_a_name_with_a_null_byte_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        item = tarfile.TarInfo("short")
        item.pax_headers = {"path": "x\0y"}
        archive.addfile(item)
    with pytest.raises(ValueError, match="do not unpack it"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_zip_that_holds_more_than_it_announces_is_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1_000_000))
    lying = (tmp_path / "a.zip").read_bytes()
    size = (1_000_000).to_bytes(4, "little")
    assert lying.count(size) == 2  # beside the file, and in the list at the end
    (tmp_path / "a.zip").write_bytes(lying.replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(ValueError, match=r"a\.zip.*CRC"):
        unpack(tmp_path / "a.zip", tmp_path / "out", limit=1000)
    assert set(everything_below(tmp_path)) == {"a.zip"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_more_files_than_any_set_has_are_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(unpacking, "_MAX_FILES", 20)
    for count in (20, 21):
        archive = tmp_path / f"{count}.{kind}"
        names = [f"{number}.txt" for number in range(count)]
        if kind == "zip":
            with zipfile.ZipFile(archive, "w") as file:
                for name in names:
                    file.writestr(name, b"")
        else:
            with tarfile.open(archive, "w") as file:
                for name in names:
                    file.addfile(tarfile.TarInfo(name))
    unpack(tmp_path / f"20.{kind}", tmp_path / "out")
    with pytest.raises(ValueError, match="at most 20 files"):
        unpack(tmp_path / f"21.{kind}", tmp_path / "more")
    assert not (tmp_path / "more").exists() and len(list((tmp_path / "out").iterdir())) == 20
