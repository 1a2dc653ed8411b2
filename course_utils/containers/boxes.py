"""Containers that FFmpeg reads, of which only one thing is looked up here: whether they are whole.

Sources: ISO/IEC 14496-12 (MP4, MOV, 3GP), RFC 8794 and 9559 (Matroska, WebM), the specification of
ASF (WMA), RIFF (AVI).
"""

from __future__ import annotations

from course_utils.containers.parts import CutShort, Part, Source, Survey

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"


def box_survey(source: Source) -> Survey | None:
    """Survey MP4 and its kin, Matroska, ASF and AVI.

    Args:
        source: The file.

    Returns:
        The container, or None if it is none of these.

    Raises:
        CutShort: The file is shorter than its container says, or its index was never written.
    """
    head = source.read(0, 16)
    for container, is_it, promised in (
        ("MP4", head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"skip"), _mp4_length),
        ("MATROSKA", head[:4] == _EBML, _matroska_length),
        ("ASF", head == _ASF, _asf_length),
        ("AVI", head[:4] == b"RIFF" and head[8:12] == b"AVI ", _avi_length),
    ):
        if is_it:
            if (length := promised(source)) > source.size:
                raise CutShort(f"it was cut short: {length - source.size} bytes are missing")
            return Survey(container, (Part(0, source.size),))
    return None


def _mp4_length(source: Source) -> int:
    """Go through the boxes; the last one must end within the file, and one of them be the index."""
    place = 0
    names = set()
    while place + 8 <= source.size:
        length, name = source.number(place, 4), source.read(place + 4, 4)
        if length == 1:
            length = source.number(place + 8, 8)
        names.add(name)
        if length < 8:  # 0: up to the end of the file
            place = source.size
        place += length
    if place <= source.size and b"moov" not in names:
        raise CutShort("its recording was never finished: the index at its end is missing")
    return place


def _matroska_length(source: Source) -> int:
    """Read where the segment ends, if its length was known when it was begun."""
    place = 0
    for name in (_EBML, _SEGMENT):
        if source.read(place, 4) != name:
            return 0
        first = source.number(place + 4, 1)
        width = 9 - first.bit_length()  # leading zeros say how many bytes the length has
        length = source.number(place + 4, width) & ~(1 << 7 * width)
        place += 4 + width
        if name == _SEGMENT and length == (1 << 7 * width) - 1:
            return 0
        place += length
    return place


def _asf_length(source: Source) -> int:
    """Read the file's length where ASF keeps it, unless it was sent as a stream."""
    place = source.find(_ASF_FILE, 0)
    is_stream = source.number(place + 88, 4, "little") & 1
    return 0 if place < 0 or is_stream else source.number(place + 40, 8, "little")


def _avi_length(source: Source) -> int:
    """Read the length of the outermost chunk."""
    return source.number(4, 4, "little") + 8
