"""Containers without a header for the whole: Ogg's pages, MP3's frames, and FLAC.

Sources: RFC 3533 (Ogg), RFC 9639 (FLAC), ISO/IEC 11172-3 and 13818-3 (MP3), and for what stands in
an MP3's first frame the headers of Xing, LAME and VBRI, as they are described in many places.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.containers.parts import CutShort, Part, Source, Survey, is_slack, skip_tag

_MOST_SAMPLES = 2**36 - 1  # a FLAC file counts its samples with 36 bits
_ABOUT_RECORDING = (2, 4, 5, 6)  # of an application, titles, cue points, pictures
_STREAMINFO = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")  # always the first block of a FLAC file


def flac_survey(source: Source) -> Survey | None:
    """Survey a FLAC file; how long it is, its decoder is asked.

    Args:
        source: The file.

    Returns:
        What it holds, or None if it is none.
    """
    start = skip_tag(source, 0)
    if source.read(start, 4) != b"fLaC":
        return None
    starts = [start]
    place = start
    while (place := source.find(b"fLaC", place + 4)) >= 0:
        if source.read(place + 4, 4) in _STREAMINFO:
            starts.append(place)
    stops = [*starts[1:], source.size]
    parts = tuple(Part(*ends) for ends in zip(starts, stops, strict=True))
    blocks = tuple(_flac_blocks(source, start))
    if not source.number(start + 21, 5) & _MOST_SAMPLES:  # written to a pipe
        patches = ((start + 21, bytes([source.number(start + 21, 1) | 0x0F]) + b"\xff" * 4),)
        parts = (Part(start, parts[0].stop, patches=patches, open_ended=True), *parts[1:])
    elif len(parts) == 1:
        return Survey("FLAC", (Part(0, source.size),), chunks=blocks)
    if len(parts) == 1:
        return Survey("FLAC", parts, chunks=blocks)
    note = f"{len(parts)} recordings stand in one file, and all are read"
    return Survey("FLAC", parts, (note,), blocks)


def _flac_blocks(source: Source, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Give the blocks of a FLAC file that tell of a recording, not of its samples."""
    place = start + 4
    is_last = False
    while not is_last and place + 4 <= source.size:
        kind, length = source.number(place, 1), source.number(place + 1, 3)
        is_last = bool(kind & 0x80)
        if kind & 0x7F in _ABOUT_RECORDING:
            yield bytes([kind & 0x7F]), source.read(place + 4, length)
        place += 4 + length


def comment_names(body: bytes) -> list[str]:
    """Name the titles in a FLAC file's block of comments.

    Args:
        body: The block, one of those of a `Survey` under the name of byte 4.

    Returns:
        Their names in small letters, such as "albumartist".
    """
    place = 4 + int.from_bytes(body[:4], "little")  # behind the name of the program
    names = []
    for _ in range(int.from_bytes(body[place : place + 4], "little")):
        length = int.from_bytes(body[place + 4 : place + 8], "little")
        name = body[place + 8 : place + 8 + length].partition(b"=")[0]
        names.append(name.decode("ascii", "replace").lower())
        place += 4 + length
        if place >= len(body):
            break
    return names


def add_blocks(path: Path, blocks: Iterable[tuple[bytes, bytes]]) -> None:
    """Put the blocks of another recording into a FLAC file, behind its first one.

    Args:
        path: A FLAC file; it is written again.
        blocks: Those of a `Survey`.
    """
    copy = path.with_name(f"{path.name}.copy")
    try:
        with path.open("rb") as old, copy.open("wb") as new:
            head = old.read(42)  # the magic word and the first block
            body = b"".join(kind + len(text).to_bytes(3, "big") + text for kind, text in blocks)
            kind = head[4]
            while not kind & 0x80:  # what stands between the first block and the sound is not kept
                kind, length = old.read(1)[0], int.from_bytes(old.read(3), "big")
                old.seek(length, os.SEEK_CUR)
            padding = bytes([0x80 | 1]) + bytes(3)
            new.write(head[:4] + bytes([head[4] & 0x7F]) + head[5:] + body + padding)
            shutil.copyfileobj(old, new)
        os.replace(copy, path)
    finally:
        copy.unlink(missing_ok=True)


# --- Ogg ----------------------------------------------------------------------------------------


def ogg_survey(source: Source) -> Survey | None:
    """Survey an Ogg file: are all its pages there, and does the last one say that it is the last?

    Args:
        source: The file.

    Returns:
        What it holds, or None if it is none.

    Raises:
        CutShort: The file ends within a page.
    """
    if source.read(0, 4) != b"OggS":
        return None
    starts: list[int] = []
    numbers: dict[bytes, int] = {}  # of the last page of each stream
    place = lost = 0
    begins = ended = False
    while place < source.size:
        head = source.read(place, 27)
        if head[:4] != b"OggS":
            found = source.find(b"OggS", place)
            if found < 0:
                lost += not is_slack(source, place)
                break
            lost += 1
            place = found
            continue
        lengths = source.read(place + 27, head[26]) if len(head) == 27 else b""
        end = place + 27 + len(lengths) + sum(lengths)
        if len(head) < 27 or len(lengths) < head[26] or end > source.size:
            raise CutShort("it was cut short: its last page is not whole")
        is_first, ended = bool(head[5] & 2), bool(head[5] & 4)
        if (is_first and not begins) or not starts:
            starts.append(place)
            numbers = {}
        begins = is_first
        stream, number = head[14:18], int.from_bytes(head[18:22], "little")
        lost += stream in numbers and number > numbers[stream] + 1
        numbers[stream] = number
        place = end
    notes = [f"{len(starts)} recordings stand in one file, and all are read"] * (len(starts) > 1)
    if lost:
        notes.append(f"sound is missing in {lost} places")
    if not ended:
        notes.append("it has no mark at its end, so it may have been longer")
    stops = [*starts[1:], place]
    parts = tuple(Part(*ends) for ends in zip(starts, stops, strict=True))
    return Survey("OGG", parts, tuple(notes))


# --- MP3 ----------------------------------------------------------------------------------------

_KILOBITS = {  # by version (1, or 2 for 2 and 2.5) and layer
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SEARCHED = 65_536  # bytes in which a first frame must come
_LOST_AT_ONCE = 40  # frames, a second; more than one damaged place can explain
_TOLERATED = 2  # frames; some programs count the one that holds the count


@dataclass
class _Run:
    """MP3 frames that belong together, and what their first one says of their number."""

    kind: bytes
    start: int
    stop: int
    num_frames: int = 0
    promised: int | None = None
    index: int = 0  # bytes of the frame that holds the number
    header: bytes = field(default=b"", repr=False)


def mp3_survey(source: Source) -> Survey | None:
    """Survey an MP3 file by going through all its frames; a header only says how many there were.

    Args:
        source: The file.

    Returns:
        What it holds, or None if it is none.

    Raises:
        CutShort: There are fewer frames than the header counted.
    """
    runs: list[_Run] = []
    place = _first_frame(source)
    lost = 0
    torn = False
    if place is None:
        return None
    while place < source.size:
        header = source.read(place, 4)
        length = _frame_length(header)
        if length and place + length <= source.size:
            kind = _kind(header)
            is_index = kind[1] == 3 and (promised := _index(source, place, header)) is not None
            if is_index or not runs or runs[-1].kind != kind or runs[-1].stop != place:
                runs.append(_Run(kind, place, place, header=header))
            if is_index:
                runs[-1].promised, runs[-1].index = promised, length
            else:
                runs[-1].num_frames += 1
            place += length
            runs[-1].stop = place
            continue
        torn = bool(length)
        behind = skip_tag(source, place)
        if behind > place:
            place = behind
        elif torn or is_slack(source, place):
            break
        else:
            found = _resync(source, place + 1)
            lost += 1
            place = source.size if found is None else found
    runs = [run for run in runs if run.num_frames]
    if not runs:
        return None
    notes = []
    for number, run in enumerate(runs):
        if run.promised is None or run.promised < 0:
            continue
        missing = run.promised - run.num_frames
        for other in runs[number + 1 :]:  # damage within divides a recording
            if missing <= 0 or other.promised is not None:
                break
            missing -= other.num_frames
        if missing > _TOLERATED + lost * _LOST_AT_ONCE:
            raise CutShort(f"it was cut short: {missing} of {run.promised} frames are missing")
        if run.promised < run.num_frames:
            notes.append(f"its header counts {run.promised} of {run.num_frames} frames")
    counted = sum(run.promised is not None for run in runs)
    if counted > 1 or len({run.kind for run in runs}) > 1:
        notes.append(f"{len(runs)} recordings stand in one file, and all are read")
    if lost:
        notes.append(f"sound is missing or damaged in {lost} places")
    if torn:
        notes.append("its last frame is not whole, so it may have been longer")
    head = source.read(0, runs[0].start)
    pictures = ("cover picture",) if b"APIC" in head else ()
    if len(runs) == 1 and source.read(source.size - 128, 3) == b"TAG":
        runs[0].stop = source.size  # titles of the old kind stand behind
    titles = head if head[:3] == b"ID3" else b""
    parts = tuple(_mp3_part(run, titles if run is runs[0] else b"") for run in runs)
    return Survey("MP3", parts, tuple(notes), left_behind=pictures)


def _first_frame(source: Source) -> int | None:
    """Find where the frames begin, behind tags and a little else."""
    place = 0
    while (behind := skip_tag(source, place)) > place:
        place = behind
    if _frame_length(source.read(place, 4)) and _follows(source, place):
        return place
    tagged = place > 0
    return _resync(source, place, limit=_SEARCHED) if tagged else None


def _resync(source: Source, place: int, *, limit: int | None = None) -> int | None:
    """Find the next place where two frames of one kind follow each other."""
    end = source.size if limit is None else min(source.size, place + limit)
    while 0 <= (place := source.find(b"\xff", place)) < end:
        if _frame_length(source.read(place, 4)) and _follows(source, place):
            return place
        place += 1
    return None


def _follows(source: Source, place: int) -> bool:
    """Tell whether behind a frame stands another one of its kind, or the file's end."""
    header = source.read(place, 4)
    behind = place + _frame_length(header)
    following = source.read(behind, 4)
    ends = behind == source.size or skip_tag(source, behind) > behind
    return ends or (bool(_frame_length(following)) and _kind(following) == _kind(header))


def _kind(header: bytes) -> bytes:
    """Give what all frames of a recording have in common: version, layer, rate, mono or not."""
    mono = header[3] >> 6 == 3
    return bytes((header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3), header[2] >> 2 & 3, mono))


def _frame_length(header: bytes) -> int:
    """Give the length of a frame in bytes, or 0 if it is none (or of "free" bit rate)."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return 0
    version, layer, rate, _ = _kind(header)
    bits = header[2] >> 4
    if version == 1 or layer == 4 or rate == 3 or not 0 < bits < 15:
        return 0
    kilobits = _KILOBITS[1 if version == 3 else 2, layer][bits - 1]
    hertz = _RATES[version][rate]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12_000 * kilobits // hertz + padding) * 4
    slots = 72_000 if layer == 3 and version != 3 else 144_000
    return slots * kilobits // hertz + padding


def _index_offset(kind: bytes, header: bytes) -> int:
    """Tell how far behind a frame's start the header of Xing stands."""
    version, _, _, mono = kind
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return 4 + side + (0 if header[1] & 1 else 2)  # a checksum takes two bytes


def _index(source: Source, place: int, header: bytes) -> int | None:
    """Read how many frames a first frame counts; -1 where it is one without a number."""
    for offset in {_index_offset(_kind(header), header), _index_offset(_kind(header), b"\0\1")}:
        head = source.read(place + offset, 12)
        if head[:4] in (b"Xing", b"Info"):
            return int.from_bytes(head[8:12], "big") if head[7] & 1 else -1
    head = source.read(place + 36, 18)
    return int.from_bytes(head[14:18], "big") if head[:4] == b"VBRI" else None


def _mp3_part(run: _Run, titles: bytes) -> Part:
    """Hand the frames on with titles in front, and a first one that counts them as they are."""
    if run.promised is not None and 0 <= run.promised - run.num_frames <= _TOLERATED:
        return Part(run.start, run.stop, prefix=titles)
    header = run.header
    for bits in range(1, 15):  # the smallest frame of this kind that holds a header of Xing
        header = bytes(
            (run.header[0], run.header[1] | 1, bits << 4 | run.header[2] & 0x0C, run.header[3])
        )
        offset = _index_offset(run.kind, header)
        if _frame_length(header) >= offset + 16:
            break
    count = b"Xing" + (3).to_bytes(4, "big") + run.num_frames.to_bytes(4, "big")
    start = run.start + run.index
    size = _frame_length(header) + run.stop - start
    frame = header + bytes(offset - 4) + count + size.to_bytes(4, "big")
    if run.kind[1] != 3:  # the older layers have no such frame
        return Part(run.start, run.stop, prefix=titles, open_ended=True)
    return Part(start, run.stop, prefix=titles + frame.ljust(_frame_length(header), b"\0"))
