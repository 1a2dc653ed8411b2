"""Files in general: which names mean sound, what lies in a folder, and how to write one whole."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DECODED_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".aif", ".aiff", ".au", ".caf", ".w64"),
)
"""Names of sound that is read with nothing else installed; soundfile reads some rarer ones too."""

FFMPEG_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".amr", ".awb", ".wma", ".mka", ".weba"),
    *(".ac3", ".spx", ".wv", ".ape"),
)
"""Names of sound that needs FFmpeg."""

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".3gp", ".avi")
"""Names of video, and of voice messages that look like one; their sound needs FFmpeg."""

AUDIO_SUFFIXES = DECODED_SUFFIXES + FFMPEG_SUFFIXES
"""Names of files that are taken for sound in a folder."""

WRITABLE_SUFFIXES = (".wav", ".flac")
"""What the course writes."""

VIDEO_TARGETS = (".mp4", ".m4v", ".mov", ".mkv", ".webm")
"""Videos that get another sound."""

_TEMPORARY = re.compile(r"\.[0-9a-f]{32}-(\d+)\.tmp(\.\w+)*")
_STALE_SECONDS = 600  # nothing writes to a file that long and then goes on, but a stopped program
_FORGOTTEN_SECONDS = 86_400  # of another machine nobody here knows which programs run
_swept: set[str] = set()


def folder_sounds(
    folder: str | os.PathLike, *, suffixes: tuple[str, ...] = AUDIO_SUFFIXES, deep: bool = False
) -> tuple[list[Path], dict[Path, str]]:
    """List the sound files of a folder, and say of everything else why it is left out.

    Links are followed; a folder that was seen already, as in a loop of links, is not seen again.
    Hidden files are left out: macOS puts a file ``._name`` beside each name in an archive.

    Args:
        folder: Where to look.
        suffixes: Endings that count as sound, in small letters.
        deep: Look into subfolders too.

    Returns:
        The files, sorted by path, and what is left out, each with the reason.

    Notebook: 05
    """
    root = Path(folder)
    files: list[Path] = []
    left_out: dict[Path, str] = {}
    seen = {_identity(root)}
    waiting = [root]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.name.startswith("."):
                left_out[path] = "hidden"
            elif path.is_dir():
                if not deep:
                    left_out[path] = "a folder"
                elif _identity(path) in seen:
                    left_out[path] = "a link to a folder that is listed already"
                else:
                    seen.add(_identity(path))
                    waiting.append(path)
            elif not path.exists():
                left_out[path] = "a link to nothing"
            elif not path.is_file():
                left_out[path] = "no regular file"
            elif path.suffix.lower() not in suffixes:
                left_out[path] = "not known as sound by its name"
            else:
                files.append(path)
    return sorted(files), dict(sorted(left_out.items()))


@contextmanager
def written_whole(
    path: str | os.PathLike, *, replace: bool = True, exclusive: bool = False
) -> Iterator[Path]:
    """Write a file whole or not at all: to a hidden name first, which then takes its place.

    Leave the block with an error, and what was at ``path`` before is still there, and nothing
    half-written beside it. The content is on the disk before the name changes, so a power cut
    leaves the old file or the new one. A replaced file keeps its permissions, and a link goes on
    leading to the file that is replaced. What a killed program left is swept away.

    Args:
        path: The file to write, in a folder that exists.
        replace: Whether an older file there is replaced; otherwise it stays as it is.
        exclusive: Whether a file there, even one that appeared in the meantime, is an error.

    Yields:
        The hidden name beside it, to write to.

    Raises:
        FileExistsError: `exclusive`, and there is a file of that name.

    Notebook: 05
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{uuid.uuid4().hex}-{os.getpid()}.tmp{target.suffix}")
    _sweep(target.parent)
    try:
        yield temporary
        _flush(temporary)
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        if replace and not exclusive:
            os.replace(temporary, target)
        else:
            _take_free_name(temporary, target, keep_quiet=not exclusive)
        _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _take_free_name(temporary: Path, target: Path, *, keep_quiet: bool) -> None:
    """Give a file a name that nobody has, also when two programs want it at one moment."""
    try:
        try:
            os.link(temporary, target)  # unlike a rename, this fails where a file is
        except FileExistsError:
            raise
        except OSError:  # a file system without links, such as that of a memory stick
            os.close(os.open(target, os.O_CREAT | os.O_EXCL))
            os.replace(temporary, target)
    except FileExistsError as error:
        if keep_quiet:
            return
        raise FileExistsError(
            errno.EEXIST,
            f"path must be a free name, got one that another program has just taken; choose "
            f"another than {str(target)!r}",
        ) from error


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows does this by itself
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError as error:  # some network folders cannot say
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove hidden files of ours whose program was killed; once for each folder and program."""
    if str(folder) in _swept:
        return
    _swept.add(str(folder))
    with suppress(OSError):
        for entry in os.scandir(folder):
            match = _TEMPORARY.fullmatch(entry.name)
            if match and _is_stale(entry, int(match.group(1))):
                with suppress(OSError):
                    os.unlink(entry)


def _is_stale(entry: os.DirEntry, process: int) -> bool:
    """Tell whether nobody is going to finish a hidden file, by its owner, program and age."""
    with suppress(OSError):
        found = entry.stat(follow_symlinks=False)
        ours = os.name == "nt" or found.st_uid == os.getuid()
        age = time.time() - found.st_mtime
        limit = _FORGOTTEN_SECONDS if _is_running(process) else _STALE_SECONDS
        return ours and age > limit
    return False


def _is_running(process: int) -> bool:
    """Tell whether a program of this machine is still there."""
    if os.name == "nt":
        return True  # there, asking a program whether it lives ends it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def _identity(path: Path) -> tuple[int, int]:
    """Name a file or folder by what it is, whatever links lead to it."""
    found = path.stat()
    return found.st_dev, found.st_ino
