"""Bring a set of the catalogue to the disk: room first, then download, checksum, unpacking."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from course_utils.public_sets.catalogue import Archive, PublicSet
from course_utils.public_sets.download import download, file_checksum
from course_utils.public_sets.unpacking import unpack
from course_utils.targets import reserved, write_whole
from course_utils.validate import existing_file

DOWNLOADS = "downloads"  # beside the sets: archives on their way, removed with the last one
SUMS = "SHA256SUMS"  # beside the sets: the checksums that nobody published, as first met


def fetch(
    chosen: PublicSet,
    root: str | os.PathLike,
    *,
    archives: Iterable[str | os.PathLike] = (),
    say: Callable[[str], None] = print,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetch a set and unpack it, unless it is there already.

    The set's folder appears when all of it is there, never before. Call again after a break: a
    download goes on where it stopped. The downloaded archives are removed at the end; those you
    brought yourself stay.

    Args:
        chosen: A set out of ``CATALOGUE``.
        root: The folder of all sets; the set goes to a folder of its own name in it.
        archives: Files that you have already, to be taken instead of a download. Where the set
            has several archives, they are told apart by their file names.
        say: Called with a line of text before each step.
        progress: Called as ``progress(done, total)`` with bytes during each download.

    Returns:
        The set's folder.

    Raises:
        ValueError: If there is no room, or a file is not what the catalogue says.
        FileNotFoundError: If an archive of yours is not there.
        ConnectionError: If a download breaks off or its address is gone.
        FileExistsError: If another program is fetching it.
        OSError: If the disk is full.

    Notebook: 05
    """
    root = Path(root)
    folder = root / chosen.name
    if folder.is_dir():
        return folder
    own = _match(chosen, archives)
    with reserved(folder):
        return _fetch(chosen, root, own, say, progress)


def _fetch(
    chosen: PublicSet,
    root: Path,
    own: dict[str, Path],
    say: Callable[[str], None],
    progress: Callable[[int, int], None] | None,
) -> Path:
    """Fetch a set and unpack it; nobody else is at it."""
    folder = root / chosen.name
    if folder.is_dir():  # the program before us has fetched it
        return folder
    wanted = {
        archive: root / DOWNLOADS / archive.file
        for archive in chosen.archives
        if archive.file not in own
    }
    _check_room(root, wanted, chosen.unpacked)
    try:
        for archive, path in wanted.items():
            say(f"fetching {archive.file} ({archive.size / 1e6:,.0f} MB)")
            checksum = archive.md5 or _recorded(root).get(archive.file)
            _download(archive, path, checksum, chosen.page, progress)
        say(f"unpacking into {folder}")
        files = [own.get(archive.file) or wanted[archive] for archive in chosen.archives]
        try:
            unpack(files, folder, limit=3 * chosen.unpacked // 2, check=chosen.count)
        except ValueError:
            for archive, path in wanted.items():
                if archive.md5 is None:  # only its contents could show that it is damaged
                    path.unlink()
            raise
        for archive, path in wanted.items():
            if archive.md5 is None:
                say(_record(root, path))
            path.unlink()
    finally:
        with suppress(OSError):  # not empty: a download waits there to go on
            (root / DOWNLOADS).rmdir()
    return folder


def free_space(folder: str | os.PathLike) -> int:
    """Tell how much room there is.

    Args:
        folder: A folder, which need not be there yet.

    Returns:
        Free bytes on its disk.

    Notebook: 05
    """
    place = Path(folder).resolve()
    while not place.is_dir():
        place = place.parent
    return shutil.disk_usage(place).free


def _match(chosen: PublicSet, archives: Iterable[str | os.PathLike]) -> dict[str, Path]:
    """Say which archive of the set each file is; refuse one that is missing or damaged."""
    known = {archive.file: archive for archive in chosen.archives}
    own = {}
    for path in map(Path, archives):
        name = path.name if len(known) > 1 else chosen.archives[0].file
        if name not in known:
            raise ValueError(
                f"archive must be one of {', '.join(known)}, got {path.name!r}; give it the name "
                f"that it has on {chosen.page}."
            )
        existing_file(path, "archive")
        expected = known[name].md5
        if expected and file_checksum(path, "md5") != expected:
            raise ValueError(
                f"archive must have the MD5 sum {expected} of {name}, got {str(path)!r} with "
                f"another; fetch it again from {chosen.page}."
            )
        own[name] = path
    return own


def _check_room(root: Path, wanted: dict[Archive, Path], unpacked: int) -> None:
    """Refuse to begin what would fill the disk."""
    need = unpacked
    for archive, path in wanted.items():
        here = [p for p in (path, path.with_name(path.name + ".part")) if p.is_file()]
        need += max(0, archive.size - sum(p.stat().st_size for p in here))
    free = free_space(root)
    if need > free:
        raise ValueError(
            f"folder must have room for {need / 1e9:.1f} GB, got {str(root)!r} on a disk with "
            f"{free / 1e9:.1f} GB free; make room or choose another folder."
        )


def _download(
    archive: Archive,
    path: Path,
    checksum: str | None,
    page: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Fetch one archive; where its place is gone, say where to look."""
    try:
        download(archive.url, path, size=archive.size, checksum=checksum, progress=progress)
    except ConnectionError as error:
        raise ConnectionError(
            f"{str(error).rstrip('.')}; the set's page is {page}, and an archive that you have "
            f"already is taken with --archive."
        ) from error


def _recorded(root: Path) -> dict[str, str]:
    """The checksums of earlier downloads, by file name."""
    file = root / SUMS
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}


def _record(root: Path, path: Path) -> str:
    """Note the checksum of a file for the next time, and say so."""
    sums = _recorded(root)
    sums[path.name] = file_checksum(path)
    write_whole(root / SUMS, "".join(f"{s}  {name}\n" for name, s in sums.items()))
    return (
        f"{path.name} has no published checksum; its SHA-256 is {sums[path.name]}, noted in "
        f"{root / SUMS} for the next time"
    )
