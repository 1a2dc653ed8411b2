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

from course_utils.audio import SAMPLE_RATE, AudioInfo, audio_info, encode, resample
from course_utils.denoise.streaming import denoise_blocks, measure_level
from course_utils.files import written_whole
from course_utils.models import Denoiser
from course_utils.validate import validate_waveform

_BLOCK_SECONDS = 10
_SAMPLE_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}
_SAMPLE_BYTES |= {"FLOAT": 4, "DOUBLE": 8}
_WAV_BYTES = 2**32 - 2**16  # a WAV file counts its bytes with 32 bits; RF64 is the longer kind
_MP3_SLACK = 0.1  # seconds; without a length in its header, that of an MP3 file is estimated


def denoise_waveform(
    waveform: Tensor,
    sample_rate: int,
    denoiser: Callable[[Tensor], Tensor],
    *,
    block_seconds: int = _BLOCK_SECONDS,
) -> Tensor:
    """Run a denoiser over sound of any length, rate and number of channels.

    The sound is resampled to 16 kHz and back. Through a `Denoiser` it goes in blocks, with the
    memory of the network, of the STFT and of the resampler handed from each to the next: the
    result is that of the whole. Any other function gets the whole at once. Each channel is
    denoised for itself.

    Args:
        waveform: Float tensor (..., time).
        sample_rate: Its samples per second.
        denoiser: A Denoiser in eval mode, or a function, such as a baseline, that maps
            (channel, time) at 16 kHz to the same shape.
        block_seconds: Length of a block in whole seconds, at least 1.

    Returns:
        The estimate: shape, dtype and device of `waveform`, without a gradient.

    Raises:
        TypeError: `waveform` is no float tensor, a number is no integer.
        ValueError: `waveform` holds nothing, NaN or infinity, `block_seconds` is too short, or
            the denoiser gives back another shape or values that are not finite.

    Notebook: 06
    """
    validate_waveform(waveform)
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int):
        raise TypeError(f"sample_rate must be an int in Hz, got {sample_rate!r}; pass 16000.")
    if isinstance(block_seconds, bool) or not isinstance(block_seconds, int):
        raise TypeError(f"block_seconds must be an int, got {block_seconds!r}; try 10.")
    if block_seconds < 1:
        raise ValueError(f"block_seconds must be at least 1, got {block_seconds}; try 10.")
    channels = waveform.detach().reshape(-1, waveform.shape[-1])  # (channel, time)
    if isinstance(denoiser, Denoiser):
        blocks = channels.float().split(block_seconds * sample_rate, dim=-1)
        level = measure_level(blocks, sample_rate, at_rate=denoiser.config.sample_rate)
        pieces = denoise_blocks(blocks, sample_rate, denoiser, level=level)
        estimate = torch.cat([_checked(piece) for piece in pieces], dim=-1)
    else:
        estimate = _denoise_whole(channels, sample_rate, denoiser)
    return estimate.to(waveform.dtype).reshape(waveform.shape)


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
        TypeError: `mix` is no number.
        ValueError: `mix` out of range, `noisy` cannot be read whole, `clean` cannot be written.

    Notebook: 06
    """
    source, target = Path(noisy), Path(clean)
    check_mix(mix)
    check_target(source, target, force=overwrite)
    info = audio_info(source)
    rate = denoiser.config.sample_rate
    level = measure_level(_read_blocks(source, info), info.sample_rate, at_rate=rate)

    def estimates() -> Iterator[Tensor]:
        blocks, done = _read_blocks(source, info), 0
        for piece in denoise_blocks(blocks, info.sample_rate, denoiser, level=level, mix=mix):
            yield _checked(piece)
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


def check_mix(mix: float) -> None:
    """Say what is wrong with a share of the noisy sound.

    Args:
        mix: The share.

    Raises:
        TypeError: It is no number.
        ValueError: It lies outside of 0 to 1.
    """
    if isinstance(mix, bool) or not isinstance(mix, int | float):
        raise TypeError(f"mix must be a number, got {mix!r}; try 0.3.")
    if not 0 <= mix <= 1:
        raise ValueError(f"mix must lie from 0 to 1, got {mix}; 0.3 keeps some of the room.")


def check_target(noisy: Path, clean: Path, *, force: bool) -> None:
    """Say what is wrong with the file to write before any work is done for it.

    Args:
        noisy: The file to read.
        clean: The file to write.
        force: Whether one that is there may be replaced.

    Raises:
        ValueError: `clean` cannot be written.
    """
    if clean.suffix.lower() not in (".wav", ".flac"):
        raise ValueError(f"clean must end in .wav or .flac, got {str(clean)!r}; rename it.")
    if not clean.parent.is_dir():
        raise ValueError(f"clean must lie in a folder that exists, got {str(clean)!r}; make it.")
    if clean.is_dir():
        raise ValueError(f"clean must name a file, got the folder {str(clean)!r}; add a name.")
    if clean.exists() and noisy.exists() and clean.samefile(noisy):
        raise ValueError(f"clean must be another file than noisy, got {str(clean)!r} twice.")
    if clean.exists() and not force:
        raise ValueError(f"clean {str(clean)!r} exists already; pass --force to replace it.")


def _subtype(subtype: str, target: Path) -> str:
    """Store samples as the input did, as far as the format of the result can."""
    file_format = target.suffix[1:].upper()
    if subtype not in _SAMPLE_BYTES:
        return "PCM_16"
    if soundfile.check_format(file_format, subtype):
        return subtype
    return "PCM_16" if subtype in ("PCM_U8", "PCM_S8") else "PCM_24"


def _read_blocks(path: Path, info: AudioInfo) -> Iterator[Tensor]:
    """Read a file as (channel, time) blocks; a damaged one is an error in words."""
    num_read = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            size = _BLOCK_SECONDS * info.sample_rate
            while len(samples := file.read(size, dtype="float32", always_2d=True)):
                block = torch.from_numpy(samples.T.copy())
                validate_waveform(block, name=f"the audio in {str(path)!r}")
                num_read += block.shape[-1]
                yield block
        damaged = None
    except soundfile.LibsndfileError as error:
        damaged = error
    slack = round(_MP3_SLACK * info.sample_rate) if info.format == "MP3" else 0
    if damaged or num_read < info.num_frames - slack:
        raise ValueError(
            f"path {str(path)!r} was cut short or damaged ({num_read} of {info.num_frames} frames "
            "could be read); copy or export it again."
        ) from damaged


def _write_blocks(
    path: Path, target: Path, blocks: Iterator[Tensor], info: AudioInfo, subtype: str
) -> float:
    """Write (channel, time) blocks, whole numbers cut off at full scale; return the peak."""
    peak, file_format = 0.0, target.suffix[1:].upper()
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
            f"clean {str(target)!r} could not be written ({error}); check the number of channels, "
            "the sample rate and the free space."
        ) from error
    return peak


def _denoise_whole(channels: Tensor, sample_rate: int, denoiser) -> Tensor:
    """Denoise (channel, time) in one piece and check what comes back."""
    work = channels.to(torch.float32) if channels.element_size() < 4 else channels
    at_rate = resample(work, sample_rate, SAMPLE_RATE)
    with torch.inference_mode():
        estimate = denoiser(at_rate)
    if not isinstance(estimate, Tensor) or estimate.shape != at_rate.shape:
        got = tuple(estimate.shape) if isinstance(estimate, Tensor) else type(estimate).__name__
        raise ValueError(
            f"denoiser must give back the shape {tuple(at_rate.shape)} that it got, got {got}; "
            "pass a Denoiser or a function of the same kind."
        )
    estimate = _checked(estimate.clone())  # outside of inference mode: an ordinary tensor again
    return resample(estimate, SAMPLE_RATE, sample_rate)[:, : channels.shape[-1]]


def _checked(estimate: Tensor) -> Tensor:
    """Give an estimate back if it is finite."""
    if not bool(torch.isfinite(estimate).all()):
        raise ValueError(
            "denoiser must give back finite samples, got NaN or infinity; train it again or "
            "load another checkpoint."
        )
    return estimate
