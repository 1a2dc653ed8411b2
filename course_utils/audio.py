"""Read, write, check, resample and fold down audio.

Every waveform is a float tensor of shape (..., time) with samples between -1 and 1; files are
read and written as (channel, time). Files are read by `readers`: through soundfile, which takes
WAV, FLAC, Ogg and MP3 with nothing else installed, and other kinds through FFmpeg, if it is there.
`torchaudio.load` needs FFmpeg and TorchCodec for all of them since version 2.9.
"""

import errno
import math
import os
import warnings
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio.functional
from torch import Tensor

from course_utils.files import written_whole
from course_utils.readers import AudioInfo, open_audio
from course_utils.validate import (
    existing_folder,
    validate_choice,
    validate_integer,
    validate_number,
    validate_waveform,
)

SAMPLE_RATE = 16_000
"""Samples per second used by the whole course."""

SUBTYPE_BITS = {
    **{"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32},
    **{"FLOAT": 32, "DOUBLE": 64},
}
"""Bits of a sample, by soundfile's name for how it is stored."""

_FLOAT_SUBTYPES = {"FLOAT": torch.float32, "DOUBLE": torch.float64}
_SUFFIX_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
_MAX_KERNEL_SIZE = 2_000_000  # numbers; common pairs of rates need less
_TAPS_AT_ONCE = 2**20
_MAX_RATIO = 1000  # of two rates; beyond it a file's header is wrong, and memory overflows
FILTER_WIDTH = 6
"""Zero crossings of the resampling filter on each side: torchaudio's default."""

ROLLOFF = 0.99
"""Where that filter begins to cut, as a share of the lower Nyquist frequency."""

_READ_BACK = 2**20  # samples at once


def audio_info(path: str | os.PathLike) -> AudioInfo:
    """Look at an audio file without keeping its samples.

    Args:
        path: A WAV, FLAC, Ogg or MP3 file; with FFmpeg, any other kind of sound, or a video.

    Returns:
        The file's rate, channels, frames, duration in seconds, subtype and format.

    Raises:
        TypeError: `path` is neither a string nor a path.
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, empty, not audio, or cut short.

    Notebook: 02
    """
    return open_audio(path).info


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
        path: A WAV, FLAC, Ogg or MP3 file; with FFmpeg, any other kind of sound, or a video.
        sample_rate: Resample to this rate in Hz; None keeps the file's own.
        mono: Average all channels into one; False keeps them.
        offset: Seconds to skip at the start.
        duration: Seconds to read, fewer where the file ends earlier; None reads to the end.

    Returns:
        The waveform (channel, time), channel = 1 when mono, and its sample rate in Hz.

    Warns:
        UserWarning: The file holds more than it promises, or is damaged, and is read to its end.

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
    recording = open_audio(path)
    file_rate = recording.info.sample_rate
    total = recording.info.num_frames
    start = round(offset * file_rate)
    if start >= total:
        raise ValueError(
            f"offset must be inside the file, got {offset} s for a file of "
            f"{total / file_rate:.3f} s; choose a smaller one."
        )
    num_frames = total - start
    if duration is not None:
        num_frames = min(num_frames, max(1, round(duration * file_rate)))
    if recording.info.note:
        warnings.warn(f"{os.fspath(path)!r}: {recording.info.note}.", stacklevel=2)
    samples = recording.read(start, num_frames)
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
    rows = waveform.reshape(-1, waveform.shape[-1])  # (channel, time)
    try:
        with written_whole(target, exclusive=not overwrite) as temporary:
            write_blocks(
                temporary, [rows], sample_rate, len(rows), subtype=subtype, file_format=file_format
            )
    except FileExistsError:
        raise
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(
            f"path must be a file that can be written, got {str(target)!r} ({error}); check the "
            "number of channels, the sample rate and the free space."
        ) from error


def write_blocks(
    path: str | os.PathLike,
    blocks: Iterable[Tensor],
    sample_rate: int,
    num_channels: int,
    *,
    subtype: str,
    file_format: str,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a sound file block by block, and read it back: on a full disk some say nothing.

    Args:
        path: The file; what is there is replaced.
        blocks: Pieces (channel, time), one after the other.
        sample_rate: Samples per second.
        num_channels: Channels of each block.
        subtype: How a sample is stored, one of those of `save_audio`.
        file_format: The container, by soundfile's name.
        tags: Title, artist and so on, by soundfile's names; what the container cannot hold is
            left out.

    Raises:
        OSError: What can be read back is not what was written.
        ValueError: Samples beyond full scale, which integers would cut off.

    Notebook: 02
    """
    name = os.fspath(path) if os.name == "nt" else os.fsencode(path)
    written = 0  # checksums
    with soundfile.SoundFile(
        name, "w", sample_rate, num_channels, subtype, format=file_format
    ) as file:
        for key, text in (tags or {}).items():
            setattr(file, key, text)
        for block in blocks:
            samples = np.ascontiguousarray(encode(block, subtype))
            file.write(samples)
            written = zlib.crc32(samples.data, written)
    dtype = {"FLOAT": "float32", "DOUBLE": "float64"}.get(subtype, "int32")
    read = 0
    try:
        with soundfile.SoundFile(name) as file:
            while len(samples := file.read(_READ_BACK, dtype, always_2d=True)):
                read = zlib.crc32(samples.data, read)
    except soundfile.LibsndfileError as error:
        raise OSError(errno.EIO, "what was written cannot be read back") from error
    if read != written:
        raise OSError(errno.EIO, "what can be read back is not what was written")


def resample(waveform: Tensor, orig_freq: int, new_freq: int) -> Tensor:
    """Change the sample rate, with everything above the lower Nyquist frequency removed first.

    A thin cover over `torchaudio.functional.resample` (a sinc filter with a Hann window,
    6 zero crossings wide on each side, roll-off 0.99) that keeps the dtype. Rates with hardly a
    common divisor, such as 44056 and 16000, would make torchaudio keep thousands of filters, most
    of them zeros; for those the same filter is computed here, without the zeros.

    Args:
        waveform: Float tensor (..., time).
        orig_freq: Its present rate in Hz.
        new_freq: The rate wanted in Hz.

    Returns:
        A new tensor (..., ceil(time * new_freq / orig_freq)).

    Raises:
        TypeError: A rate that is not an integer.
        ValueError: A rate below 1, or two that differ by a factor of more than 1000.

    Source: https://ccrma.stanford.edu/~jos/resample/
    Notebook: 02
    """
    validate_integer(orig_freq, "orig_freq", minimum=1)
    validate_integer(new_freq, "new_freq", minimum=1)
    if orig_freq == new_freq:
        return waveform.clone()
    if max(orig_freq, new_freq) > _MAX_RATIO * min(orig_freq, new_freq):
        raise ValueError(
            f"orig_freq and new_freq must differ by a factor of at most {_MAX_RATIO}, got "
            f"{orig_freq} and {new_freq}; check the rate that the recording tells."
        )
    divisor = math.gcd(orig_freq, new_freq)
    old = orig_freq // divisor
    new = new_freq // divisor
    work = waveform if waveform.dtype in (torch.float32, torch.float64) else waveform.float()
    # torchaudio keeps one filter for each of `new` output phases, as long as `old` samples.
    if new * (old + 13 * max(1.0, old / new)) <= _MAX_KERNEL_SIZE:
        resampled = torchaudio.functional.resample(work, orig_freq, new_freq)
    else:
        resampled = _resample_sparsely(work, old, new)
    return resampled.to(waveform.dtype)


def _resample_sparsely(waveform: Tensor, old: int, new: int) -> Tensor:
    """Apply torchaudio's filter sample by sample: each one out sees only the few in around it."""
    base = min(old, new) * ROLLOFF
    reach = math.ceil(FILTER_WIDTH * old / base)  # samples on each side
    num_out = math.ceil(waveform.shape[-1] * new / old)
    padded = torch.nn.functional.pad(waveform, (reach, reach + 1))
    taps = torch.arange(2 * reach + 1, device=waveform.device)
    pieces = []
    size = max(1, _TAPS_AT_ONCE // len(taps))
    for begin in range(0, num_out, size):
        wanted = torch.arange(begin, min(begin + size, num_out), device=waveform.device)
        first = wanted * old // new  # the sample at or before each place
        behind = (wanted * old - first * new).double() / new  # and how far behind it the place is
        distance = (taps - reach - behind[:, None]) * (base / old)  # in zero crossings
        window = torch.cos(
            distance.clamp(-FILTER_WIDTH, FILTER_WIDTH) * (torch.pi / (2 * FILTER_WIDTH))
        ).square()
        weight = torch.sinc(distance) * window * (base / old)  # (out, tap)
        pieces.append((padded[..., first[:, None] + taps] * weight.to(padded.dtype)).sum(dim=-1))
    return torch.cat(pieces, dim=-1)


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
    bits = SUBTYPE_BITS[subtype]
    full_scale = 2 ** (bits - 1)
    integers = torch.round(samples.double() * full_scale).clamp(-full_scale, full_scale - 1)
    return (integers.long() << (32 - bits)).to(torch.int32).numpy()


def _file_format(target: Path, subtype: str) -> str:
    """Return the container for a file name, if it can hold the subtype."""
    validate_choice(target.suffix.lower(), "the ending of path", _SUFFIX_FORMATS)
    file_format = _SUFFIX_FORMATS[target.suffix.lower()]
    known = [each for each in SUBTYPE_BITS if soundfile.check_format(file_format, each)]
    validate_choice(subtype, f"subtype of {file_format}", known)
    return file_format
