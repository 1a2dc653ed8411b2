"""Bring two recordings to one length, level and time.

What is still wrong with a pair afterwards, `pair_check` says.
"""

import math

import torch
import torch.nn.functional
from torch import Tensor

from course_utils.levels import SILENCE_PEAK, audible_peak, validate_audible
from course_utils.validate import (
    validate_channels,
    validate_integer,
    validate_number,
    validate_pair,
    validate_waveform,
)

MAX_DRIFT_PPM = 10_000.0
_DRIFT_TAPS = 32  # samples on either side of a moment that `correct_drift` looks at


def pad_or_trim(waveform: Tensor, num_samples: int) -> Tensor:
    """Make the last axis exactly `num_samples` long: cut the end or add zeros there.

    Args:
        waveform: Float tensor (..., time).
        num_samples: The length wanted, at least 1.

    Returns:
        A new tensor (..., num_samples).

    Raises:
        TypeError: A length that is not an integer.
        ValueError: A length below 1.

    Notebook: 02
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    missing = num_samples - waveform.shape[-1]
    if missing > 0:
        return torch.nn.functional.pad(waveform, (0, missing))
    return waveform[..., :num_samples].clone()


def segment(waveform: Tensor, segment_length: int, *, hop_length: int | None = None) -> Tensor:
    """Cut a waveform into pieces of one length; zeros fill up the last piece.

    No sample is lost: there are 1 + ceil((time - segment_length) / hop_length) pieces, or one.

    Args:
        waveform: Float tensor (channel, time).
        segment_length: Samples in each piece.
        hop_length: Samples from the start of one piece to the next; None puts them side by
            side, a smaller number than segment_length makes them overlap.

    Returns:
        A new tensor (num_segments, channel, segment_length).

    Raises:
        TypeError: Lengths that are not integers.
        ValueError: Another shape, lengths below 1, or a hop that would skip samples.

    Notebook: 02
    """
    validate_channels(waveform)
    validate_integer(segment_length, "segment_length", minimum=1)
    hop_length = segment_length if hop_length is None else hop_length
    # A longer hop would lose the samples between the pieces.
    validate_integer(hop_length, "hop_length", minimum=1, maximum=segment_length)
    num_hops = math.ceil(max(0, waveform.shape[-1] - segment_length) / hop_length)
    padded = pad_or_trim(waveform, segment_length + num_hops * hop_length)
    pieces = padded.unfold(-1, segment_length, hop_length)  # (channel, num_segments, length)
    return pieces.transpose(0, 1).contiguous()


def peak_normalize(waveform: Tensor, *, peak: float = 0.99) -> Tensor:
    """Scale a waveform so that its largest sample is `peak`.

    Only for a clip that stands alone. The members of a pair share one gain: `normalize_pair`.

    Args:
        waveform: Float tensor (..., time).
        peak: Size of the largest sample afterwards, more than 0 and at most 1.

    Returns:
        A new tensor of the same shape.

    Raises:
        TypeError: Not a float tensor, or a peak that is not a number.
        ValueError: Silence, which no gain can lift; no samples, NaN; a peak out of range.

    Notebook: 02
    """
    validate_number(peak, "peak", above=0, maximum=1)
    gain = peak / audible_peak(waveform, "waveform")
    return _scale(waveform, gain, peak)


def normalize_pair(noisy: Tensor, clean: Tensor, *, peak: float = 0.99) -> tuple[Tensor, Tensor]:
    """Scale both members of a pair by one gain, so that the louder one peaks at `peak`.

    The difference noisy - clean is scaled by the same gain, so the signal-to-noise ratio stays.
    A silent clean (noise alone) is fine as long as the noisy member is not silent too.

    Args:
        noisy: Float tensor (..., time).
        clean: Float tensor of the same shape.
        peak: Size of the largest sample of the two afterwards, more than 0 and at most 1.

    Returns:
        New tensors (noisy, clean) of the same shapes.

    Raises:
        TypeError: Not float tensors, or a peak that is not a number.
        ValueError: Different shapes or devices, both silent, no samples, NaN, a peak out of range.

    Notebook: 02
    """
    validate_number(peak, "peak", above=0, maximum=1)
    validate_pair(noisy, clean, ("noisy", "clean"))
    loudest = max(float(noisy.abs().max()), float(clean.abs().max()))
    validate_audible(loudest, "the louder of noisy and clean", minimum=SILENCE_PEAK)
    gain = peak / loudest
    return _scale(noisy, gain, peak), _scale(clean, gain, peak)


def estimate_delay(
    delayed: Tensor, reference: Tensor, *, max_delay_samples: int | None = None
) -> int:
    """Find by how many samples one recording comes later than another.

    Formula: the lag k with the largest cross-correlation sum_n delayed[n + k] * reference[n],
    after each channel's mean is taken away; computed with the FFT. Of equal lags the one
    nearest to 0 wins. A copy turned upside down (multiplied by -1) is not looked for.

    Args:
        delayed: Float tensor (..., time).
        reference: Float tensor with the same leading axes; the length may differ.
        max_delay_samples: Search from minus to plus this many samples; None searches all.

    Returns:
        The delay in samples: positive where `delayed` comes later, negative where earlier.

    Raises:
        TypeError: A limit that is not an integer.
        ValueError: Different leading axes, silence, a negative limit.

    Source: Knapp and Carter, The generalized correlation method for estimation of time delay,
        1976, with all weights 1.
    Notebook: 01, 02
    """
    lags, correlation = cross_correlation(delayed, reference, max_delay_samples)
    # Rounding in the FFT must not choose between lags that are equal on paper.
    best = correlation >= correlation.max() - 1e-12
    candidates = lags[best]
    return int(candidates[candidates.abs().argmin()])


def align(
    delayed: Tensor, reference: Tensor, *, delay_samples: int | None = None
) -> tuple[Tensor, Tensor]:
    """Undo a delay between two recordings and keep the part that both have.

    Args:
        delayed: Float tensor (..., time).
        reference: Float tensor with the same leading axes; the length may differ.
        delay_samples: How much later `delayed` comes; None asks `estimate_delay`.

    Returns:
        New tensors (delayed, reference) of one length in which sample n means one moment.

    Raises:
        TypeError: A delay that is not an integer.
        ValueError: Different leading axes, nothing left in common, silence.

    Notebook: 01, 02
    """
    _validate_leading_axes(delayed, reference)
    if delay_samples is None:
        delay_samples = estimate_delay(delayed, reference)
    # At least one sample must be left that both have.
    validate_integer(
        delay_samples, "delay_samples", minimum=1 - reference.shape[-1],
        maximum=delayed.shape[-1] - 1,
    )  # fmt: skip
    delayed = delayed[..., max(0, delay_samples) :]
    reference = reference[..., max(0, -delay_samples) :]
    length = min(delayed.shape[-1], reference.shape[-1])
    return delayed[..., :length].clone(), reference[..., :length].clone()


def correct_drift(waveform: Tensor, drift_ppm: float) -> Tensor:
    """Read a recording again at the moments of another clock.

    Two recorders never tick alike. If this one comes later and later than its partner, by
    `drift_ppm` samples in a million, then its sample n * (1 + drift_ppm / 1e6) belongs to the
    partner's sample n. Between two samples the value is interpolated.

    Formula: y[n] = sum_k x[k] * sinc(p - k) * w(p - k), with p = n * (1 + drift_ppm / 1e6) and
    w a Hann window over 64 samples.

    Args:
        waveform: Float tensor (..., time).
        drift_ppm: Drift in parts per million, from -10,000 to 10,000; negative where the
            recording comes earlier and earlier.

    Returns:
        A new tensor (..., time / (1 + drift_ppm / 1e6)); a delay at the start is kept.

    Raises:
        TypeError: Not a float tensor, or a drift that is not a number.
        ValueError: A drift out of range; no samples, NaN.

    Source: J. O. Smith, Digital Audio Resampling Home Page, windowed-sinc interpolation.
    Notebook: 02
    """
    validate_waveform(waveform)
    validate_number(drift_ppm, "drift_ppm", minimum=-MAX_DRIFT_PPM, maximum=MAX_DRIFT_PPM)
    speed = 1 + drift_ppm / 1e6
    num_samples = math.floor((waveform.shape[-1] - 1) / speed) + 1
    moments = torch.arange(num_samples, dtype=torch.float64) * speed
    before = moments.floor()
    fraction = moments - before
    padded = torch.nn.functional.pad(waveform, (_DRIFT_TAPS, _DRIFT_TAPS))
    first = before.long() + _DRIFT_TAPS  # the sample just before each moment
    result = torch.zeros_like(waveform[..., :1]).repeat_interleave(num_samples, dim=-1)
    for tap in range(1 - _DRIFT_TAPS, _DRIFT_TAPS + 1):
        distance = fraction - tap
        window = torch.cos(math.pi / 2 * distance / _DRIFT_TAPS).square()
        weight = (torch.sinc(distance) * window).to(waveform)
        result += weight * padded[..., (first + tap).to(waveform.device)]
    return result


def cross_correlation(
    delayed: Tensor, reference: Tensor, max_delay_samples: int | None = None
) -> tuple[Tensor, Tensor]:
    """Multiply and add two recordings at every shift, each channel without its mean.

    Formula: at lag k, sum_n delayed[n + k] * reference[n], divided by the norms of both.

    Args:
        delayed: Float tensor (..., time).
        reference: Float tensor with the same leading axes; the length may differ.
        max_delay_samples: Lags from minus to plus this many samples; None takes all.

    Returns:
        The lags in samples and the correlation at each, between -1 and 1, both (lag,).

    Raises:
        TypeError: A limit that is not an integer.
        ValueError: Different leading axes, silence, a negative limit.

    Notebook: 01, 02
    """
    _validate_leading_axes(delayed, reference)
    if max_delay_samples is not None:
        validate_integer(max_delay_samples, "max_delay_samples", minimum=0)
    first = centred(delayed)
    second = centred(reference)
    validate_audible(float(first.abs().max()), "delayed", minimum=SILENCE_PEAK)
    validate_audible(float(second.abs().max()), "reference", minimum=SILENCE_PEAK)
    num_first = first.shape[-1]
    num_second = second.shape[-1]
    n_fft = 2 ** math.ceil(math.log2(num_first + num_second))
    spectrum = torch.fft.rfft(first, n_fft) * torch.fft.rfft(second, n_fft).conj()
    correlation = torch.fft.irfft(spectrum, n_fft).sum(0) / (first.norm() * second.norm())
    earliest = 1 - num_second
    latest = num_first - 1
    if max_delay_samples is not None:
        earliest = max(earliest, -max_delay_samples)
        latest = min(latest, max_delay_samples)
    lags = torch.arange(earliest, latest + 1)
    return lags, correlation[lags % n_fft]


def centred(waveform: Tensor) -> Tensor:
    """Take the mean of each channel away.

    Args:
        waveform: Float tensor (..., time).

    Returns:
        float64 samples (channel, time) on the CPU.

    Notebook: 02
    """
    samples = waveform.detach().cpu().double().reshape(-1, waveform.shape[-1])
    return samples - samples.mean(-1, keepdim=True)


def _validate_leading_axes(delayed: Tensor, reference: Tensor) -> None:
    """Refuse two recordings that differ in more than their lengths: channels would broadcast."""
    if delayed.shape[:-1] != reference.shape[:-1]:
        raise ValueError(
            f"delayed and reference must agree in all axes but time, got {tuple(delayed.shape)} "
            f"and {tuple(reference.shape)}; fold both to mono."
        )


def _scale(waveform: Tensor, gain: float, peak: float) -> Tensor:
    """Multiply by a gain; the clamp only catches a last digit rounded upwards."""
    return (waveform * gain).clamp(-peak, peak)
