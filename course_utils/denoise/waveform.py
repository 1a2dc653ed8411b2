"""Clean recordings of any length, rate and number of channels: in memory, or block by block."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from course_utils.audio import SAMPLE_RATE, resample
from course_utils.denoise.streaming import StreamingDenoiser, StreamingResampler
from course_utils.models import Denoiser
from course_utils.validate import validate_integer, validate_same_shape, validate_waveform

_BLOCK_SECONDS = 10


class _Stage(Protocol):
    """Something that is fed pieces (..., time) and gives back what is ready."""

    def feed(self, samples: Tensor) -> Tensor: ...

    def flush(self) -> Tensor: ...


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
        TypeError: `waveform` is not a float tensor, a number not an integer, or what the
            denoiser gives back not a float tensor.
        ValueError: `waveform` holds nothing, NaN or infinity, a number is below 1, or the
            denoiser gives back another shape or values that are not finite.

    Notebook: 06
    """
    validate_waveform(waveform)
    validate_integer(sample_rate, "sample_rate", minimum=1)
    validate_integer(block_seconds, "block_seconds", minimum=1)
    channels = waveform.detach().reshape(-1, waveform.shape[-1])  # (channel, time)
    if isinstance(denoiser, Denoiser):
        blocks = channels.float().split(block_seconds * sample_rate, dim=-1)
        level = measure_level(blocks, sample_rate, at_rate=denoiser.config.sample_rate)
        pieces = denoise_blocks(blocks, sample_rate, denoiser, level=level)
        estimate = torch.cat(list(pieces), dim=-1)
        validate_waveform(estimate, name="what denoiser gives back")
    else:
        estimate = _denoise_whole(channels, sample_rate, denoiser)
    return estimate.to(waveform.dtype).reshape(waveform.shape)


def measure_level(blocks: Iterable[Tensor], sample_rate: int, *, at_rate: int) -> Tensor:
    """Measure how loud a recording is that comes in blocks, as `Denoiser` measures it.

    Args:
        blocks: Pieces (channel, time), one after the other.
        sample_rate: Their samples per second.
        at_rate: Rate to which the sound is brought before it is measured.

    Returns:
        The root of the mean square of each channel, (channel, 1), float64.

    Raises:
        ValueError: There is no sample.

    Notebook: 06
    """
    energy = torch.tensor(0.0, dtype=torch.float64)
    count = 0
    for piece in _with_rest(StreamingResampler(sample_rate, at_rate), blocks):
        energy = energy + piece.double().square().sum(dim=-1, keepdim=True)
        count += piece.shape[-1]
    if not count:
        raise ValueError("blocks must hold at least one sample, got none; check the recording.")
    return (energy / count).sqrt()


def denoise_blocks(
    blocks: Iterable[Tensor], sample_rate: int, denoiser: Denoiser, *, level: Tensor, mix: float = 0
) -> Iterator[Tensor]:
    """Clean a recording of any rate and length that comes in blocks.

    Args:
        blocks: Pieces (channel, time), float32, one after the other.
        sample_rate: Their samples per second.
        denoiser: On the CPU, in eval mode.
        level: What `measure_level` says of the same recording.
        mix: Share of the noisy sound in the result, 0 to 1.

    Yields:
        Cleaned pieces (channel, time) of other lengths, together as long as the input.

    Notebook: 06
    """
    rate = denoiser.config.sample_rate
    down = StreamingResampler(sample_rate, rate)
    stream = StreamingDenoiser(denoiser, level=level)
    up = StreamingResampler(rate, sample_rate)
    waiting: list[Tensor] = []  # noisy samples whose estimate has not come yet

    def remember() -> Iterator[Tensor]:
        for block in blocks:
            waiting.append(block)
            yield block

    cleaned = _with_rest(up, _with_rest(stream, _with_rest(down, remember())))
    for piece in cleaned:
        noisy = torch.cat(waiting, dim=-1)
        piece = piece[..., : noisy.shape[-1]]  # there and back may give a sample too many
        waiting[:] = [noisy[..., piece.shape[-1] :].clone()]
        yield (1 - mix) * piece + mix * noisy[..., : piece.shape[-1]]


def _with_rest(stage: _Stage, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """Pass pieces through a stage with `feed` and `flush`; leave out the empty ones."""
    for piece in pieces:
        ready = stage.feed(piece)
        if ready.shape[-1]:
            yield ready
    rest = stage.flush()
    if rest.shape[-1]:
        yield rest


def _denoise_whole(
    channels: Tensor, sample_rate: int, denoiser: Callable[[Tensor], Tensor]
) -> Tensor:
    """Denoise (channel, time) in one piece and check what comes back."""
    work = channels.to(torch.float32) if channels.element_size() < 4 else channels
    at_rate = resample(work, sample_rate, SAMPLE_RATE)
    with torch.inference_mode():
        estimate = denoiser(at_rate)
    validate_waveform(estimate, name="what denoiser gives back")
    validate_same_shape(estimate, at_rate, ("what denoiser gives back", "what it gets"))
    estimate = estimate.clone()  # outside of inference mode: an ordinary tensor again
    return resample(estimate, SAMPLE_RATE, sample_rate)[:, : channels.shape[-1]]
