"""FFmpeg, where it is installed: the sound of what soundfile cannot read, and of videos.

One process decodes, and its samples come through a pipe, so that hours need no more memory than
seconds; another one takes cleaned samples and puts them beside the picture of a video. FFmpeg may
read sound and video only, and no addresses: a playlist in disguise leads nowhere.

Source: https://ffmpeg.org/ffmpeg.html
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

REMEDY = (
    "install FFmpeg (`apt install ffmpeg`, `brew install ffmpeg` or `winget install ffmpeg`), or "
    "export it as WAV or FLAC"
)

_DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,wav,w64,aiff,caf,au,flac,mp3,aac,amr,asf,avi,mpegts,"
    "mpeg,ac3,eac3,ape,wv,tta,dts,truehd,flv,loas,latm,g722,gsm,mxf,rm,voc,mpc,mpc8,tak,shn,xwma"
)
_SAFE = ("-protocol_whitelist", "file,pipe", "-format_whitelist", _DEMUXERS)
_CODECS = {".webm": "libopus"}  # of the sound that goes into a video; AAC elsewhere
_FAMILIES = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mp4", ".mkv": "matroska", ".webm": "webm"}
_LEAST_BITS, _MOST_BITS = 96_000, 256_000  # a second and channel of a video's new sound
_TAGS = {
    **{name: name for name in ("title", "artist", "album", "comment", "genre", "copyright")},
    **{"date": "date", "track": "tracknumber"},
}


class Failure(ValueError):
    """FFmpeg cannot do what it was asked; the text is a clause."""


@dataclass(frozen=True)
class Sound:
    """The sound of a file, as ffprobe tells.

    Attributes:
        index: Which stream of the file it is.
        sample_rate: Samples per second and channel.
        num_channels: Channels.
        codec: How it is coded, such as "AAC".
        container: What it stands in, such as "MP4".
        duration: Seconds that the container promises; None where it promises nothing.
        delay: Seconds by which the sound begins after the file's first picture.
        bit_rate: Bits a second; 0 where unknown.
        bits: Bits of a sample, where the codec keeps every sample as it is; 0 elsewhere.
        tags: Title, artist and so on, by the names that soundfile has for them.
        left_behind: What else the file holds that no sound file can.
    """

    index: int
    sample_rate: int
    num_channels: int
    codec: str
    container: str
    duration: float | None
    delay: float
    bit_rate: int
    bits: int
    tags: dict[str, str]
    left_behind: tuple[str, ...]


def is_installed() -> bool:
    """Tell whether FFmpeg is there.

    Returns:
        True if both of its programs are found.
    """
    return all(shutil.which(program) for program in ("ffmpeg", "ffprobe"))


def probe(path: Path) -> Sound | None:
    """Ask what sound a file holds.

    Args:
        path: The file.

    Returns:
        The sound that a player would choose, or None if FFmpeg finds none.
    """
    command = ["ffprobe", "-v", "error", *_SAFE, "-of", "json", "-show_format", "-show_streams"]
    done = subprocess.run([*command, _address(path)], capture_output=True, stdin=subprocess.DEVNULL)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return None
    streams = told.get("streams", [])
    sounds = [stream for stream in streams if stream.get("codec_type") == "audio"]
    sounds = [stream for stream in sounds if int(stream.get("sample_rate", 0)) > 0]
    if not sounds:
        return None
    chosen = max(sounds, key=lambda stream: stream.get("disposition", {}).get("default", 0))
    form = told.get("format", {})
    names = form.get("format_name", "").split(",")
    suffix = path.suffix[1:].lower()
    tags = {
        key.lower(): text for key, text in (form.get("tags") or chosen.get("tags") or {}).items()
    }
    return Sound(
        index=chosen["index"],
        sample_rate=int(chosen["sample_rate"]),
        num_channels=int(chosen["channels"]),
        codec=chosen.get("codec_name", "unknown").upper(),
        container=(suffix if suffix in names else names[0]).upper(),
        duration=_seconds(chosen.get("duration")),
        delay=(_seconds(chosen.get("start_time")) or 0) - (_seconds(form.get("start_time")) or 0),
        bit_rate=int(chosen.get("bit_rate", 0)),
        bits=int(chosen.get("bits_per_raw_sample") or chosen.get("bits_per_sample") or 0),
        tags={_TAGS[key]: text for key, text in tags.items() if key in _TAGS},
        left_behind=tuple(_left_behind(streams, chosen)),
    )


def decode(path: Path, sound: Sound, num_frames: int) -> Iterator[np.ndarray]:
    """Decode the sound of a file, streamed from one process.

    Holes in the sound of a meeting or a screen are filled with silence, so that it stays beside
    its picture.

    Args:
        path: The file.
        sound: What `probe` told of it.
        num_frames: Samples of a block in each channel.

    Yields:
        Blocks (time, channel), float32; the last one may be shorter.

    Raises:
        Failure: FFmpeg cannot go on; the text is a clause.
    """
    command = _decoding(path, sound, "f32le")
    size = 4 * sound.num_channels * num_frames
    with _running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        while content := process.stdout.read(size):
            usable = len(content) - len(content) % (4 * sound.num_channels)
            samples = np.frombuffer(content[:usable], dtype="<f4")
            yield samples.reshape(-1, sound.num_channels).astype(np.float32)
        if process.wait():
            raise Failure(_last_line(errors))


def count_frames(path: Path, sound: Sound) -> tuple[int, str]:
    """Decode the sound of a file once, to see how long it is and whether it is sound.

    Args:
        path: The file.
        sound: What `probe` told of it.

    Returns:
        Samples in each channel, and what FFmpeg complained of, or "".

    Raises:
        Failure: FFmpeg cannot go on; the text is a clause.
    """
    command = _decoding(path, sound, "u8")
    num_bytes = 0
    with _running(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as (process, errors):
        assert process.stdout is not None
        while content := process.stdout.read(2**20):
            num_bytes += len(content)
        if process.wait():
            raise Failure(_last_line(errors))
        return num_bytes // sound.num_channels, _last_line(errors)


def _decoding(path: Path, sound: Sound, form: str) -> list[str]:
    """Write the command that sends the sound of a file through a pipe."""
    return [
        *("ffmpeg", "-v", "error", "-nostdin", *_SAFE, "-i", _address(path)),
        *("-map", f"0:{sound.index}", "-af", "aresample=async=1", "-f", form),
        *("-ar", str(sound.sample_rate), "-ac", str(sound.num_channels), "pipe:1"),
    ]


def replace_sound(path: Path, sound: Sound, video: Path, blocks: Iterable[np.ndarray]) -> None:
    """Write a video again with other sound; its picture, subtitles and titles are copied.

    Args:
        path: The video whose picture is taken.
        sound: What `probe` told of it.
        video: The file to write, .mp4, .m4v, .mov, .mkv or .webm.
        blocks: The new sound, (time, channel), float32, at the rate of `sound`.

    Raises:
        Failure: FFmpeg cannot write it; the text is a clause.
    """
    suffix = video.suffix.lower()
    same_family = _FAMILIES.get(path.suffix.lower()) == _FAMILIES[suffix]
    bits = min(
        max(sound.bit_rate, _LEAST_BITS * sound.num_channels), _MOST_BITS * sound.num_channels
    )
    command = [
        *("ffmpeg", "-v", "error", "-nostdin", "-y", "-itsoffset", f"{sound.delay:.6f}"),
        *("-f", "f32le", "-ar", str(sound.sample_rate), "-ac", str(sound.num_channels)),
        *("-i", "pipe:0", *_SAFE, "-i", _address(path), "-map", "1:v?", "-map", "0:a"),
        *(("-map", "1:s?") if same_family else ()),
        *("-map_metadata", "1", "-map_chapters", "1", "-map_metadata:s:a:0", f"1:s:{sound.index}"),
        *("-c", "copy", "-c:a", _CODECS.get(suffix, "aac"), "-b:a", str(bits)),
        *(("-movflags", "+faststart") if _FAMILIES[suffix] == "mp4" else ()),
        _address(video),
    ]
    with _running(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as (process, errors):
        assert process.stdin is not None
        try:
            for block in blocks:
                process.stdin.write(np.ascontiguousarray(block, dtype="<f4").tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass  # the process says why
        if process.wait():
            raise Failure(_last_line(errors))


@contextmanager
def _running(
    command: list[str], *, stdin: int, stdout: int
) -> Iterator[tuple[subprocess.Popen, IO[bytes]]]:
    """Run FFmpeg; whatever happens, the process ends with the block."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors)
        try:
            yield process, errors
        finally:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass
            process.wait()


def _address(path: Path) -> str:
    """Write a path so that no character of it means anything: a dash, a colon, a percent sign."""
    return f"file:{path.absolute()}"


def _last_line(errors: IO[bytes]) -> str:
    """Take the last thing that FFmpeg said, in one line and without its own addresses."""
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].rpartition("] ")[2].strip() if lines else ""


def _seconds(text: str | None) -> float | None:
    """Read a time of ffprobe, which may be missing."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _left_behind(streams: list[dict], chosen: dict) -> Iterator[str]:
    """Name what the file holds beside the chosen sound."""
    for stream in streams:
        kind = stream.get("codec_type")
        if stream.get("disposition", {}).get("attached_pic"):
            yield "cover picture"
        elif kind == "video":
            yield "picture"
        elif kind == "subtitle":
            yield "subtitles"
        elif kind == "audio" and stream is not chosen:
            yield f"another sound track (number {stream.get('index')})"
