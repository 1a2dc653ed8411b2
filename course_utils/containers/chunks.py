"""Containers made of chunks, each with its name and length: WAV, RF64, Wave64, AIFF, CAF, and AU.

Sources: RIFF (Microsoft, 1991), RF64 (EBU Tech 3306), Wave64 (Sonic Foundry), AIFF-C (Apple, 1991),
CAF (Apple), AU (Sun), NIST SPHERE.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from course_utils.containers.parts import CutShort, Part, Source, Survey, is_slack, printable

_SLACK_SECONDS = 0.1  # so little behind the promised sound is nobody's recording
_OPEN_32 = 0x7FFF0000  # who writes to a pipe cannot know the length, and writes a huge one
# Chunks about the samples themselves, which are no longer true of others.
_ABOUT_SAMPLES = (b"fmt ", b"data", b"fact", b"ds64", b"PEAK", b"levl", b"JUNK", b"junk", b"PAD ")
_MPEG = (0x50, 0x55)  # codings that only guess at their length
_EXTENDED = 0xFFFE  # a format that says which channel is which loudspeaker
_NO_SOUND = (
    b"LIST",
    b"bext",
    b"iXML",
    b"axml",
    b"cue ",
    b"smpl",
    b"inst",
    b"id3 ",
    b"ID3 ",
    b"_PMX",
)


@dataclass(frozen=True)
class _Grammar:
    """How a container writes its chunks."""

    container: str
    order: str  # of the bytes of a number
    first: int  # where the first chunk stands
    name_length: int = 4
    size_length: int = 4
    size_counts_header: bool = False
    align: int = 2
    sound: tuple[bytes, ...] = (b"data",)
    before_samples: int = 0  # bytes of the sound's chunk in front of its samples

    @property
    def header(self) -> int:
        """Bytes of a chunk's name and length."""
        return self.name_length + self.size_length

    @property
    def unknown(self) -> int:
        """The largest length that can be written: nobody means it."""
        return 256**self.size_length - 1


@dataclass(frozen=True)
class _Chunk:
    name: bytes
    place: int
    body: int
    length: int


_GRAMMARS = {
    b"RIFF": _Grammar("WAV", "little", 12),
    b"RF64": _Grammar("RF64", "little", 12),
    b"BW64": _Grammar("RF64", "little", 12),
    b"RIFX": _Grammar("WAV", "big", 12),
    b"FORM": _Grammar("AIFF", "big", 12, sound=(b"SSND",), before_samples=8),
    b"riff": _Grammar("W64", "little", 40, 16, 8, size_counts_header=True, align=8),
    b"caff": _Grammar("CAF", "big", 8, 4, 8, align=1, before_samples=4),
}


def chunk_survey(source: Source) -> Survey | None:
    """Survey a file of chunks.

    Args:
        source: The file.

    Returns:
        What it holds, or None if it is none of these containers.

    Raises:
        CutShort: The file ends before its sound does.
    """
    parts: list[Part] = []
    notes: list[str] = []
    chunks: list[tuple[bytes, bytes]] = []
    container = ""
    start = 0
    while start < source.size and (grammar := _grammar_at(source, start)):
        container = grammar.container
        part, note, start = _part(source, start, grammar)
        parts.append(part)
        notes += [note] if note else []
        if len(parts) == 1 and source.read(0, 4) in (b"RIFF", b"RF64", b"BW64"):
            chunks = list(_other_chunks(source, part, grammar))
    if not parts:
        return None
    if container == "WAV" and _coding(chunks) in _MPEG:
        container = "MPEG in WAV"
    if len(parts) > 1:
        notes.append(f"{len(parts)} recordings stand in one file, and all are read")
    return Survey(container, tuple(parts), tuple(notes), tuple(chunks))


def _coding(chunks: list[tuple[bytes, bytes]]) -> int:
    """Read how the samples of a WAV file are coded."""
    return int.from_bytes(dict(chunks).get(b"fmt ", b"")[:2], "little")


def _grammar_at(source: Source, start: int) -> _Grammar | None:
    """Tell which container begins here."""
    head = source.read(start, 40)
    grammar = _GRAMMARS.get(head[:4])
    if grammar is None:
        return None
    forms = {
        "WAV": head[8:12] == b"WAVE",
        "RF64": head[8:12] == b"WAVE",
        "AIFF": head[8:12] in (b"AIFF", b"AIFC"),
        "W64": head[24:28] == b"wave",
        "CAF": head[4:6] == b"\0\1",
    }
    return grammar if forms[grammar.container] else None


def _walk(source: Source, place: int, grammar: _Grammar) -> Iterator[_Chunk]:
    """Go from chunk to chunk as long as there are names."""
    while place + grammar.header <= source.size:
        name = source.read(place, 4)
        length = source.number(place + grammar.name_length, grammar.size_length, grammar.order)
        if not printable(name):
            return
        if grammar.size_counts_header:
            length = max(0, length - grammar.header)
        yield _Chunk(name, place, place + grammar.header, length)
        place += grammar.header + length
        place += -place % grammar.align


def _part(source: Source, start: int, grammar: _Grammar) -> tuple[Part, str, int]:
    """Weigh one recording: the part to decode, what to say, and where another one may begin."""
    known = {}
    for chunk in _walk(source, start + grammar.first, grammar):
        known[chunk.name] = chunk
        if chunk.name in grammar.sound:
            break
    else:
        return Part(start, source.size), "", source.size  # the decoder says what it lacks
    body = chunk.body + grammar.before_samples
    present = max(0, source.size - body)
    promised = max(0, chunk.length - grammar.before_samples)
    large = grammar.unknown if grammar.size_length == 8 else _OPEN_32
    if grammar.container == "RF64" and chunk.length == grammar.unknown and b"ds64" in known:
        promised = source.number(known[b"ds64"].body + 8, 8, "little")
        large = 2**63
    if promised > present:
        if promised >= large - grammar.before_samples - grammar.header:
            if grammar.container != "CAF":  # the decoder knows what is meant
                return Part(start, source.size), "", source.size
            _, frame = _speed(source, known, grammar)
            ended = _mended(start, present - present % frame, frame, chunk, known, grammar)
            return Part(start, source.size, patches=tuple(ended)), "", source.size
        raise CutShort(f"it was cut short: {promised - present} bytes are missing")
    end = body + promised
    tail = end + (-end % grammar.align)
    if tail >= source.size:
        return Part(start, source.size), "", source.size
    stop = _behind(source, tail, grammar)
    if stop is not None:
        return Part(start, stop), "", stop if _grammar_at(source, stop) else source.size
    bytes_per_second, frame = _speed(source, known, grammar)
    if promised and source.size - tail < _SLACK_SECONDS * bytes_per_second:
        return Part(start, tail), "", source.size
    length = present - present % frame
    said = f"{promised / bytes_per_second:.1f} s" if bytes_per_second else f"{promised} bytes"
    note = "its header was never finished" if not promised else f"its header tells of {said} only"
    patches = tuple(_mended(start, length, frame, chunk, known, grammar))
    return Part(start, body + length, patches=patches), f"{note}; read to its end", source.size


def _behind(source: Source, place: int, grammar: _Grammar) -> int | None:
    """Give the end of the chunks behind the sound, or None if something else stands there."""
    for chunk in _walk(source, place, grammar):
        if _grammar_at(source, chunk.place):
            return chunk.place
        if chunk.body + chunk.length > source.size:
            return source.size if chunk.name in _NO_SOUND else None
        place = chunk.body + chunk.length
        place += -place % grammar.align
    if source.size - place < 8 or _grammar_at(source, place):
        return min(place, source.size)
    return place if is_slack(source, place) else None


def _speed(source: Source, known: dict[bytes, _Chunk], grammar: _Grammar) -> tuple[float, int]:
    """Read how many bytes a second takes, and how many belong together."""
    if b"fmt " in known:
        body = known[b"fmt "].body
        return (
            float(source.number(body + 8, 4, grammar.order)),
            max(1, source.number(body + 12, 2, grammar.order)),
        )
    if b"COMM" in known:
        body = known[b"COMM"].body
        frame = source.number(body, 2) * -(-source.number(body + 6, 2) // 8)
        exponent = source.number(body + 8, 2) - 16383 - 63  # an 80-bit float
        return frame * source.number(body + 10, 8) * 2.0**exponent, max(1, frame)
    if b"desc" in known:
        return 0.0, max(1, source.number(known[b"desc"].body + 16, 4))
    return 0.0, 1


def _mended(
    start: int,
    length: int,
    frame: int,
    sound: _Chunk,
    known: dict[bytes, _Chunk],
    grammar: _Grammar,
) -> Iterator[tuple[int, bytes]]:
    """Write the lengths that a finished header would have."""
    total = sound.body + grammar.before_samples + length - start
    chunk = length + grammar.before_samples
    if grammar.size_counts_header:
        chunk += grammar.header
    elif grammar.container != "CAF":
        total -= 8

    def write(place: int, number: int, size: int = grammar.size_length) -> tuple[int, bytes]:
        return place, min(number, 256**size - 1).to_bytes(size, grammar.order)

    yield write(sound.place + grammar.name_length, chunk)
    if grammar.container != "CAF":  # which has no length of the whole
        yield write(start + grammar.name_length, total)
    if b"ds64" in known:
        place = known[b"ds64"].body
        yield from (write(place, total, 8), write(place + 8, length, 8))
        yield write(place + 16, length // frame, 8)
    if b"COMM" in known:
        yield write(known[b"COMM"].body + 2, length // frame)


def _other_chunks(source: Source, part: Part, grammar: _Grammar) -> Iterator[tuple[bytes, bytes]]:
    """Give the chunks that tell of a recording, not of its samples."""
    for chunk in _walk(source, part.start + grammar.first, grammar):
        if chunk.body + chunk.length > part.stop:
            return
        if chunk.name not in _ABOUT_SAMPLES or chunk.name == b"fmt ":
            yield chunk.name, source.read(chunk.body, chunk.length)


def add_chunks(path: Path, chunks: Iterable[tuple[bytes, bytes]]) -> None:
    """Put the chunks of another recording of the same length and rate behind a WAV file's sound.

    Args:
        path: A WAV or RF64 file, whole and even.
        chunks: Those of a `Survey`. Of the format, only which channel is which loudspeaker is
            taken over.
    """
    size = path.stat().st_size
    with path.open("r+b") as file:
        source = Source(file, size)
        grammar = _GRAMMARS[source.read(0, 4)]
        known = {chunk.name: chunk for chunk in _walk(source, grammar.first, grammar)}
        is_extended = source.number(known[b"fmt "].body, 2, "little") == _EXTENDED
        for name, body in chunks:
            if name == b"fmt " and is_extended and len(body) >= 24:
                file.seek(known[b"fmt "].body + 20)
                file.write(body[20:24])
            elif name != b"fmt ":
                file.seek(0, os.SEEK_END)
                file.write(bytes(file.tell() % 2))
                file.write(name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2))
        total = file.seek(0, os.SEEK_END) - 8
        is_long = b"ds64" in known
        file.seek(known[b"ds64"].body if is_long else 4)
        file.write(total.to_bytes(8 if is_long else 4, "little"))


def au_survey(source: Source) -> Survey | None:
    """Survey an AU file, which has one header and then sound up to its end.

    Args:
        source: The file.

    Returns:
        What it holds, or None if it is none.

    Raises:
        CutShort: The file ends before its sound does.
    """
    order = {b".snd": "big", b"dns.": "little"}.get(source.read(0, 4))
    if order is None:
        return None
    body, promised, coding, rate, channels = (
        source.number(place, 4, order) for place in (4, 8, 12, 16, 20)
    )
    present = max(0, source.size - body)
    if promised == 0xFFFFFFFF or promised == present:
        return Survey("AU", (Part(0, source.size),))
    if promised > present:
        raise CutShort(f"it was cut short: {promised - present} bytes are missing")
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(coding, 1)
    second = rate * channels * width
    slack = present - promised < _SLACK_SECONDS * second or is_slack(source, body + promised)
    if promised and slack:
        return Survey("AU", (Part(0, body + promised),))
    note = "its header was never finished" if not promised else "its header tells of a part only"
    patch = ((8, (0xFFFFFFFF).to_bytes(4, order)),)  # type: ignore[arg-type]
    return Survey("AU", (Part(0, source.size, patches=patch),), (f"{note}; read to its end",))


def nist_survey(source: Source) -> Survey | None:
    """Survey a NIST SPHERE file, the WAV of speech research.

    Args:
        source: The file.

    Returns:
        What it holds, or None if it is none.

    Raises:
        CutShort: The file ends before its sound does.
    """
    if source.read(0, 7) != b"NIST_1A":
        return None
    header = source.read(0, 1024)
    number = {
        name: int(value)
        for name, value in re.findall(rb"(\w+) -i (\d+)", header.partition(b"end_")[0])
    }
    size = re.match(rb"NIST_1A\n *(\d+)\n", header)
    wanted = (b"sample_count", b"sample_n_bytes")
    if size is None or any(name not in number for name in wanted):
        return Survey("NIST", (Part(0, source.size),))
    promised = number[b"sample_count"] * number[b"sample_n_bytes"] * number.get(b"channel_count", 1)
    end = int(size.group(1)) + promised
    if end > source.size:
        raise CutShort(f"it was cut short: {end - source.size} bytes are missing")
    notes = () if is_slack(source, end) else ("what stands behind its sound is not read",)
    return Survey("NIST", (Part(0, end),), notes)
