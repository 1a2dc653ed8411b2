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

SILENCE_RMS = 1e-8
"""Below this, -160 dBFS, a clip is silent: 24-bit audio ends at -144 dBFS."""

SILENCE_PEAK = 1e-10
"""The same for the largest sample: -200 dBFS, below one step of every integer format."""


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
    return torch.where(level > 1e-10, WORKING_LEVEL / level.clamp(min=1e-10), 1.0)
