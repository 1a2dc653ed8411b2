"""Try every kind of recording: as it should be, cut short, unfinished, joined, with slack behind.

    python tests/tools/try_recordings.py            # every container and codec, as a table
    python tests/tools/try_recordings.py --csv FILE

Each file holds the same sound. It must be read whole; or whole, with a sentence about what was
wrong; or be refused in a sentence. FFmpeg makes the files that soundfile cannot write, and is
needed to read them.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from course_utils.audio import load_audio
from course_utils.readers import open_audio

SECONDS = 3.0
WHOLE, SAID, REFUSED = "read whole", "read whole, and said", "refused"
PIPED = "written to a pipe"
COLUMNS = (
    "container",
    "codec",
    "rate",
    "channels",
    "what was wrong",
    "what happens now",
    "in words",
)


@dataclass(frozen=True)
class Case:
    """A file to try.

    Attributes:
        container: soundfile's name of the container, or the ending of a file made by FFmpeg.
        codec: soundfile's name of the coding, or what FFmpeg is asked for.
        rate: Samples per second.
        channels: Channels.
        wrong: What is wrong with the file; "nothing" if it is as it should be.
        expected: WHOLE, SAID or REFUSED.
        times: How often the sound stands in the file.
    """

    container: str
    codec: str
    rate: int = 16_000
    channels: int = 1
    wrong: str = "nothing"
    expected: str = WHOLE
    times: float = 1


def sound(rate: int, channels: int) -> np.ndarray:
    """Notes over hiss, with loud and soft places: (time, channel)."""
    time = np.arange(round(SECONDS * rate)) / rate
    loudness = 0.5 + 0.5 * np.sin(2 * np.pi * 0.7 * time)
    hiss = np.random.default_rng(0).standard_normal((len(time), channels))
    return 0.3 * loudness[:, None] * (np.sin(2 * np.pi * 330 * time)[:, None] + 0.1 * hiss)


# --- the files as they should be -----------------------------------------------------------------

WRITTEN = (  # by soundfile: container, codec, rate, channels
    *(("WAV", codec, 16_000, 1) for codec in ("PCM_U8", "PCM_16", "FLOAT", "ALAW", "IMA_ADPCM")),
    *(("WAV", codec, 8000, 1) for codec in ("GSM610", "MS_ADPCM", "ULAW", "G721_32")),
    ("WAV", "PCM_24", 48_000, 6),
    ("WAV", "PCM_24", 8000, 64),
    *(("WAVEX", "PCM_16", 44_100, 2), ("RF64", "PCM_16", 44_100, 2), ("W64", "PCM_24", 48_000, 2)),
    *(
        ("AIFF", "PCM_16", 22_050, 2),
        ("AIFF", "IMA_ADPCM", 16_000, 1),
        ("AIFF", "FLOAT", 16_000, 1),
    ),
    *(("CAF", "PCM_16", 44_100, 2), ("CAF", "ALAC_16", 44_100, 1), ("AU", "PCM_16", 16_000, 1)),
    *(("AU", "ULAW", 8000, 1), ("NIST", "PCM_16", 16_000, 1), ("FLAC", "PCM_16", 16_000, 1)),
    *(("FLAC", "PCM_24", 96_000, 2), ("OGG", "VORBIS", 44_100, 2), ("OGG", "OPUS", 48_000, 1)),
    *(("MP3", "MPEG_LAYER_III", 44_100, 2), ("MP3", "MPEG_LAYER_III", 16_000, 1)),
)
ENCODED = (  # by FFmpeg: ending, encoder, rate, channels
    *(("m4a", "aac", 44_100, 2), ("m4a", "alac", 48_000, 1), ("mp4", "aac", 16_000, 1)),
    *(("mov", "aac", 48_000, 2), ("3gp", "aac", 8000, 1), ("aac", "aac", 44_100, 1)),
    *(("webm", "libopus", 48_000, 2), ("webm", "libvorbis", 44_100, 1), ("mka", "flac", 44_100, 2)),
    *(
        ("mkv", "libmp3lame", 44_100, 2),
        ("wma", "wmav2", 44_100, 2),
        ("avi", "pcm_s16le", 44_100, 2),
    ),
    *(("ac3", "ac3", 48_000, 6), ("spx", "libspeex", 16_000, 1), ("oga", "flac", 44_100, 1)),
    *(("wv", "wavpack", 44_100, 2), ("mp2", "mp2", 44_100, 2), ("wav", "libmp3lame", 44_100, 1)),
)


def written(case: Case) -> bytes:
    """Make a file as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        samples = sound(case.rate, case.channels)
        if case.container.isupper():
            path = Path(folder) / "file"
            soundfile.write(path, samples, case.rate, case.codec, format=case.container)
            return path.read_bytes()
        path = Path(folder) / f"file.{case.container}"
        encode(samples, case.rate, "-c:a", case.codec, "-strict", "-2", path)
        return path.read_bytes()


def content_of(case: Case, change: Callable[[bytes], bytes]) -> bytes:
    """Make a file, and do to it what the case wants."""
    return change(b"" if case.wrong.startswith(PIPED) else written(case))


def encode(samples: np.ndarray, rate: int, *arguments: str | Path) -> bytes:
    """Let FFmpeg encode samples; the last of its arguments is a path, or "pipe:1"."""
    *options, target = arguments
    command = ["ffmpeg", "-v", "error", "-y", "-f", "f32le", "-ar", str(rate)]
    command += ["-ac", str(samples.shape[1]), "-i", "pipe:0", *map(str, options), str(target)]
    content = samples.astype("<f4").tobytes()
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


# --- and what goes wrong -------------------------------------------------------------------------


def half(content: bytes) -> bytes:
    """A copy that broke off."""
    return content[: len(content) // 2]


def place(content: bytes, name: bytes, behind: int, number: int, size: int, order: str) -> bytes:
    """Write a number at a place behind a chunk's name."""
    start = content.index(name) + behind
    return content[:start] + number.to_bytes(size, order) + content[start + size :]


def promise(container: str, share: float) -> Callable[[bytes], bytes]:
    """A recorder that died: the header tells of a share of the sound only."""

    def write(content: bytes) -> bytes:
        if container in ("WAV", "WAVEX"):
            length = int(share * (len(content) - 44))
            content = place(content, b"RIFF", 4, 36 + length, 4, "little")
            return place(content, b"data", 4, length, 4, "little")
        if container == "RF64":
            length = int(share * (len(content) - 104))
            return place(content, b"ds64", 16, length, 8, "little")
        if container == "W64":
            return place(content, b"data", 16, 24 + int(share * (len(content) - 128)), 8, "little")
        if container == "AIFF":
            content = place(content, b"COMM", 10, 0, 4, "big")
            return place(content, b"SSND", 4, 8 + int(share * (len(content) - 54)), 4, "big")
        if container == "CAF":
            return place(content, b"data", 4, 4 + int(share * (len(content) - 4096)), 8, "big")
        return place(content, b".snd", 8, int(share * (len(content) - 24)), 4, "big")

    return write


def bare_mp3(content: bytes) -> bytes:
    """An MP3 without its first frame, which counts the others."""
    mark = max(content.find(b"Xing"), content.find(b"Info"))
    start = content.rfind(b"\xff", 0, mark)
    return content[content.index(content[start : start + 2], mark) :]


SLACK = bytes(5000)
PICTURE = b"TAG" + bytes(125)
FAULTS: tuple[tuple[str, str, float, Callable[[bytes], bytes]], ...] = (
    ("cut in half", REFUSED, 1, half),
    ("zeros behind the sound", WHOLE, 1, lambda content: content + SLACK),
    ("two joined by cat", SAID, 2, lambda content: content + content),
)
JOINABLE = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "FLAC", "OGG", "MP3")
UNFINISHED = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU")
COMPRESSED = ("IMA_ADPCM", "ALAC_16", "G721_32")  # in AIFF and CAF more than a length is missing


def cases(*, with_ffmpeg: bool) -> Iterator[tuple[Case, Callable[[bytes], bytes]]]:
    """Every file to try, with what is done to it after it was written."""
    for container, codec, rate, channels in WRITTEN:
        yield Case(container, codec, rate, channels), bytes
        for wrong, expected, times, change in FAULTS:
            if times == 1 or container in JOINABLE:
                yield Case(container, codec, rate, channels, wrong, expected, times), change
        if container in UNFINISHED and not (container in ("AIFF", "CAF") and codec in COMPRESSED):
            for share, wrong in ((0, "header never finished"), (0.25, "header tells of a quarter")):
                case = Case(container, codec, rate, channels, wrong, SAID)
                yield case, promise(container, share)
    yield from mp3_cases()
    if not with_ffmpeg:
        return
    for container, codec, rate, channels in ENCODED:
        yield Case(container, codec, rate, channels), bytes
        if container in ("m4a", "mp4", "mov", "3gp", "webm", "mka", "mkv", "wma", "avi"):
            yield Case(container, codec, rate, channels, "cut in half", REFUSED), half
    yield from piped_cases()


def mp3_cases() -> Iterator[tuple[Case, Callable[[bytes], bytes]]]:
    """MP3s whose first frame does not count the others, or counts wrong."""
    name = ("MP3", "MPEG_LAYER_III", 16_000, 1)
    yield Case(*name, "no count of its frames"), bare_mp3
    yield Case(*name, "titles in front and behind"), lambda mp3: titled(mp3) + PICTURE
    yield Case(*name, "the second of two not counted", SAID, 2), lambda mp3: mp3 + bare_mp3(mp3)
    junk = bytes(range(1, 200)) * 20
    yield Case(*name, "junk within", SAID), lambda mp3: mp3[:3000] + junk + mp3[3000:]


def titled(content: bytes) -> bytes:
    """Put an ID3 tag of 1000 bytes in front."""
    return b"ID3\x04\0\0\0\0" + bytes([1000 >> 7, 1000 & 0x7F]) + bytes(1000) + content


def piped_cases() -> Iterator[tuple[Case, Callable[[bytes], bytes]]]:
    """What FFmpeg writes into a pipe, where it cannot go back to write the length."""
    for form, codec, options in (
        ("wav", "PCM_16", ()),
        ("flac", "PCM_16", ()),
        ("caf", "PCM_16", ()),
        ("au", "PCM_16", ("-c:a", "pcm_s16be")),
        ("mp3", "MPEG_LAYER_III", ("-q:a", "5")),
        ("mp3", "MPEG_LAYER_III", ("-b:a", "64k")),
        ("webm", "OPUS", ("-c:a", "libopus")),
        ("ogg", "VORBIS", ("-c:a", "libvorbis")),
    ):

        def pipe(_: bytes, form: str = form, options: tuple[str, ...] = options) -> bytes:
            return encode(sound(16_000, 1), 16_000, *options, "-f", form, "pipe:1")

        how = f"{PIPED} {' '.join(options[-1:])}".strip()
        yield Case(form.upper(), codec, 16_000, 1, how), pipe


# --- trying --------------------------------------------------------------------------------------


def attempt(path: Path) -> tuple[str, float, str]:
    """Read a file: what happened, seconds that were read, and in which words."""
    try:
        recording = open_audio(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the note says the same
            waveform, rate = load_audio(path, mono=False)
        num_frames = sum(len(block) for block in recording.blocks(10_000))
        assert num_frames == recording.info.num_frames == waveform.shape[-1]
    except ValueError as error:
        return REFUSED, 0.0, str(error).replace(str(path), path.name)
    note = recording.info.note
    return SAID if note else WHOLE, num_frames / rate, note


def is_right(case: Case, happened: str, seconds: float) -> bool:
    """Tell whether a file was treated as it should be; codecs add or drop a frame at the ends."""
    allowed = {case.expected, SAID} if case.container == "NIST" else {case.expected}
    whole = happened == REFUSED or abs(seconds - case.times * SECONDS) < 0.12 * case.times
    return happened in allowed and whole


def file_name(case: Case) -> str:
    """Name a file by its container."""
    container = case.container.lower()
    return f"file.{ {'wavex': 'wav', 'rf64': 'wav', 'nist': 'wav'}.get(container, container) }"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if a file was not treated as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--csv", type=Path, help="write the table there too")
    options = parser.parse_args(arguments)
    with_ffmpeg = shutil.which("ffmpeg") is not None
    rows, num_wrong = [], 0
    print(*COLUMNS, sep=" | ")
    with tempfile.TemporaryDirectory() as folder:
        for case, change in cases(with_ffmpeg=with_ffmpeg):
            path = Path(folder) / file_name(case)
            path.write_bytes(content_of(case, change))
            happened, seconds, words = attempt(path)
            path.unlink()
            right = is_right(case, happened, seconds)
            num_wrong += not right
            now = happened if right else f"WRONG: {happened}, {seconds:.1f} s"
            rows.append(
                (case.container, case.codec, case.rate, case.channels, case.wrong, now, words)
            )
            print(*rows[-1], sep=" | ", flush=True)
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
    print(f"{len(rows)} files tried, {len(rows) - num_wrong} treated as they should be.")
    if not with_ffmpeg:
        print("FFmpeg is not installed: what only it can read was not tried.")
    return 1 if num_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
