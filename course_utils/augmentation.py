"""Make training harder than the world: change voices, noises and levels at random.

With few voices and few noises, a network learns those by heart. Every function here gives the
same recording another speaker, another microphone or another room. Each takes and returns one
waveform of shape (channel, time) and draws from `generator`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torchaudio.transforms import Resample

from course_utils.audio import SAMPLE_RATE
from course_utils.validate import validate_channels, validate_number

# Ratios of small whole numbers where it can be, so that resampling needs few filter taps.
_SPEEDS = (
    *(0.5, 0.6, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0),
    *(1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 1.75, 2.0),
)  # fmt: skip

# Filters are drawn at the frequencies of a short transform, every 31 Hz.
_N_TAPS = 512
_HOP = 1536  # finished samples of a block
_HZ = np.linspace(0, SAMPLE_RATE / 2, _N_TAPS // 2 + 1)
_OCTAVES = np.log2(_HZ.clip(62.5) / 62.5)  # 7 at 8 kHz


@dataclass(frozen=True)
class Augmentation:
    """How often each change is made to a mixture: probabilities from 0 to 1.

    Args:
        speed: Voice and recorded noise are played faster or slower.
        equalizer: Voice and noise are coloured, each by a curve of its own.
        reverse: The recorded noise is played backwards.
        room: The voice, or a crowd, stands in a simulated room.
        formula_noise: The noise comes from a formula instead of a recording.
        babble: The noise is made of other voices.
        second_noise: A second noise is added to the first.
        codec: Voice or noise gets the noise of a codec.
        clipping: The noisy clip is clipped, as by a microphone that is too loud.
        clean_only: No noise at all.
        noise_only: No voice at all.
        level_jump: From some moment on, everything is louder or softer.
        silence: A stretch of the recording is digital silence, as after a gate or a muted call.

    Notebook: 05
    """

    speed: float = 0.6
    equalizer: float = 0.6
    reverse: float = 0.3
    room: float = 0.2
    formula_noise: float = 0.45
    babble: float = 0.1
    second_noise: float = 0.25
    codec: float = 0.25
    clipping: float = 0.02
    clean_only: float = 0.04
    noise_only: float = 0.02
    level_jump: float = 0.08
    silence: float = 0.08


NO_AUGMENTATION = Augmentation(*[0.0] * 13)


def happens(odds: float, generator: torch.Generator | None = None) -> bool:
    """Decide by chance whether something happens.

    Args:
        odds: Its probability, 0 to 1.
        generator: Source of randomness.

    Returns:
        True in so many of all cases.

    Notebook: 05
    """
    return uniform(0, 1, generator) < odds


def uniform(low: float, high: float, generator: torch.Generator | None = None) -> float:
    """Draw one number evenly between two bounds.

    Args:
        low: Lower bound.
        high: Upper bound.
        generator: Source of randomness.

    Returns:
        A float in [low, high).

    Notebook: 05
    """
    return low + (high - low) * torch.rand((), generator=generator).item()


def draw_speed(
    *, slowest: float = 0.75, fastest: float = 1.3, generator: torch.Generator | None = None
) -> float:
    """Draw how much faster to play a clip, for `change_speed`.

    Args:
        slowest: Lowest speed, 0.5 to 1; below 0.75 voices stop being voices.
        fastest: Highest speed, 1 to 2.
        generator: Source of randomness.

    Returns:
        One of a few speeds from ``slowest`` to ``fastest``.

    Raises:
        ValueError: If a bound is out of range.

    Notebook: 05
    """
    validate_number(slowest, "slowest", minimum=0.5, maximum=1)
    validate_number(fastest, "fastest", minimum=1, maximum=2)
    speeds = [speed for speed in _SPEEDS if slowest <= speed <= fastest]
    return speeds[int(torch.randint(len(speeds), (), generator=generator))]


def change_speed(waveform: Tensor, speed: float) -> Tensor:
    """Play a clip faster or slower, pitch and all: a smaller or larger speaker.

    Args:
        waveform: Shape ``(channel, time)``.
        speed: 0.5 to 2, in whole hundredths; above 1 is faster and higher.

    Returns:
        The same sound, shape ``(channel, time / speed)``; its length is rounded up.

    Raises:
        ValueError: If ``waveform`` is empty or of another shape, or ``speed`` is out of range.

    Source: Ko et al., "Audio augmentation for speech recognition", Interspeech 2015.

    Notebook: 05
    """
    validate_channels(waveform)
    validate_number(speed, "speed", minimum=0.5, maximum=2)
    return _resampler(round(100 * speed))(waveform)


def equalize(
    waveform: Tensor,
    *,
    max_db: float = 10.0,
    band_limit: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Colour a clip as another microphone or another room would: a random, smooth equaliser.

    Gains are drawn at nine places, an octave apart, and joined by straight lines.

    Args:
        waveform: Shape ``(channel, time)`` at 16 kHz; every channel gets a curve of its own.
        max_db: Largest gain or loss, in dB.
        band_limit: Probability that everything above a random 3 to 7 kHz is removed, as a
            telephone or a codec would.
        generator: Source of randomness.

    Returns:
        The coloured channels, same shape and RMS levels; silence stays silence.

    Raises:
        ValueError: If ``waveform`` is empty or of another shape.

    Notebook: 05
    """
    validate_channels(waveform)
    gains = []
    for _ in waveform:
        knots = (2 * torch.rand(9, generator=generator) - 1) * max_db
        gain_db = np.interp(_OCTAVES, np.arange(9), knots)
        if uniform(0, 1, generator) < band_limit:
            gain_db -= 60 * ((_HZ - uniform(3000, 7000, generator)) / 300).clip(0, 1)
        gains.append(10 ** (gain_db / 20))
    coloured = _filter(waveform, torch.from_numpy(np.stack(gains)))
    before, after = (
        torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (waveform, coloured)
    )
    return coloured * (before / after.clamp(min=1e-12))


def codec_noise(waveform: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Add to the highs what an old speech codec does: noise that follows the signal itself.

    Half of the speech in data/ went through such a codec (G.722). A network that hears it on
    the voices only would learn to keep whatever sounds like the codec; so it goes on anything.

    Args:
        waveform: Shape ``(channel, time)`` at 16 kHz.
        generator: Source of randomness.

    Returns:
        The clip with noise 15 to 30 dB below its own highs (above 4 kHz), same shape.

    Raises:
        ValueError: If ``waveform`` is empty or of another shape.

    Notebook: 05
    """
    validate_channels(waveform)
    x = torch.nn.functional.pad(waveform, (3, 3))
    # A half-band filter: gain 0 at the bottom, 1/2 at 4 kHz and 1 at 8 kHz (Deslauriers, Dubuc).
    highs = waveform / 2 - (9 / 32) * (x[:, 2:-4] + x[:, 4:-2]) + (x[:, :-6] + x[:, 6:]) / 32
    depth = 10 ** (uniform(-30, -15, generator) / 20)
    rough = torch.randn(waveform.shape, generator=generator).to(waveform)
    return waveform + depth * rough * highs


def swell(
    waveform: Tensor, *, max_db: float = 8.0, generator: torch.Generator | None = None
) -> Tensor:
    """Let the level rise and fall slowly, as traffic and wind do and formulas do not.

    Gains are drawn about three times a second at 16 kHz and joined by straight lines.

    Args:
        waveform: Shape ``(channel, time)``.
        max_db: Largest gain or loss, in dB.
        generator: Source of randomness.

    Returns:
        The swelling clip, same shape.

    Raises:
        ValueError: If ``waveform`` is empty or of another shape.

    Notebook: 05
    """
    validate_channels(waveform)
    n_samples = waveform.shape[-1]
    knots = (2 * torch.rand(1, 1, 2 + n_samples // 5000, generator=generator) - 1) * max_db
    gain_db = torch.nn.functional.interpolate(
        knots, size=n_samples, mode="linear", align_corners=True
    )
    return waveform * torch.exp(gain_db[0] * (math.log(10) / 20)).to(waveform)


def level_jump(
    waveform: Tensor, *, max_db: float = 30.0, generator: torch.Generator | None = None
) -> Tensor:
    """Make everything louder or softer from a random moment on, as a hand at the microphone does.

    Args:
        waveform: Shape ``(channel, time)``; all channels get the same gain.
        max_db: Largest step, in dB.
        generator: Source of randomness.

    Returns:
        The clip with its step, same shape.

    Raises:
        ValueError: If ``waveform`` is empty or of another shape.

    Notebook: 05
    """
    validate_channels(waveform)
    n_samples = waveform.shape[-1]
    moment = int(uniform(0.2, 0.8, generator) * n_samples)
    gain = torch.ones(n_samples)
    gain[moment:] = 10 ** (uniform(-max_db, max_db, generator) / 20)
    return waveform * gain.to(waveform)


def silence(waveform: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Set a stretch to zero, at the beginning or anywhere, as a gate or a muted call does.

    Args:
        waveform: Shape ``(channel, time)``; all channels fall silent together.
        generator: Source of randomness.

    Returns:
        The clip with at most 70 % of it zero, same shape.

    Raises:
        ValueError: If ``waveform`` is empty or of another shape.

    Notebook: 05
    """
    validate_channels(waveform)
    n_samples = waveform.shape[-1]
    length = int(uniform(0.1, 0.7, generator) * n_samples)
    start = max(0, int(uniform(-0.5, 1, generator) * (n_samples - length)))
    gated = waveform.clone()
    gated[:, start : start + length] = 0
    return gated


@lru_cache(maxsize=len(_SPEEDS))
def _resampler(percent: int) -> Resample:
    """Keep the resampling filter of one speed: making it costs more than using it."""
    return Resample(percent, 100)


def _filter(waveform: Tensor, gain: Tensor) -> Tensor:
    """Give each frequency its gain, (channel, freq) at `_HZ`, without moving the sound in time.

    By overlap-save: half of the filter's taps lie ahead of time, and of every block the first
    `_N_TAPS` samples are of no use. Short blocks are quicker than one transform of all, and than
    SciPy's ``oaconvolve``, which this would otherwise be.
    """
    n_channels, length = waveform.shape
    size = _HOP + _N_TAPS
    taps = torch.fft.irfft(gain.float()).roll(_N_TAPS // 2, dims=-1)  # (channel, tap)
    n_after = math.ceil(length / _HOP) * _HOP + _N_TAPS // 2 - length
    padded = torch.nn.functional.pad(waveform.detach().cpu().float(), (_N_TAPS // 2, n_after))
    blocks = torch.fft.rfft(padded.unfold(-1, size, _HOP))  # (channel, block, freq)
    filtered = torch.fft.irfft(blocks * torch.fft.rfft(taps, size)[:, None])[..., _N_TAPS:]
    return filtered.reshape(n_channels, -1)[:, :length].to(waveform)
