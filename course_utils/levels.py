"""How loud: peak, root of the mean square (RMS), and the same in dBFS.

Levels in dBFS are decibels relative to full scale: 0 dBFS is the value 1.0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from course_utils.validate import validate_waveform

WORKING_LEVEL = 0.1
"""RMS of every clip that the network sees, -20 dBFS: loud enough, with room for peaks."""

# Frames more than 10 dB below the mean power are pauses, as in ITU-R BS.1770-5.
_GATE = 10 ** (-10 / 10)
# A level is believed as long as the last half second lies no further from it, 12 dB.
_FURTHEST = 10 ** (12 / 20)
_RECENT_SECONDS = 0.5
_STEADY_SECONDS = 3.0

SILENCE_RMS = 1e-8
"""Below this, -160 dBFS, a clip is silent: 24-bit audio ends at -144 dBFS."""

SILENCE_PEAK = 1e-10
"""Below this, -200 dBFS, there is nothing at all: less than one step of every integer format."""


def rms(waveform: Tensor) -> Tensor:
    """Measure the root of the mean square over all samples: ``sqrt(mean(x**2))``.

    Args:
        waveform: Float tensor of any shape; all channels and batch items count together.

    Returns:
        A scalar tensor.

    Notebook: 02
    """
    return torch.linalg.vector_norm(waveform) / math.sqrt(waveform.numel())


def peak_db(waveform: Tensor) -> float:
    """Measure the level of the largest sample.

    Formula: 20 * log10(max |x|).

    Args:
        waveform: Float tensor (..., time); all channels and batch items count together.

    Returns:
        The level in dBFS; 0 for full scale, more than 0 beyond it.

    Raises:
        TypeError: Not a float tensor.
        ValueError: Silence, whose level would be minus infinity; no samples, NaN.

    Notebook: 02
    """
    return 20 * math.log10(audible_peak(waveform, "waveform"))


def rms_db(waveform: Tensor) -> float:
    """Measure the level of the root mean square, which follows loudness better than the peak.

    Formula: 20 * log10(sqrt(mean(x**2))). A full-scale sine has -3.01 dBFS.

    Args:
        waveform: Float tensor (..., time); all channels and batch items count together.

    Returns:
        The level in dBFS.

    Raises:
        TypeError: Not a float tensor.
        ValueError: Silence, whose level would be minus infinity; no samples, NaN.

    Notebook: 02
    """
    peak = audible_peak(waveform, "waveform")
    relative = waveform.detach().cpu().double() / peak  # squares of tiny samples would vanish
    return 20 * math.log10(peak) + 10 * math.log10(float(relative.square().mean()))


def audible_rms(waveform: Tensor, name: str) -> Tensor:
    """Measure the RMS of every clip, or say that one of them is silent.

    Args:
        waveform: Float tensor (..., time).
        name: The parameter's name, used in the message.

    Returns:
        The root of the mean square over time, shape (...).

    Raises:
        ValueError: A clip is silent.

    Notebook: 02
    """
    level = torch.linalg.vector_norm(waveform, dim=-1) / math.sqrt(waveform.shape[-1])
    validate_audible(float(level.min()), name)
    return level


def validate_audible(level: float, name: str, *, minimum: float = SILENCE_RMS) -> None:
    """Refuse silence, where a division by the level would make NaN.

    Args:
        level: RMS or largest sample.
        name: The parameter's name, used in the message.
        minimum: A level below this is silence.

    Raises:
        ValueError: The level is below the minimum.

    Notebook: 02
    """
    if level < minimum:
        raise ValueError(
            f"{name} must not be silent, got a level of {level:.1g}; leave it out, or choose "
            "another piece of it."
        )


def audible_peak(waveform: Tensor, name: str) -> float:
    """Measure the largest sample, or say that there is only silence.

    Args:
        waveform: Float tensor (..., time).
        name: The parameter's name, used in the message.

    Returns:
        The largest absolute value.

    Raises:
        TypeError: Not a float tensor.
        ValueError: Silence; no samples, NaN.

    Notebook: 02
    """
    validate_waveform(waveform, name=name)
    peak = float(waveform.detach().abs().max())
    validate_audible(peak, name, minimum=SILENCE_PEAK)
    return peak


def working_gain(level: Tensor) -> Tensor:
    """Compute the factor that brings sound to `WORKING_LEVEL`; silence keeps its level.

    Args:
        level: RMS of each clip, channel or frame, any shape.

    Returns:
        The factors, same shape; 1 where there is silence.

    Notebook: 04
    """
    audible = level > SILENCE_PEAK
    return torch.where(audible, WORKING_LEVEL / level.clamp(min=SILENCE_PEAK), 1.0)


def active_level(frame_levels: Tensor) -> Tensor:
    """Measure how loud a recording is while something happens in it: pauses do not count.

    A recording in which somebody speaks for a minute of an hour is as loud as that minute.

    Formula: the root of the mean power of those frames that lie at most 10 dB below the mean
    power of all; frames of digital silence count in neither mean. For sound that goes on evenly
    this is its RMS.

    Args:
        frame_levels: RMS of each frame, shape (..., frame), 0 in digital silence, as
            `features.frame_levels` gives them.

    Returns:
        The level, shape (..., 1); 0 for digital silence.

    Source: the relative gate of ITU-R BS.1770-5, "Algorithms to measure audio programme
    loudness", 2023.

    Notebook: 04
    """
    power = frame_levels.square()
    heard = power > 0
    mean = power.sum(dim=-1, keepdim=True) / heard.sum(dim=-1, keepdim=True).clamp(min=1)
    active = heard & (power >= _GATE * mean)
    total = torch.where(active, power, 0.0).sum(dim=-1, keepdim=True)
    return (total / active.sum(dim=-1, keepdim=True).clamp(min=1)).sqrt()


def follow_level(
    frame_levels: Tensor,
    known: Tensor | None,
    *,
    frames_per_second: float,
    past: Tensor | None = None,
) -> Tensor:
    """Decide for each frame how loud the recording is there: steady, until it has changed.

    One level for a whole recording serves the network best, for then pauses stay soft. But after
    somebody has turned a knob, that level is the wrong one. So the known level holds as long as
    the last half second lies within 12 dB of it, and where it does not, the nearest level that
    does takes its place. Without a known level, in a live call, the last three seconds stand in.

    Args:
        frame_levels: RMS of each frame, shape (row, frame), digital silence left out.
        known: Level of the recording, shape (row, 1), or None.
        frames_per_second: How many frames make a second.
        past: RMS of earlier frames, shape (row, frame), for a recording that comes in pieces;
            `num_past_frames` of them are enough.

    Returns:
        The level for each frame, shape (row, frame). No frame depends on a later one.

    Notebook: 04
    """
    past = frame_levels[:, :0] if past is None else past
    power = torch.cat([past, frame_levels], dim=-1).square()
    recent = _moving_rms(power, round(_RECENT_SECONDS * frames_per_second))
    steady = known
    if steady is None:
        steady = _moving_rms(power, round(_STEADY_SECONDS * frames_per_second))
    level = torch.minimum(torch.maximum(steady, recent / _FURTHEST), recent * _FURTHEST)
    return level[:, past.shape[-1] :]


def num_past_frames(frames_per_second: float) -> int:
    """Count the earlier frames that `follow_level` looks at.

    Args:
        frames_per_second: How many frames make a second.

    Returns:
        The number of frames.

    Notebook: 06
    """
    return max(1, round(_STEADY_SECONDS * frames_per_second)) - 1


def _moving_rms(power: Tensor, length: int) -> Tensor:
    """Average the power of each frame and the `length - 1` before it, fewer at the beginning."""
    length = max(1, length)
    padded = torch.nn.functional.pad(power, (length - 1, 0))
    total = padded.unfold(-1, length, 1).sum(dim=-1)
    count = torch.arange(1, power.shape[-1] + 1, device=power.device).clamp(max=length)
    return (total / count).sqrt()
