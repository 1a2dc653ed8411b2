"""Read, write, check, resample and fold down audio.

Every waveform is a float tensor of shape (..., time) with samples between -1 and 1; files are
read and written as (channel, time). Files go through soundfile, which reads WAV, FLAC, Ogg and
MP3 with nothing else installed; `torchaudio.load` needs FFmpeg and TorchCodec since version 2.9.
"""

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional
from torch import Tensor

from course_utils.files import written_whole
from course_utils.validate import (
    existing_file,
    existing_folder,
    validate_choice,
    validate_integer,
    validate_number,
    validate_waveform,
)

SAMPLE_RATE = 16_000
"""Samples per second used by the whole course."""

_SUBTYPE_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FLOAT_SUBTYPES = {"FLOAT": torch.float32, "DOUBLE": torch.float64}
_SUFFIX_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_MAX_KERNEL_SIZE = 20_000_000
_MP3_SLACK = 0.1  # seconds; an MP3 file without a length in its header has an estimated one


@dataclass(frozen=True)
class AudioInfo:
    """What an audio file says about itself, read without loading the samples.

    Attributes:
        sample_rate: Samples per second and channel.
        num_channels: 1 for mono, 2 for stereo.
        num_frames: Samples in each channel.
        duration: Seconds, num_frames / sample_rate.
        subtype: How one sample is stored, for example "PCM_16" or "FLOAT".
        format: The container, for example "WAV" or "FLAC".
    """

    sample_rate: int
    num_channels: int
    num_frames: int
    duration: float
    subtype: str
    format: str


def audio_info(path: str | os.PathLike) -> AudioInfo:
    """Look at an audio file without loading its samples.

    Args:
        path: A WAV, FLAC, Ogg or MP3 file.

    Returns:
        The file's rate, channels, frames, duration in seconds, subtype and format.

    Raises:
        TypeError: `path` is neither a string nor a path.
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, empty, not audio, or cut short.

    Notebook: 02
    """
    with _open_audio(path) as file:
        return AudioInfo(
            sample_rate=file.samplerate,
            num_channels=file.channels,
            num_frames=file.frames,
            duration=file.frames / file.samplerate,
            subtype=file.subtype,
            format=file.format,
        )


def load_audio(
    path: str | os.PathLike,
    *,
    sample_rate: int | None = None,
    mono: bool = True,
    offset: float = 0.0,
    duration: float | None = None,
) -> tuple[Tensor, int]:
    """Load an audio file as float32 samples between -1 and 1.

    Integers of b bits are divided by 2**(b - 1), so 16-bit samples by 32768.

    Args:
        path: A WAV, FLAC, Ogg or MP3 file.
        sample_rate: Resample to this rate in Hz; None keeps the file's own.
        mono: Average all channels into one; False keeps them.
        offset: Seconds to skip at the start.
        duration: Seconds to read, fewer where the file ends earlier; None reads to the end.

    Returns:
        The waveform (channel, time), channel = 1 when mono, and its sample rate in Hz.

    Raises:
        TypeError: A path, rate or time of the wrong type.
        FileNotFoundError: There is no such file.
        ValueError: A file that cannot be read whole, a rate or time out of range, NaN inside.

    Notebook: 02
    """
    if sample_rate is not None:
        validate_integer(sample_rate, "sample_rate", minimum=1)
    validate_number(offset, "offset", minimum=0)
    if duration is not None:
        validate_number(duration, "duration", above=0)
    with _open_audio(path) as file:
        file_rate = file.samplerate
        start = round(offset * file_rate)
        if start >= file.frames:
            raise ValueError(
                f"offset must be inside the file, got {offset} s for a file of "
                f"{file.frames / file_rate:.3f} s; choose a smaller one."
            )
        num_frames = file.frames - start
        if duration is not None:
            num_frames = min(num_frames, max(1, round(duration * file_rate)))
        samples = _read_frames(file, path, start, num_frames)
    waveform = torch.from_numpy(samples.T.copy())  # (time, channel) -> (channel, time)
    validate_waveform(waveform, name=f"the audio in {os.fspath(path)!r}")
    if mono:
        waveform = to_mono(waveform)
    if sample_rate is not None:
        waveform = resample(waveform, file_rate, sample_rate)
    return waveform, sample_rate or file_rate


def save_audio(
    path: str | os.PathLike,
    waveform: Tensor,
    sample_rate: int,
    *,
    subtype: str = "PCM_16",
    overwrite: bool = False,
) -> None:
    """Write a waveform to a WAV or FLAC file, whole or not at all.

    The samples go to a hidden file beside `path` that takes its name only when it is complete.
    Integer subtypes of b bits store round(sample * 2**(b - 1)), the inverse of `load_audio`.

    Args:
        path: A file name that ends in .wav or .flac, in a folder that exists.
        waveform: Float tensor (time,) or (channel, time).
        sample_rate: Samples per second.
        subtype: "PCM_16", "PCM_24", "PCM_U8", "PCM_S8", "PCM_32", "FLOAT" or "DOUBLE", as far
            as the format knows it. Only FLOAT and DOUBLE hold samples beyond full scale.
        overwrite: Replace a file that is already there.

    Raises:
        TypeError: Arguments of the wrong type.
        FileNotFoundError: The folder does not exist.
        ValueError: A shape, rate, subtype or path that cannot be written, a file already there,
            NaN, or samples beyond full scale, which the file would cut off.

    Notebook: 02
    """
    target = Path(path)
    validate_waveform(waveform)
    if waveform.ndim > 2:
        raise ValueError(
            f"waveform must have shape (time,) or (channel, time), got {tuple(waveform.shape)}; "
            "save the items of a batch one by one."
        )
    validate_integer(sample_rate, "sample_rate", minimum=1)
    file_format = _file_format(target, subtype)
    existing_folder(target.parent, "path's folder")
    if target.is_dir() or (target.exists() and not overwrite):
        raise ValueError(
            f"path must be a new name, got {str(target)!r}, which exists; choose another one, or "
            "pass overwrite=True for a file."
        )
    samples = encode(waveform, subtype)
    try:
        with written_whole(target) as temporary:
            soundfile.write(temporary, samples, sample_rate, subtype=subtype, format=file_format)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(
            f"path must be a file that can be written, got {str(target)!r} ({error}); check the "
            "number of channels, the sample rate and the free space."
        ) from error


def resample(waveform: Tensor, orig_freq: int, new_freq: int) -> Tensor:
    """Change the sample rate, with everything above the lower Nyquist frequency removed first.

    A thin cover over `torchaudio.functional.resample` (a sinc filter with a Hann window,
    6 zero crossings wide on each side, roll-off 0.99) that keeps the dtype and fits into memory.

    Args:
        waveform: Float tensor (..., time).
        orig_freq: Its present rate in Hz.
        new_freq: The rate wanted in Hz.

    Returns:
        A new tensor (..., ceil(time * new_freq / orig_freq)).

    Raises:
        TypeError: A rate that is not an integer.
        ValueError: A rate below 1, or a pair of rates with hardly a common divisor.

    Source: https://ccrma.stanford.edu/~jos/resample/
    Notebook: 02
    """
    validate_integer(orig_freq, "orig_freq", minimum=1)
    validate_integer(new_freq, "new_freq", minimum=1)
    if orig_freq == new_freq:
        return waveform.clone()
    divisor = math.gcd(orig_freq, new_freq)
    old = orig_freq // divisor
    new = new_freq // divisor
    # torchaudio keeps one filter for each of `new` output phases: prime rates fill the memory.
    if new * (old + 13 * max(1.0, old / new)) > _MAX_KERNEL_SIZE:
        raise ValueError(
            f"orig_freq and new_freq must share a larger divisor, got {orig_freq} and {new_freq} "
            f"(divisor {divisor}); choose common rates such as 16000, 22050, 44100 or 48000."
        )
    work = waveform if waveform.dtype in (torch.float32, torch.float64) else waveform.float()
    resampled = torchaudio.functional.resample(work, orig_freq, new_freq)
    return resampled.to(waveform.dtype)


def to_mono(waveform: Tensor) -> Tensor:
    """Fold all channels into one by averaging them; the channel axis stays, with size 1.

    Args:
        waveform: Float tensor (..., channel, time).

    Returns:
        A new tensor (..., 1, time).

    Raises:
        ValueError: No channel axis.

    Notebook: 02
    """
    if waveform.ndim < 2:
        raise ValueError(
            f"waveform must have a channel axis (..., channel, time), got shape "
            f"{tuple(waveform.shape)}; add one with waveform.unsqueeze(0)."
        )
    return waveform.mean(dim=-2, keepdim=True)


def encode(waveform: Tensor, subtype: str) -> np.ndarray:
    """Turn samples into the numbers that a file stores: the inverse of reading them.

    Args:
        waveform: Float tensor (time,) or (channel, time).
        subtype: How the file stores a sample, one of those of `save_audio`.

    Returns:
        Array (time, channel) for `soundfile.write`: floats, or integers in the high bits of int32.

    Raises:
        ValueError: Samples beyond full scale, which integers would cut off.

    Notebook: 02
    """
    samples = waveform.detach().cpu().reshape(-1, waveform.shape[-1]).T
    if subtype in _FLOAT_SUBTYPES:
        return samples.to(_FLOAT_SUBTYPES[subtype]).numpy()
    peak = float(samples.abs().max())
    if peak > 1.0:
        raise ValueError(
            f"waveform must stay within -1 and 1 for {subtype}, got a peak of {peak:.3f}; "
            "scale it down, and scale both members of a pair by one gain (normalize_pair)."
        )
    # libsndfile would multiply floats by 32767 and divide by 32768 on the way back: a file saved
    # ten times would fade. So the integers are made here, as the inverse of loading.
    bits = _SUBTYPE_BITS[subtype]
    full_scale = 2 ** (bits - 1)
    integers = torch.round(samples.double() * full_scale).clamp(-full_scale, full_scale - 1)
    return (integers.long() << (32 - bits)).to(torch.int32).numpy()


def _open_audio(path: str | os.PathLike) -> soundfile.SoundFile:
    """Open a file for reading; every way in which that fails becomes one sentence."""
    source = existing_file(path)
    shown = repr(str(source))
    if source.stat().st_size == 0:
        raise ValueError(f"path must hold samples, got {shown} of 0 bytes; export it again.")
    if missing := _missing_wav_bytes(source):
        raise ValueError(
            f"path must be a whole file, got {shown}, which was cut short ({missing} bytes are "
            "missing); copy or export it again."
        )
    try:
        file = soundfile.SoundFile(str(source))
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"path must be audio that soundfile can read, got {shown} of "
            f"{source.stat().st_size} bytes ({error.error_string}); export it as WAV or FLAC."
        ) from error
    if file.frames == 0:
        file.close()
        raise ValueError(f"path must hold samples, got {shown} without any; export it again.")
    return file


def _missing_wav_bytes(source: Path) -> int:
    """Count the bytes a RIFF/WAV header promises and the file lacks; 0 for other formats.

    The reading library plays what is left of a truncated WAV without a word, and half a clip
    beside a whole one is no pair. Programs that write to a pipe do not know the length and put
    a number near 2**31 or 2**32 there: such files are taken as they are.
    """
    size = source.stat().st_size
    with source.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":
            return 0
        while len(header := file.read(8)) == 8:
            chunk, length = struct.unpack("<4sI", header)
            if chunk == b"data":
                unknown = length >= 0x7FFF0000
                return 0 if unknown else max(0, file.tell() + length - size)
            file.seek(length + length % 2, os.SEEK_CUR)
    return 0


def _read_frames(file: soundfile.SoundFile, path, start: int, num_frames: int):
    """Read (num_frames, channel) float32 samples, or say that the file is cut short."""
    damage = None
    try:
        file.seek(start)
        samples = file.read(num_frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        damage = error
        samples = np.zeros((0, file.channels), dtype=np.float32)
    refuse_damaged(path, file, num_read=len(samples), num_frames=num_frames, damage=damage)
    return samples


def refuse_damaged(
    path: str | os.PathLike,
    file: soundfile.SoundFile,
    *,
    num_read: int,
    num_frames: int,
    damage: Exception | None = None,
) -> None:
    """Refuse a file of which less could be read than its header promises.

    Args:
        path: Where it lies.
        file: The file, open or closed.
        num_read: Frames that could be read.
        num_frames: Frames that were asked for.
        damage: What soundfile said when it could not go on.

    Raises:
        ValueError: Frames are missing.

    Notebook: 02
    """
    slack = round(_MP3_SLACK * file.samplerate) if file.format == "MP3" and num_read else 0
    if damage or num_read < num_frames - slack:
        raise ValueError(
            f"path {os.fspath(path)!r} was cut short or damaged ({num_read} of {num_frames} "
            "frames could be read); copy or export it again."
        ) from damage


def _file_format(target: Path, subtype: str) -> str:
    """Return the container for a file name, if it can hold the subtype."""
    validate_choice(target.suffix.lower(), "the ending of path", _SUFFIX_FORMATS)
    file_format = _SUFFIX_FORMATS[target.suffix.lower()]
    known = [
        each
        for each in (*_SUBTYPE_BITS, *_FLOAT_SUBTYPES)
        if soundfile.check_format(file_format, each)
    ]
    validate_choice(subtype, f"subtype of {file_format}", known)
    return file_format
