"""Clean recordings of any length, rate and number of channels: in memory, or block by block."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from course_utils.audio import SAMPLE_RATE, resample
from course_utils.denoise.full_band import FullBandDenoiser
from course_utils.denoise.stages import StreamingResampler, StreamingSTFT, pass_through
from course_utils.denoise.streaming import CHANNELS
from course_utils.features import STFTConfig, frame_levels, magnitude
from course_utils.levels import active_level
from course_utils.models import Denoiser
from course_utils.validate import (
    validate_choice,
    validate_integer,
    validate_same_shape,
    validate_waveform,
)

_BLOCK_SECONDS = 10


def denoise_waveform(
    waveform: Tensor,
    sample_rate: int,
    denoiser: Callable[[Tensor], Tensor],
    *,
    block_seconds: int = _BLOCK_SECONDS,
    channels: str = "together",
) -> Tensor:
    """Run a denoiser over sound of any length, rate and number of channels.

    Through a `Denoiser` the sound goes in blocks, with the memory of the network, of the STFT and
    of the resampler handed from each to the next: the result is that of the whole. What a
    recording holds above 8 kHz is cleaned along with the rest (`FullBandDenoiser`), and one mask
    serves all channels (`StreamingDenoiser` says why). Any other function gets the whole at once,
    at 16 kHz, and nothing above 8 kHz comes back.

    Args:
        waveform: Float tensor (..., time).
        sample_rate: Its samples per second.
        denoiser: A Denoiser in eval mode, or a function, such as a baseline, that maps
            (channel, time) at 16 kHz to the same shape.
        block_seconds: Length of a block in whole seconds, at least 1.
        channels: "together", or "separate": a mask for each channel.

    Returns:
        The estimate: shape, dtype and device of `waveform`, without a gradient.

    Raises:
        TypeError: `waveform` is not a float tensor, a number not an integer, or what the
            denoiser gives back not a float tensor.
        ValueError: `waveform` holds nothing, NaN or infinity, a number is below 1, `channels` is
            something else, or the denoiser gives back another shape or values that are not finite.

    Notebook: 06
    """
    validate_waveform(waveform)
    validate_integer(sample_rate, "sample_rate", minimum=1)
    validate_integer(block_seconds, "block_seconds", minimum=1)
    validate_choice(channels, "channels", CHANNELS)
    rows = waveform.detach().reshape(-1, waveform.shape[-1])  # (channel, time)
    if isinstance(denoiser, Denoiser):
        blocks = rows.float().split(block_seconds * sample_rate, dim=-1)
        level = measure_level(blocks, sample_rate, denoiser.config, channels=channels)
        pieces = denoise_blocks(blocks, sample_rate, denoiser, level=level, channels=channels)
        estimate = torch.cat(list(pieces), dim=-1)
        validate_waveform(estimate, name="what denoiser gives back")
    else:
        estimate = _denoise_whole(rows, sample_rate, denoiser)
    return estimate.to(waveform.dtype).reshape(waveform.shape)


def measure_level(
    blocks: Iterable[Tensor], sample_rate: int, config: STFTConfig, *, channels: str = "together"
) -> Tensor:
    """Measure how loud a recording is that comes in blocks, as `Denoiser` measures it.

    Of each frame one number is kept: an hour of sound takes less than a megabyte.

    Args:
        blocks: Pieces (channel, time), one after the other.
        sample_rate: Their samples per second.
        config: The denoiser's STFT, in whose frames and at whose rate it is measured.
        channels: "together" or "separate", as in `denoise_waveform`.

    Returns:
        The level of active frames, shape (1, 1) for channels together, or (channel, 1).

    Raises:
        ValueError: There is no sample, or `channels` is something else.

    Notebook: 06
    """
    validate_choice(channels, "channels", CHANNELS)
    levels = []
    at_rate_blocks = pass_through(StreamingResampler(sample_rate, config.sample_rate), blocks)
    for spectrogram in pass_through(StreamingSTFT(config), at_rate_blocks):
        frames = magnitude(spectrogram)
        if channels == "together":
            frames = torch.linalg.vector_norm(frames, dim=0, keepdim=True)
        levels.append(frame_levels(frames, config))
    if not levels:
        raise ValueError("blocks must hold at least one sample, got none; check the recording.")
    return active_level(torch.cat(levels, dim=-1))


def denoise_blocks(
    blocks: Iterable[Tensor],
    sample_rate: int,
    denoiser: Denoiser,
    *,
    level: Tensor,
    mix: float = 0,
    channels: str = "together",
) -> Iterator[Tensor]:
    """Clean a recording of any rate and length that comes in blocks.

    Args:
        blocks: Pieces (channel, time), float32, one after the other.
        sample_rate: Their samples per second.
        denoiser: On the CPU, in eval mode.
        level: What `measure_level` says of the same recording, for the same `channels`.
        mix: Share of the noisy sound in the result, 0 to 1.
        channels: "together" or "separate", as in `denoise_waveform`.

    Yields:
        Cleaned pieces (channel, time) of other lengths, together as long as the input.

    Notebook: 06
    """
    stage = FullBandDenoiser(denoiser, sample_rate, level=level, channels=channels, mix=mix)
    return pass_through(stage, blocks)


def _denoise_whole(rows: Tensor, sample_rate: int, denoiser: Callable[[Tensor], Tensor]) -> Tensor:
    """Denoise (channel, time) in one piece and check what comes back."""
    work = rows.to(torch.float32) if rows.element_size() < 4 else rows
    at_rate = resample(work, sample_rate, SAMPLE_RATE)
    with torch.inference_mode():
        estimate = denoiser(at_rate)
    validate_waveform(estimate, name="what denoiser gives back")
    validate_same_shape(estimate, at_rate, ("what denoiser gives back", "what it gets"))
    estimate = estimate.clone()  # outside of inference mode: an ordinary tensor again
    return resample(estimate, SAMPLE_RATE, sample_rate)[:, : rows.shape[-1]]
