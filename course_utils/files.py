"""Files in general: which names mean sound, and how to write one whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus"),
    *(".aif", ".aiff", ".au", ".caf", ".w64"),
)
"""Names of files that are taken for sound in a folder; soundfile reads some rarer ones too."""

WRITABLE_SUFFIXES = (".wav", ".flac")
"""What the course writes."""


@contextmanager
def written_whole(path: str | os.PathLike, *, replace: bool = True) -> Iterator[Path]:
    """Write a file whole or not at all: to a hidden name first, which then takes its place.

    Leave the block with an error, and what was at ``path`` before is still there, and nothing
    half-written beside it.

    Args:
        path: The file to write, in a folder that exists.
        replace: Whether an older file there is replaced; otherwise it stays as it is.

    Yields:
        The hidden name beside it, to write to.

    Notebook: 05
    """
    target = Path(path)
    temporary = target.with_name(f".{uuid.uuid4().hex}.tmp{target.suffix}")
    try:
        yield temporary
        if replace or not target.exists():
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
