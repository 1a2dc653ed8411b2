"""Archives from strangers, unpacked safely: all or nothing, and nowhere but in one folder."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from course_utils.targets import named
from course_utils.validate import existing_file

_BLOCK = 1 << 18
_MAX_FILES = 200_000  # seven times as many as the largest set of the catalogue has
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError),
    RuntimeError,  # encrypted, or an unknown compression
)
_CLASH = (FileExistsError, IsADirectoryError, NotADirectoryError)  # of two names in one archive

Reader = Callable[[], IO[bytes]] | None
"""Opens a member of an archive; None for what is neither a file nor a folder."""


def unpack(
    archives: str | os.PathLike | Sequence[str | os.PathLike],
    folder: str | os.PathLike,
    *,
    limit: int | None = None,
    check: Callable[[Path], object] | None = None,
) -> Path:
    """Unpack archives (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz) into a new folder, all or nothing.

    Every name is looked at before anything is written: an archive from a stranger may try to
    write outside the folder, with ``..``, an absolute path or a link, or to fill the disk. The
    files go to ``folder`` with ``.unpacking`` added, which gets its name once all are there.

    Args:
        archives: One archive, or several that share the folder.
        folder: The folder to make; it must not be there yet.
        limit: How many bytes the files may have in all; None for no limit. There may be 200,000
            files and folders at most: empty ones, too, can fill a disk.
        check: Called with the unpacked folder before it gets its name; what it raises undoes
            the unpacking.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If an archive is not there.
        ValueError: If one is no archive, is damaged, would write outside the folder or more than
            the limit, or if the folder exists.

    Notebook: 05
    """
    if isinstance(archives, str | os.PathLike):
        archives = [archives]
    paths = [existing_file(archive, "archive") for archive in archives]
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"folder must be new, got {str(folder)!r}; remove it or choose another.")
    announced, n_files = 0, 0
    for archive in paths:
        size, count = _look_over(
            archive, None if limit is None else limit - announced, _MAX_FILES - n_files
        )
        announced, n_files = announced + size, n_files + count
    staging = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(staging, ignore_errors=True)  # left by a run that was killed
    try:
        staging.mkdir(parents=True)
        for archive in paths:
            _write(archive, staging)
        if check:
            check(staging)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _look_over(archive: Path, limit: int | None, max_files: int) -> tuple[int, int]:
    """Refuse what is dangerous; return how many bytes and files there will be."""
    total, count = 0, 0
    with _opened(archive) as members:
        for count, (name, size, reader) in enumerate(members, start=1):
            if count > max_files:
                raise ValueError(
                    f"archive must hold at most {_MAX_FILES} files, got more in {archive.name!r}, "
                    "which would fill the disk; do not unpack it."
                )
            if reader is None or not _stays_inside(name):
                raise ValueError(
                    f"archive must hold files that stay inside the folder, got {name!r} in "
                    f"{archive.name!r}, a link or a path out of the folder; do not unpack it."
                )
            total += size
            if limit is not None and total > limit:
                raise ValueError(
                    f"archive must hold at most {limit} bytes, got more in {archive.name!r}, "
                    "which would fill the disk; do not unpack it."
                )
    return total, count


def _write(archive: Path, folder: Path) -> None:
    with _opened(archive) as members:
        for name, _, reader in members:
            target = folder / name
            if name.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            assert reader is not None  # _look_over has seen to it
            with reader() as source, open(target, "wb") as sink:
                while block := source.read(_BLOCK):
                    with named(target):
                        sink.write(block)
                        sink.flush()


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[tuple[str, int, Reader]]]:
    """The members as (name, size, reader), one after the other; damage is said in words."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                yield (
                    (item.filename, item.file_size, _zip_reader(file, item))
                    for item in file.infolist()
                )
        else:
            with tarfile.open(archive) as file:
                yield (
                    (item.name + "/" * item.isdir(), item.size, _tar_reader(file, item))
                    for item in file
                )
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, _CLASH):
            raise  # a full disk, a forbidden folder: the system says it best
        reason = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
        raise ValueError(
            f"archive {archive.name!r} cannot be unpacked ({reason}); download it again."
        ) from error


def _zip_reader(file: zipfile.ZipFile, item: zipfile.ZipInfo) -> Reader:
    kind = stat.S_IFMT(item.external_attr >> 16)  # where Unix keeps the file's type, or 0
    return (lambda: file.open(item)) if kind in (0, stat.S_IFREG, stat.S_IFDIR) else None


def _tar_reader(file: tarfile.TarFile, item: tarfile.TarInfo) -> Reader:
    if not (item.isfile() or item.isdir()):
        return None

    def read() -> IO[bytes]:
        content = file.extractfile(item)
        assert content is not None  # None is for folders, which are not read
        return content

    return read


def _stays_inside(name: str) -> bool:
    """Whether a member's name leads nowhere but below the folder, on any system."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts:
            return False
    return "\0" not in name
