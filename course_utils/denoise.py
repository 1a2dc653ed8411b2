"""Clean a recording: `python -m course_utils.denoise noisy.wav clean.wav`.

The result has the sample rate and the channels of the input. The network hears up to 8 kHz, so
of a recording at 44.1 or 48 kHz nothing above 8 kHz is left.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from course_utils.audio import (
    SAMPLE_RATE,
    audio_info,
    load_audio,
    resample,
    save_audio,
    validate_waveform,
)
from course_utils.corpus import DATA_DIR
from course_utils.training import load_checkpoint

DEFAULT_CHECKPOINT = DATA_DIR / "pretrained" / "denoiser.pt"

_WARM_UP_SECONDS = 4  # heard before each block and thrown away: the memory of the network fills
_FADE_SECONDS = 1  # neighbouring blocks overlap by this much and fade into each other
_BIT_DEPTHS = ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")


def denoise_waveform(
    waveform: Tensor,
    sample_rate: int,
    denoiser: Callable[[Tensor], Tensor],
    *,
    block_seconds: int = 600,
) -> Tensor:
    """Run a denoiser over sound of any length, rate and number of channels.

    The sound is resampled to 16 kHz and back. What is longer than `block_seconds` goes through
    in overlapping blocks that fade into each other, so that an hour fits into memory and no
    seam is heard. Each channel is denoised for itself.

    Args:
        waveform: Float tensor (..., time).
        sample_rate: Its samples per second.
        denoiser: Maps (clip, time) at 16 kHz to the same shape: a Denoiser or a baseline.
        block_seconds: Length of a block in whole seconds, at least 2.

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
        raise TypeError(f"block_seconds must be an int, got {block_seconds!r}; try 600.")
    if block_seconds <= _FADE_SECONDS:
        raise ValueError(f"block_seconds must be at least 2, got {block_seconds}; try 600.")
    channels = waveform.detach().reshape(-1, waveform.shape[-1])  # (channel, time)
    work = channels.to(torch.float32) if waveform.element_size() < 4 else channels
    total, block = channels.shape[-1], block_seconds * sample_rate
    fade, warm_up = _FADE_SECONDS * sample_rate, _WARM_UP_SECONDS * sample_rate
    if total <= block + fade:
        estimate = _denoise_block(work, sample_rate, denoiser)
        return estimate.to(waveform.dtype).reshape(waveform.shape)
    estimate = torch.zeros_like(work)
    rise = torch.linspace(0, 1, fade, dtype=work.dtype, device=work.device)
    for start in range(0, total - fade, block):
        stop = min(start + block + fade, total)
        first = max(0, start - warm_up)
        last = min(stop + fade, total)  # a little future, for denoisers that look ahead
        piece = _denoise_block(work[:, first:last], sample_rate, denoiser)
        piece = piece[:, start - first : stop - first]  # (channel, block + fade)
        if start > 0:
            piece[:, :fade] *= rise
        if stop < total:
            piece[:, -fade:] *= 1 - rise
        estimate[:, start:stop] += piece
    return estimate.to(waveform.dtype).reshape(waveform.shape)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when the file is written, 2 after a sentence about what is wrong.

    Args:
        arguments: What stands behind the command; None takes it from the shell.

    Returns:
        The exit code.

    Notebook: 06
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.denoise", description="Remove noise from a recording."
    )
    parser.add_argument("noisy", type=Path, help="WAV, FLAC, Ogg or MP3, any rate and channels")
    parser.add_argument("clean", type=Path, help="the file to write, .wav or .flac")
    parser.add_argument(
        "--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="a trained denoiser (.pt)"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it exists")
    options = parser.parse_args(arguments)
    try:
        print(_denoise_file(options))
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _denoise_file(options: argparse.Namespace) -> str:
    """Check everything, then work, then write; return a line that says what was done."""
    _check_target(options.noisy, options.clean, force=options.force)
    info = audio_info(options.noisy)
    denoiser = load_checkpoint(options.checkpoint)
    started = time.perf_counter()
    noisy, sample_rate = load_audio(options.noisy, mono=False)
    estimate = denoise_waveform(noisy, sample_rate, denoiser)
    seconds = time.perf_counter() - started
    subtype = _subtype(info.subtype, options.clean)
    peak, note = float(estimate.abs().max()), ""
    if peak > 1 and subtype.startswith("PCM"):  # an integer file would cut the tops off
        estimate = estimate / peak
        note = f", turned down to {1 / peak:.2f} of its level to stay within full scale"
    save_audio(options.clean, estimate, sample_rate, subtype=subtype, overwrite=options.force)
    return (
        f"{options.clean}: {info.duration:.1f} s, {sample_rate} Hz, {info.num_channels} "
        f"channel(s), denoised in {seconds:.1f} s{note}"
    )


def _check_target(noisy: Path, clean: Path, *, force: bool) -> None:
    """Say what is wrong with the file to write before any work is done for it."""
    if clean.suffix.lower() not in (".wav", ".flac"):
        raise ValueError(f"clean must end in .wav or .flac, got {str(clean)!r}; rename it.")
    if not clean.parent.is_dir():
        raise ValueError(f"clean must lie in a folder that exists, got {str(clean)!r}; make it.")
    if clean.exists() and noisy.exists() and clean.samefile(noisy):
        raise ValueError(f"clean must be another file than noisy, got {str(clean)!r} twice.")
    if clean.exists() and not force:
        raise ValueError(f"clean {str(clean)!r} exists already; pass --force to replace it.")


def _subtype(subtype: str, target: Path) -> str:
    """Store samples as the input did, as far as the format of the result can."""
    wanted = subtype if subtype in _BIT_DEPTHS else "PCM_16"
    file_format = target.suffix[1:].upper()
    return wanted if soundfile.check_format(file_format, wanted) else "PCM_24"


def _denoise_block(channels: Tensor, sample_rate: int, denoiser) -> Tensor:
    """Denoise (channel, time) in one piece and check what comes back."""
    at_rate = resample(channels, sample_rate, SAMPLE_RATE)
    with torch.inference_mode():
        estimate = denoiser(at_rate)
    if not isinstance(estimate, Tensor) or estimate.shape != at_rate.shape:
        got = tuple(estimate.shape) if isinstance(estimate, Tensor) else type(estimate).__name__
        raise ValueError(
            f"denoiser must give back the shape {tuple(at_rate.shape)} that it got, got {got}; "
            "pass a Denoiser or a function of the same kind."
        )
    estimate = estimate.clone()  # outside of inference mode: an ordinary tensor again
    if not bool(torch.isfinite(estimate).all()):
        raise ValueError(
            "denoiser must give back finite samples, got NaN or infinity; train it again or "
            "load another checkpoint."
        )
    return resample(estimate, SAMPLE_RATE, sample_rate)[:, : channels.shape[-1]]


if __name__ == "__main__":
    sys.exit(main())
