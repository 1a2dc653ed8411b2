"""Bring two recordings to one rate, length, level and time, and say what is still wrong.

Levels are in dBFS, decibels relative to full scale: 0 dBFS is the value 1.0.
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

_CLIP_RUN = 4  # samples in a row at the very same extreme value
_CLIP_LEVEL = 0.05  # softer plateaus are the steps of 16-bit numbers
_OFFSET_LIMIT = 0.01  # of full scale
_LEVEL_TOLERANCE_DB = 3.0
_MIN_CORRELATION = 0.25
_MAX_CHECKED_DELAY = 0.5  # seconds


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
    lags, correlation = _cross_correlation(delayed, reference, max_delay_samples)
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


def check_pair(
    noisy: Tensor, clean: Tensor, *, noisy_sample_rate: int, clean_sample_rate: int
) -> list[str]:
    """Say in words what is still wrong with a pair; an empty list means it is fine.

    Looked at, in this order: kind of samples, NaN, sample rate, channels, length; then silence,
    clipping, DC offset, whether both hold the same speech, delay, and a gain on one member
    alone. The last three are judged only where the earlier ones allow it.

    Args:
        noisy: Tensor (channel, time).
        clean: Tensor (channel, time).
        noisy_sample_rate: Rate of `noisy` in Hz.
        clean_sample_rate: Rate of `clean` in Hz.

    Returns:
        One sentence for each problem found.

    Raises:
        TypeError: A rate that is not an integer.
        ValueError: A rate below 1.

    Notebook: 02
    """
    validate_integer(noisy_sample_rate, "noisy_sample_rate", minimum=1)
    validate_integer(clean_sample_rate, "clean_sample_rate", minimum=1)
    problems = _sample_problems(noisy, "noisy") + _sample_problems(clean, "clean")
    if problems:
        return problems
    problems = _shape_problems(noisy, clean, noisy_sample_rate, clean_sample_rate)
    problems += _level_problems(noisy, "noisy") + _level_problems(clean, "clean")
    if noisy_sample_rate == clean_sample_rate and noisy.shape[0] == clean.shape[0]:
        problems += _match_problems(noisy, clean, noisy_sample_rate)
    return problems


def _sample_problems(waveform: Tensor, name: str) -> list[str]:
    """Turn what `validate_waveform` refuses into a list of problems."""
    try:
        validate_waveform(waveform, name=name)
    except (TypeError, ValueError) as error:
        return [str(error)]
    if waveform.ndim != 2:
        return [f"{name} has shape {tuple(waveform.shape)}: bring it to (channel, time)."]
    return []


def _shape_problems(noisy: Tensor, clean: Tensor, noisy_rate: int, clean_rate: int) -> list[str]:
    """Compare rates, channels and lengths."""
    problems = []
    if noisy_rate != clean_rate:
        problems.append(
            f"The sample rates differ, {noisy_rate} Hz for noisy and {clean_rate} Hz for clean: "
            "resample one of them."
        )
    if noisy.shape[0] != clean.shape[0]:
        problems.append(
            f"The channels differ, {noisy.shape[0]} in noisy and {clean.shape[0]} in clean: "
            "fold both to mono."
        )
    if noisy.shape[1] != clean.shape[1] and noisy_rate == clean_rate:
        problems.append(
            f"noisy is {noisy.shape[1]} samples long and clean {clean.shape[1]}: "
            "align them and cut both to one length."
        )
    return problems


def _level_problems(waveform: Tensor, name: str) -> list[str]:
    """Look for clipping and a DC offset in one member."""
    peak = float(waveform.abs().max())
    if peak < SILENCE_PEAK:
        return [f"{name} is silent: leave the pair out or find the recording."]
    problems = []
    flat = waveform.abs() >= peak * (1 - 1e-6)
    long_enough = flat.shape[-1] >= _CLIP_RUN
    if peak > 1.0:
        problems.append(
            f"{name} reaches {peak:.2f}, beyond full scale: scale both members by one gain."
        )
    elif peak > _CLIP_LEVEL and long_enough and bool(flat.unfold(-1, _CLIP_RUN, 1).all(-1).any()):
        problems.append(
            f"{name} is clipped, {int(flat.sum())} samples lie flat at its peak of {peak:.2f}: "
            "record it again at a lower level."
        )
    offset = float(waveform.mean(-1).abs().max())
    if offset > _OFFSET_LIMIT:
        problems.append(
            f"{name} has a DC offset of {offset:.3f}: subtract the mean of each channel."
        )
    return problems


def _match_problems(noisy: Tensor, clean: Tensor, sample_rate: int) -> list[str]:
    """Ask whether noisy holds the speech of clean, at the same time and with the same gain."""
    limit = round(_MAX_CHECKED_DELAY * sample_rate)
    try:
        lags, correlation = _cross_correlation(noisy, clean, limit)
    except ValueError:  # one member is silent or constant, and that has been reported
        return []
    best = int(correlation.argmax())
    if float(correlation[best]) < _MIN_CORRELATION:
        return [
            f"noisy and clean hardly resemble each other (correlation {correlation[best]:.2f}): "
            "check that both files hold the same sentence."
        ]
    delay = int(lags[best])
    if delay:
        side = "later" if delay > 0 else "earlier"
        return [
            f"noisy comes {abs(delay)} samples ({1000 * abs(delay) / sample_rate:.1f} ms) {side} "
            "than clean: align them."
        ]
    length = min(noisy.shape[-1], clean.shape[-1])
    noisy, clean = _centred(noisy[..., :length]), _centred(clean[..., :length])
    speech_gain = float((noisy * clean).sum() / clean.square().sum())
    speech_db = 20 * math.log10(speech_gain)
    if abs(speech_db) > _LEVEL_TOLERANCE_DB:
        return [
            f"The speech is {abs(speech_db):.1f} dB {'louder' if speech_db > 0 else 'softer'} in "
            "noisy than in clean: undo the gain that only one member got."
        ]
    return []


def _cross_correlation(
    delayed: Tensor, reference: Tensor, max_delay_samples: int | None
) -> tuple[Tensor, Tensor]:
    """Return lags and the normalised cross-correlation (between -1 and 1) at each."""
    _validate_leading_axes(delayed, reference)
    if max_delay_samples is not None:
        validate_integer(max_delay_samples, "max_delay_samples", minimum=0)
    first = _centred(delayed)
    second = _centred(reference)
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


def _centred(waveform: Tensor) -> Tensor:
    """Return float64 samples (channel, time) on the CPU, each channel without its mean."""
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
