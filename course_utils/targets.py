"""The file that a long run is going to write: kept for one program, and written with all at once.

`reserved` stands before the work: a place that cannot be written to, or that another program is
about to fill, is noticed then. `write_whole` stands behind it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from course_utils.files import written_whole

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_held: set[Path] = set()


@contextmanager
def reserved(path: str | os.PathLike) -> Iterator[None]:
    """Keep a file name for this program as long as the block lasts; its folder is made.

    A hidden file ``.NAME.lock`` beside it is locked. The lock ends with the program, however that
    ends, so a file that a killed program left is taken over. Within one program the same name can
    be kept several times, by a command and by the function that it calls.

    Args:
        path: The file, or folder, that is going to be written.

    Yields:
        Nothing, while the name is kept.

    Raises:
        OSError: If nothing can be written there.
        FileExistsError: If another program is about to write it.

    Notebook: 05
    """
    target = Path(os.path.realpath(path))
    if target in _held:
        yield
        return
    lock = target.with_name(f".{target.name}.lock")
    with named(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = _locked(lock)
    if handle is None:
        raise FileExistsError(
            f"path must be written by one program at a time, got {str(path)!r}, which another one "
            "is about to write; wait for it, or choose another name."
        )
    _held.add(target)
    try:
        yield
    finally:
        _held.discard(target)
        if sys.platform != "win32":  # there, only a closed file can be removed
            lock.unlink(missing_ok=True)
        handle.close()
        with suppress(OSError):
            if sys.platform == "win32":
                lock.unlink()


def write_whole(path: str | os.PathLike, content: bytes | str) -> None:
    """Write a file whole or not at all; an error names it.

    What is made in memory first can end in no library's own idea of a full disk: some say nothing,
    some end the whole program.

    Args:
        path: The file, in a folder that exists; one that is there is replaced.
        content: All of it; text is written as UTF-8, line ends as they are.

    Raises:
        OSError: If it cannot be written: a full disk, a forbidden folder.

    Notebook: 05
    """
    data = content.encode() if isinstance(content, str) else content
    with named(path), written_whole(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Say which file could not be written: for a full disk, the system names none.

    Args:
        path: The file that is written in the block.

    Yields:
        Nothing, while the file is written.

    Raises:
        OSError: In place of the system's, in a sentence.

    Notebook: 05
    """
    try:
        yield
    except OSError as error:
        sentence = OSError(
            f"path must be a file that can be written, got {str(path)!r} "
            f"({error.strerror or error}); check the folder, its permissions and the free space."
        )
        sentence.errno = error.errno
        raise sentence from error


def _locked(lock: Path) -> IO[bytes] | None:
    """Open and lock a file; None if another program has locked it."""
    while True:
        handle = lock.open("ab")
        try:
            if sys.platform == "win32":
                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:  # unlike flock's, this lock does not live on in a worker that outlives us
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            handle.close()
            return None
        except OSError:
            pass  # a file system without locks: at least it can be written to
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), lock.stat()):
                return handle
        handle.close()  # its last owner has just removed it
