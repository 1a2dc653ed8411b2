"""A file as bytes to look at, and the parts of it that a decoder is given."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_BLOCK = 2**20  # bytes that are read at once
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")  # titles, lyrics and pictures in front or behind


@dataclass(frozen=True)
class Part:
    """A stretch of a file that is a recording by itself.

    Attributes:
        start: Its first byte.
        stop: The byte behind its last one.
        prefix: Bytes that the decoder sees in front of it.
        patches: Bytes that the decoder sees instead of others: place in the file, new bytes.
        open_ended: Whether it does not tell its length, so that it must be counted.
    """

    start: int
    stop: int
    prefix: bytes = b""
    patches: tuple[tuple[int, bytes], ...] = ()
    open_ended: bool = False


@dataclass(frozen=True)
class Survey:
    """What a container promises, held against its file.

    Attributes:
        container: Its name, or "" if it is not one of those that are known here.
        parts: What to decode, one after the other.
        notes: What differed and was put right, each a clause for the reader.
        chunks: Of WAV and FLAC files, everything but the sound, each with its name: title, time
            code, cue points, picture.
        left_behind: What else it holds that is not in `chunks`, such as a picture.
    """

    container: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    chunks: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    left_behind: tuple[str, ...] = ()


class CutShort(ValueError):
    """Less is there than the container promises; its text is a clause."""


class Source:
    """The bytes of a file, read in blocks as they are asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file = file
        self._block = b""
        self._block_start = 0

    def read(self, start: int, length: int) -> bytes:
        """Give the bytes from `start` on, fewer at the end of the file."""
        begin = start - self._block_start
        if not 0 <= begin <= begin + length <= len(self._block):
            self._file.seek(start)
            self._block = self._file.read(max(length, _BLOCK))
            self._block_start = start
            begin = 0
        return self._block[begin : begin + length]

    def find(self, pattern: bytes, start: int) -> int:
        """Give the place of the next `pattern` from `start` on, or -1."""
        while start < self.size:
            self.read(start, len(pattern))  # brings the block that holds it, if it is not here
            found = self._block.find(pattern, start - self._block_start)
            if found >= 0:
                return self._block_start + found
            start = max(start + 1, self._block_start + len(self._block) - len(pattern) + 1)
        return -1

    def number(self, start: int, length: int, order: str = "big") -> int:
        """Read an unsigned whole number; 0 behind the end of the file."""
        return int.from_bytes(self.read(start, length), order)  # type: ignore[arg-type]

    def is_zero(self, start: int) -> bool:
        """Tell whether only zeros follow from `start` on."""
        while start < self.size:
            block = self.read(start, _BLOCK)
            if block.count(0) < len(block):
                return False
            start += len(block)
        return True


def skip_tag(source: Source, start: int) -> int:
    """Give the place behind an ID3, APE or lyrics tag.

    Args:
        source: The file.
        start: Where a tag may begin.

    Returns:
        The place of the first byte behind it; `start` itself if there is none.
    """
    head = source.read(start, 32)
    if head[:3] == b"ID3" and len(head) > 10:
        length = 0
        for byte in head[6:10]:  # seven bits in each byte
            length = length << 7 | byte & 0x7F
        return start + 10 + length + (10 if head[5] & 0x10 else 0)
    if head[:3] == b"TAG" and source.size - start == 128:
        return start + 128
    if head[:8] == b"APETAGEX":
        has_footer = int.from_bytes(head[20:24], "little") & 0x20000000
        return start + int.from_bytes(head[12:16], "little") + (32 if has_footer else 0)
    if head[:8] == b"LYRICSBE":
        end = source.find(b"LYRICS200", start)
        return end + 9 if end >= 0 else start
    return start


def is_slack(source: Source, start: int) -> bool:
    """Tell whether what follows is no sound.

    Args:
        source: The file.
        start: From where on.

    Returns:
        True for nothing, zeros and tags.
    """
    return source.read(start, 8).startswith(_TAGS) or source.is_zero(start)


class PartFile:
    """A part as a file of its own, with a prefix and patches, for decoders that take one."""

    def __init__(self, path: Path, part: Part) -> None:
        self._file = path.open("rb")
        self._part = part
        self._size = len(part.prefix) + part.stop - part.start
        self._place = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Give the place."""
        return self._place

    def read(self, length: int = -1) -> bytes:
        """Read from the place on."""
        left = max(0, self._size - self._place)
        length = left if length < 0 else min(length, left)
        prefix = self._part.prefix[self._place : self._place + length]
        start = self._part.start + max(0, self._place - len(self._part.prefix))
        self._file.seek(start)
        content = bytearray(self._file.read(length - len(prefix)))
        for place, new in self._part.patches:
            for offset, byte in enumerate(new, place - start):
                if 0 <= offset < len(content):
                    content[offset] = byte
        self._place += len(prefix) + len(content)
        return prefix + bytes(content)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def printable(name: bytes) -> bool:
    """Tell whether bytes can be the name of a chunk.

    Args:
        name: Four bytes.

    Returns:
        True if all are letters, digits, signs or spaces.
    """
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)
