"""Fetch a public set: downloads that go on where they stopped, archives unpacked safely."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

_BLOCK = 1 << 18
_TIMEOUT = 30.0  # seconds without a single byte
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError)
_DAMAGED += (EOFError, OSError, RuntimeError)  # RuntimeError: encrypted, or an unknown compression
_NOTHING_LEFT = 416  # HTTP: the range asked for begins behind the end


def download(
    url: str,
    path: str | os.PathLike,
    *,
    sha256: str,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Fetch a file, unless it is there already.

    The bytes go to ``path`` with ``.part`` added, so that a download that broke off goes on
    where it stopped when called again; the file gets its name only once its checksum is right.

    Args:
        url: Address, beginning with ``http://`` or ``https://``.
        path: The file to write; its folder is made.
        sha256: The checksum that the file must have, 64 hexadecimal digits.
        progress: Called as ``progress(done, total)`` with bytes; ``total`` is None where the
            server does not say.

    Returns:
        The path of the file.

    Raises:
        ValueError: If ``url`` or ``sha256`` is malformed, or the file has another checksum.
        ConnectionError: If the server cannot be reached or stops early.

    Source:
        RFC 9110, section 14 (range requests).

    Notebook: 05
    """
    if not re.match(r"https?://", str(url)):
        raise ValueError(f"url must begin with http:// or https://, got {url!r}; correct it.")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", str(sha256)):
        raise ValueError(f"sha256 must have 64 hexadecimal digits, got {sha256!r}; copy it anew.")
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"path {str(path)!r} is a folder; add the name of the file.")
    if path.is_file():
        if _checksum(path) == sha256.lower():
            return path
        raise ValueError(f"path {str(path)!r} holds another file; remove it or choose a new name.")
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    _fetch(url, part, progress)
    found = _checksum(part)
    if found != sha256.lower():
        part.unlink()
        raise ValueError(
            f"sha256 of {url} must be {sha256.lower()[:12]}..., got {found[:12]}...; nothing was "
            f"kept: try again, and if it stays so, look for a newer checksum."
        )
    os.replace(part, path)
    return path


def _fetch(url: str, part: Path, progress: Callable[[int, int | None], None] | None) -> None:
    """Write the rest of `url` to `part`."""
    done = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "noise-cancellation-course", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as answer:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
                done = 0  # the server sends the file from its beginning
            length = answer.headers.get("Content-Length")
            total = done + int(length) if length else None
            with open(part, "ab" if done else "wb") as target:
                while block := answer.read(_BLOCK):
                    target.write(block)
                    done += len(block)
                    if progress:
                        progress(done, total)
    except HTTPError as error:
        if error.code == _NOTHING_LEFT:
            return  # every byte is here already; the checksum decides
        raise ConnectionError(f"url {url} was answered with {error}; check the address.") from error
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"url {url} could not be read ({error}); call again to go on after {done} bytes."
        ) from error
    if total is not None and done < total:
        raise ConnectionError(
            f"url {url} stopped after {done} of {total} bytes; call again to go on from there."
        )


def _checksum(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def unpack(archive: str | os.PathLike, folder: str | os.PathLike) -> Path:
    """Unpack a .zip or .tar archive (also .tar.gz, .tar.bz2, .tar.xz) into a folder.

    Every name is looked at before anything is written: an archive from a stranger may try to
    write outside the folder, with ``..``, an absolute path or a link.

    Args:
        archive: The archive.
        folder: Where to unpack; made if need be, files of the same name are replaced.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: If there is no archive.
        ValueError: If it is no archive, is damaged, or would write outside the folder.

    Notebook: 05
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise FileNotFoundError(f"archive {str(archive)!r} is not there; download it first.")
    try:
        with _opened(archive) as members:
            for name, reader in members:
                if reader is None or not _stays_inside(name):
                    raise ValueError(
                        f"archive {archive.name!r} holds {name!r}, which is a link or leads out of "
                        f"the folder; do not unpack it."
                    )
            for name, reader in members:
                target = folder / name
                if name.endswith("/"):
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with reader() as source, open(target, "wb") as sink:
                    shutil.copyfileobj(source, sink, _BLOCK)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # a full disk, a forbidden folder: the system says it best
        reason = str(error).splitlines()[0].rstrip(":") if str(error) else type(error).__name__
        raise ValueError(
            f"archive {archive.name!r} cannot be unpacked ({reason}); download it again."
        ) from error
    return folder


@contextmanager
def _opened(archive: Path) -> Iterator[list[tuple[str, Callable[[], BinaryIO] | None]]]:
    """The members as (name, how to open it); None for what is neither a file nor a folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [(item.filename, _zip_reader(file, item)) for item in file.infolist()]
    else:
        with tarfile.open(archive) as file:
            yield [(item.name + "/" * item.isdir(), _tar_reader(file, item)) for item in file]


def _zip_reader(file: zipfile.ZipFile, item: zipfile.ZipInfo) -> Callable[[], BinaryIO] | None:
    link = stat.S_ISLNK(item.external_attr >> 16)  # where Unix keeps the file's type
    return None if link else lambda: file.open(item)


def _tar_reader(file: tarfile.TarFile, item: tarfile.TarInfo) -> Callable[[], BinaryIO] | None:
    return (lambda: file.extractfile(item)) if item.isfile() or item.isdir() else None


def _stays_inside(name: str) -> bool:
    """Whether a member's name leads nowhere but below the folder, on any system."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts:
            return False
    return True
