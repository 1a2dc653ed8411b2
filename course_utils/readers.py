"""The one reader of the course: commands, training, lessons and the page open recordings here.

What the container promises (`containers`), what the decoder gives and what the file holds are
compared. Where they differ, the recording is read to its end and `AudioInfo.note` says so, or it
is refused in words. soundfile decodes WAV, FLAC, Ogg, MP3 and their kin with nothing else
installed; what it cannot read goes through FFmpeg.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from course_utils import ffmpeg
from course_utils.containers import CutShort, Part, PartFile, Survey, survey
from course_utils.files import FFMPEG_SUFFIXES, VIDEO_SUFFIXES
from course_utils.validate import existing_file

_FOR_FFMPEG = ("MP4", "MATROSKA", "ASF", "AVI", "MPEG in WAV")
_LOST_SECONDS = 0.5  # a codec's first and last frames may be left out
_COUNTED = 2**20  # samples that are read at once only to be counted
_RUN_UP = 10_000  # samples; a frame of MP3 needs those before it
_REMEMBERED = 4096  # recordings; looking again at one that did not change costs nothing


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file holds, known without keeping its samples.

    Attributes:
        sample_rate: Samples per second and channel.
        num_channels: 1 for mono, 2 for stereo.
        num_frames: Samples in each channel.
        duration: Seconds, num_frames / sample_rate.
        subtype: How one sample is stored, for example "PCM_16", "FLOAT" or "AAC".
        format: The container, for example "WAV" or "FLAC".
        note: What differs from what the file promises, and how it was taken; nearly always "".
    """

    sample_rate: int
    num_channels: int
    num_frames: int
    duration: float
    subtype: str
    format: str
    note: str = ""


@dataclass(frozen=True)
class Recording:
    """A recording that was looked at and can be read, as often as wanted.

    Attributes:
        path: Its file.
        info: What it holds.
        tags: Title, artist and so on, by soundfile's names.
        chunks: Of a WAV file, everything beside its sound.
        left_behind: What else the file holds that no sound file can, such as a picture.
    """

    path: Path
    info: AudioInfo
    tags: dict[str, str]
    chunks: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    left_behind: tuple[str, ...] = ()
    sound: ffmpeg.Sound | None = field(default=None, repr=False)
    _parts: tuple[tuple[Part, int], ...] = field(default=(), repr=False)

    def blocks(self, num_frames: int, *, start: int = 0) -> Iterator[np.ndarray]:
        """Read the recording piece by piece.

        Args:
            num_frames: Samples of a block in each channel; some blocks are shorter.
            start: Where to begin.

        Yields:
            Blocks (time, channel), float32 between -1 and 1.

        Raises:
            ValueError: Less can be read than the recording holds.
        """
        done = start
        try:
            if self.sound is not None:
                pieces = _from(start, ffmpeg.decode(self.path, self.sound, num_frames))
            else:
                pieces = self._decoded(num_frames, start)
            for samples in pieces:
                done += len(samples)
                yield samples
        except (soundfile.LibsndfileError, ffmpeg.Failure) as error:
            raise self._damage(done) from error
        if done < self.info.num_frames:
            raise self._damage(done)

    def read(self, start: int, num_frames: int) -> np.ndarray:
        """Read a piece of the recording.

        Args:
            start: Its first sample.
            num_frames: Its length in samples; it lies within the recording.

        Returns:
            Samples (time, channel), float32 between -1 and 1.

        Raises:
            ValueError: Less can be read than the recording holds.
        """
        pieces: list[np.ndarray] = []
        missing = num_frames
        blocks = self.blocks(min(num_frames, _COUNTED), start=start)
        for block in blocks:
            pieces.append(block[:missing])
            missing -= len(pieces[-1])
            if not missing:
                break
        blocks.close()  # type: ignore[attr-defined]
        return np.concatenate(pieces)

    def _decoded(self, num_frames: int, start: int) -> Iterator[np.ndarray]:
        """Let soundfile decode one part after the other."""
        for part, length in self._parts:
            if start >= length:
                start -= length
                continue
            with _decoder(self.path, part) as file:
                left = length - start
                skip = start  # some codecs can only be read from the beginning
                if start and file.can_seek and not part.open_ended:
                    skip = min(start, _RUN_UP if file.format == "MP3" else 0)
                    with _hushed(file):
                        file.seek(start - skip)
                start = 0
                while left:
                    with _hushed(file):
                        samples = file.read(
                            min(num_frames, skip or left), "float32", always_2d=True
                        )
                    if not len(samples):
                        return
                    if skip:
                        skip -= len(samples)
                        continue
                    left -= len(samples)
                    yield samples

    def _damage(self, num_read: int) -> ValueError:
        """Say that less can be read than the recording holds."""
        return ValueError(
            f"path {str(self.path)!r} was cut short or damaged ({num_read} of "
            f"{self.info.num_frames} frames could be read); copy or export it again."
        )


def open_audio(path: str | os.PathLike) -> Recording:
    """Look at a recording: what its file promises, what it holds, and whether both agree.

    Args:
        path: A file of sound, or a video.

    Returns:
        The recording; nothing of it stays open.

    Raises:
        TypeError: `path` is neither a string nor a path.
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, empty, not audio, cut short, or needs FFmpeg.

    Notebook: 02
    """
    source = existing_file(path)
    status = source.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(
            f"path must be a file, got {str(source)!r}, a pipe or a device; save its sound first."
        )
    if status.st_size == 0:
        raise ValueError(
            f"path must hold samples, got {str(source)!r} of 0 bytes; export it again."
        )
    return _opened(source, status.st_size, status.st_mtime_ns, ffmpeg.is_installed())


@lru_cache(maxsize=_REMEMBERED)
def _opened(path: Path, size: int, _changed: int, has_ffmpeg: bool) -> Recording:
    """Open a file that is as it was when it got this size at this time."""
    try:
        found = survey(path)
    except CutShort as error:
        raise ValueError(
            f"path must be a whole file, got {str(path)!r}: {error}; copy or export it again."
        ) from error
    reason = f"its container is {found.container}"
    if found.container not in _FOR_FFMPEG:
        try:
            return _with_soundfile(path, found)
        except soundfile.LibsndfileError as error:
            reason = error.error_string
    sound = ffmpeg.probe(path) if has_ffmpeg else None
    if sound is not None:
        return _with_ffmpeg(path, found, sound)
    known = (
        found.container in _FOR_FFMPEG or path.suffix.lower() in FFMPEG_SUFFIXES + VIDEO_SUFFIXES
    )
    if known and not has_ffmpeg:
        raise ValueError(
            f"path must be audio that soundfile can read, got {str(path)!r} ({reason}); "
            f"{ffmpeg.REMEDY}."
        )
    raise ValueError(
        f"path must be audio, got {str(path)!r} of {size} bytes, in which no sound is found "
        f"({reason}); export it as WAV or FLAC."
    )


def _with_soundfile(path: Path, found: Survey) -> Recording:
    """Open every part with soundfile."""
    parts = []
    shapes = set()
    for part in found.parts:
        with _decoder(path, part) as file:
            num_frames = _count(file) if part.open_ended else file.frames
            shapes.add((file.samplerate, file.channels))
            parts.append((part, num_frames))
            if len(parts) == 1:
                subtype, container = file.subtype, file.format
                tags = {name: text for name, text in file.copy_metadata().items() if text}
    if len(shapes) > 1:
        raise ValueError(
            f"path must hold one recording, got several of different rates or channels in "
            f"{str(path)!r}; cut it apart."
        )
    total = sum(length for _, length in parts)
    if not total:
        raise ValueError(f"path must hold samples, got {str(path)!r} without any; export it again.")
    rate, channels = shapes.pop()
    note = "; ".join(found.notes)
    info = AudioInfo(rate, channels, total, total / rate, subtype, container, note)
    return Recording(path, info, tags, found.chunks, found.left_behind, _parts=tuple(parts))


def _with_ffmpeg(path: Path, found: Survey, sound: ffmpeg.Sound) -> Recording:
    """Open the sound that FFmpeg finds, and decode it once to see how long it is."""
    try:
        num_frames, complaint = ffmpeg.count_frames(path, sound)
    except ffmpeg.Failure as error:
        raise ValueError(
            f"path must be audio that FFmpeg can decode, got {str(path)!r} ({error}); copy or "
            "export it again."
        ) from error
    duration = num_frames / sound.sample_rate
    promised = sound.duration if found.container in _FOR_FFMPEG else None
    if not num_frames or (promised or 0) > duration + _LOST_SECONDS:
        raise ValueError(
            f"path {str(path)!r} was cut short or damaged ({duration:.1f} of {promised or 0:.1f} s "
            "could be decoded); copy or export it again."
        )
    notes = (*found.notes, *((f"FFmpeg found damage in it ({complaint})",) if complaint else ()))
    info = AudioInfo(
        sound.sample_rate, sound.num_channels, num_frames, duration, sound.codec, sound.container,
        "; ".join(notes),
    )  # fmt: skip
    return Recording(path, info, sound.tags, left_behind=sound.left_behind, sound=sound)


class _Decoder(soundfile.SoundFile):
    """soundfile, which seeks only when it is told to.

    It would seek behind every block that was read, to the place where it stands. An MP3 decoder
    begins anew there, and the first frame lacks what the one before holds of it: a click.
    """

    @property
    def can_seek(self) -> bool:
        """Whether the codec can begin anywhere."""
        return super().seekable()

    def seekable(self) -> bool:
        """Say no, to be left alone."""
        return False


@contextmanager
def _decoder(path: Path, part: Part) -> Iterator[_Decoder]:
    """Open a part with soundfile: a whole file by its name, which is quicker, or a piece of it."""
    whole = part == Part(0, path.stat().st_size) and os.name != "nt"
    source = os.fsencode(path) if whole else PartFile(path, part)
    try:
        with _hushed():
            file = _Decoder(source)
        try:
            yield file
        finally:
            with _hushed(file):
                file.close()
    finally:
        if isinstance(source, PartFile):
            source.close()


def _count(file: soundfile.SoundFile) -> int:
    """Count the samples of a stream that does not say how long it is."""
    num_frames = 0
    while length := len(file.read(_COUNTED, "float32")):
        num_frames += length
    return num_frames


def _from(start: int, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Leave out the first samples."""
    for block in blocks:
        if start < len(block):
            yield block[start:]
        start = max(0, start - len(block))


_console = threading.Lock()
if hasattr(os, "register_at_fork"):  # a worker begins with a lock that nobody holds
    os.register_at_fork(after_in_child=lambda: globals().update(_console=threading.Lock()))


def _hushed(file: soundfile.SoundFile | None = None):
    """Keep the remarks of mpg123, which it writes past Python, from the console."""
    return nullcontext() if file is not None and file.format != "MP3" else _silent_console()


@contextmanager
def _silent_console() -> Iterator[None]:
    """Let nothing be written to stderr, by whatever language."""
    with _console:
        try:
            kept = os.dup(2)
        except OSError:  # there is no console
            yield
            return
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(silence)
            os.close(kept)
