"""Clean recordings: `python -m course_utils.denoise noisy.wav clean.wav`, or two folders.

The result has the sample rate, the channels, the length and the bit depth of the input. The
network hears up to 8 kHz, so of a recording at 44.1 or 48 kHz nothing above 8 kHz is left.
Files go through in blocks: hours need no more memory than seconds.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from course_utils.audio import AudioInfo, audio_info, encode, refuse_damaged
from course_utils.denoise.streaming import block_network
from course_utils.denoise.waveform import denoise_blocks, measure_level
from course_utils.files import WRITABLE_SUFFIXES, written_whole
from course_utils.models import Denoiser
from course_utils.validate import (
    existing_file,
    existing_folder,
    validate_number,
    validate_waveform,
)

_BLOCK_SECONDS = 10
_SAMPLE_BYTES = {
    "PCM_U8": 1,
    "PCM_S8": 1,
    "PCM_16": 2,
    "PCM_24": 3,
    "PCM_32": 4,
    "FLOAT": 4,
    "DOUBLE": 8,
}
_WAV_BYTES = 2**32 - 2**16  # a WAV file counts its bytes with 32 bits; RF64 is the longer kind


def denoise_file(
    noisy: str | os.PathLike,
    clean: str | os.PathLike,
    denoiser: Denoiser,
    *,
    mix: float = 0.0,
    overwrite: bool = False,
    on_block: Callable[[int, int], None] | None = None,
) -> float:
    """Clean a sound file of any length in constant memory, block by block.

    The file is read twice: once to see how loud it is, because the network works at one level,
    and once to clean it. The result is written beside its place and gets its name when it is
    whole; a stop in between leaves nothing behind.

    Args:
        noisy: A file that soundfile reads: WAV, FLAC, Ogg, MP3 and more.
        clean: The file to write, .wav or .flac, in a folder that exists.
        denoiser: On the CPU, in eval mode.
        mix: Share of the noisy sound in the result, (1 - mix) * estimate + mix * noisy, 0 to 1.
        overwrite: Replace `clean` if it is there.
        on_block: Called with (samples done, samples in all) after each block.

    Returns:
        The factor by which the result was turned down so that whole-number samples do not run
        beyond full scale; nearly always 1.

    Raises:
        FileNotFoundError: `noisy` or the folder of `clean` does not exist.
        TypeError: `mix` is not a number, or `denoiser` not a Denoiser.
        ValueError: `mix` is out of range, `denoiser` in training mode, `noisy` cannot be read
            whole, or `clean` cannot be written.

    Notebook: 06
    """
    target = Path(clean)
    validate_number(mix, "mix", minimum=0, maximum=1)
    source = existing_file(noisy, "noisy")
    refuse_target(source, target, replace=overwrite)
    block_network(denoiser)  # or say now, and not after the first reading, that it cannot be used
    info = audio_info(source)
    rate = denoiser.config.sample_rate
    level = measure_level(_read_blocks(source), info.sample_rate, at_rate=rate)

    def estimates() -> Iterator[Tensor]:
        done = 0
        blocks = _read_blocks(source)
        for piece in denoise_blocks(blocks, info.sample_rate, denoiser, level=level, mix=mix):
            validate_waveform(piece, name="what denoiser gives back")
            yield piece
            done += piece.shape[-1]
            if on_block:
                on_block(done, info.num_frames)

    subtype = _subtype(info.subtype, target)
    with written_whole(target) as temporary:
        peak = _write_blocks(temporary, target, estimates(), info, subtype)
        loud = peak > 1 and subtype.startswith("PCM")  # whole numbers would cut the tops off
        if loud:
            softer = (piece / peak for piece in estimates())
            _write_blocks(temporary, target, softer, info, subtype)
    return 1 / peak if loud else 1.0


def refuse_target(noisy: Path, clean: Path, *, replace: bool) -> None:
    """Refuse a file to write before any work is done for it.

    Args:
        noisy: The file to read; it exists.
        clean: The file to write.
        replace: Whether one that is there may be replaced.

    Raises:
        FileNotFoundError: The folder of `clean` does not exist.
        ValueError: `clean` cannot be written.
    """
    existing_folder(clean.parent, "the folder of clean")
    if clean.suffix.lower() not in WRITABLE_SUFFIXES or clean.is_dir():
        raise ValueError(f"clean must be a .wav or .flac file, got {str(clean)!r}; rename it.")
    if clean.exists() and clean.samefile(noisy):
        raise ValueError(f"clean must be another file than noisy, got {str(clean)!r} twice.")
    if clean.exists() and not replace:
        raise ValueError(f"clean {str(clean)!r} exists already; pass --force to replace it.")


def _subtype(subtype: str, target: Path) -> str:
    """Store samples as the input did, as far as the format of the result can."""
    file_format = target.suffix[1:].upper()
    if subtype not in _SAMPLE_BYTES:
        return "PCM_16"
    if soundfile.check_format(file_format, subtype):
        return subtype
    return "PCM_16" if subtype in ("PCM_U8", "PCM_S8") else "PCM_24"


def _read_blocks(path: Path) -> Iterator[Tensor]:
    """Read a file as (channel, time) blocks; a damaged one is an error in words."""
    num_read = 0
    with soundfile.SoundFile(str(path)) as file:
        damage = None
        size = _BLOCK_SECONDS * file.samplerate
        try:
            while len(samples := file.read(size, dtype="float32", always_2d=True)):
                block = torch.from_numpy(samples.T.copy())
                validate_waveform(block, name=f"the audio in {str(path)!r}")
                num_read += block.shape[-1]
                yield block
        except soundfile.LibsndfileError as error:
            damage = error
        refuse_damaged(path, file, num_read=num_read, num_frames=file.frames, damage=damage)


def _write_blocks(
    path: Path, target: Path, blocks: Iterator[Tensor], info: AudioInfo, subtype: str
) -> float:
    """Write (channel, time) blocks, whole numbers cut off at full scale; return the peak."""
    peak = 0.0
    file_format = target.suffix[1:].upper()
    num_bytes = _SAMPLE_BYTES[subtype] * info.num_frames * info.num_channels
    if file_format == "WAV" and num_bytes > _WAV_BYTES:
        file_format = "RF64"
    try:
        with soundfile.SoundFile(
            str(path), "w", info.sample_rate, info.num_channels, subtype, format=file_format
        ) as file:
            for block in blocks:
                peak = max(peak, float(block.abs().max()))
                file.write(encode(block.clamp(-1, 1) if "PCM" in subtype else block, subtype))
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(
            f"clean must be a file that can be written, got {str(target)!r} ({error}); check the "
            "number of channels, the sample rate and the free space."
        ) from error
    return peak
