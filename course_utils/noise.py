"""Noise made from formulas, and babble made from other voices."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy import fft
from torch import Tensor

from course_utils.audio import SAMPLE_RATE
from course_utils.levels import WORKING_LEVEL, rms, validate_audible
from course_utils.validate import (
    validate_integer,
    validate_not_empty,
    validate_number,
    validate_one_channel,
    validate_waveform,
)

LOWEST_CYCLES_PER_SAMPLE = 20.0 / SAMPLE_RATE  # 20 Hz at 16 kHz: nobody hears what lies below
MAX_HARMONICS = 20
KEYS_PER_SECOND = 7.0
CLICK_SECONDS = 0.06


def colored_noise(
    num_samples: int, *, exponent: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Make noise whose power falls with frequency as a power law.

    Formula: power(f) ~ 1 / f**exponent above 20 Hz (at 16 kHz), nothing below. Exponent 0 is
    white (hiss), 1 pink (a waterfall), 2 brown (distant thunder), -1 blue (a leaking valve).
    White noise is drawn, its spectrum is bent, and it is turned back into sound.

    Args:
        num_samples: Length in samples, at least 1.
        exponent: How fast the power falls, from -4 to 4; 1 is 3 dB for each octave.
        generator: Source of randomness; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1.

    Raises:
        TypeError: If `num_samples` is not an int or `exponent` is not a number.
        ValueError: If `num_samples` is below 1 or `exponent` is not from -4 to 4.

    Notebook: 01
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    validate_number(exponent, "exponent", minimum=-4, maximum=4)
    white = _normal(num_samples, generator)  # (time,)
    if num_samples == 1:
        return _at_level(white)
    spectrum = fft.rfft(white.cpu().numpy())  # (freq,)
    frequency = fft.rfftfreq(num_samples).astype(np.float32)
    lowest = np.searchsorted(frequency, LOWEST_CYCLES_PER_SAMPLE)
    spectrum[:lowest] = 0  # so no constant offset either
    spectrum[lowest:] *= frequency[lowest:] ** (-exponent / 2)  # amplitude = sqrt(power)
    return _at_level(torch.from_numpy(fft.irfft(spectrum, num_samples)).to(white.device))


def mains_hum(
    num_samples: int,
    *,
    frequency: float = 50.0,
    sample_rate: int = SAMPLE_RATE,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Make the hum of the power line: one low tone and its whole multiples.

    Formula: sum over k of a_k * cos(2 * pi * k * frequency * t + phase_k) for up to 20 multiples
    below half the sample rate, with a_k about 1 / k and random phases.

    Args:
        num_samples: Length in samples, at least 1.
        frequency: The lowest tone in Hz: 50 in most of the world, 60 in the Americas.
        sample_rate: Samples per second.
        generator: Source of randomness; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1.

    Raises:
        TypeError: If `num_samples` or `sample_rate` is not an int, or `frequency` not a number.
        ValueError: If `num_samples` or `sample_rate` is below its minimum (1 and 1000), or
            `frequency` is not above 0 and below half of `sample_rate`.

    Notebook: 01
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    validate_integer(sample_rate, "sample_rate", minimum=1000)
    validate_number(frequency, "frequency", above=0, maximum=sample_rate / 2)
    if frequency == sample_rate / 2:  # every sample of that tone would fall on a zero
        raise ValueError(f"frequency must be below {sample_rate / 2:g}, got {frequency}; try 50.")
    highest = min(MAX_HARMONICS, math.ceil(sample_rate / 2 / frequency) - 1)
    order = torch.arange(1, highest + 1, dtype=torch.float64, device=_device(generator))
    phase = 2 * math.pi * _uniform(highest, generator)
    amplitude = (0.5 + _uniform(highest, generator)) / order
    time = torch.arange(num_samples, dtype=torch.float64, device=order.device) / sample_rate
    # The k-th tone is the k-th power of the first one, so the sum is a polynomial in it: Horner's
    # rule needs one product a tone, and a product is quicker than a cosine.
    turns = frequency * time
    angle = (2 * math.pi * (turns - turns.floor())).float()  # 64 bits until here keep the pitch
    first = torch.polar(torch.ones_like(angle), angle)  # (time,)
    total = torch.zeros_like(first)
    for weight in torch.polar(amplitude, phase).flip(0).tolist():
        total.add_(weight).mul_(first)
    return _at_level(total.real)


def fan_noise(
    num_samples: int, *, sample_rate: int = SAMPLE_RATE, generator: torch.Generator | None = None
) -> Tensor:
    """Make the noise of a fan: rushing air, and the tone of its blades.

    Formula: noise with power ~ 1 / f**1.5 whose level breathes at the speed of rotation, plus a
    hum at the rate at which blades pass (five for each turn, 18 to 30 turns a second).

    Args:
        num_samples: Length in samples, at least 1.
        sample_rate: Samples per second.
        generator: Source of randomness; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1.

    Raises:
        TypeError: If `num_samples` or `sample_rate` is not an int.
        ValueError: If `num_samples` or `sample_rate` is below its minimum (1 and 1000).

    Notebook: 01
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    validate_integer(sample_rate, "sample_rate", minimum=1000)
    speed, phase = _uniform(2, generator)
    turns = 18.0 + 12.0 * float(speed)
    air = colored_noise(num_samples, exponent=1.5, generator=generator)
    blades = mains_hum(
        num_samples, frequency=5 * turns, sample_rate=sample_rate, generator=generator
    )
    time = torch.arange(num_samples, device=air.device) / sample_rate
    breath = 1 + 0.2 * torch.cos(2 * math.pi * (turns * time + phase))
    return _at_level((breath * air + 0.3 * blades).squeeze(0))


def keyboard_clicks(
    num_samples: int, *, sample_rate: int = SAMPLE_RATE, generator: torch.Generator | None = None
) -> Tensor:
    """Make the clatter of typing: short knocks at uneven moments over a faint room tone.

    Formula: about seven strokes a second; each is noise times exp(-t / tau), with its own
    loudness and tau from 5 to 15 ms.

    Args:
        num_samples: Length in samples, at least 1.
        sample_rate: Samples per second.
        generator: Source of randomness; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1.

    Raises:
        TypeError: If `num_samples` or `sample_rate` is not an int.
        ValueError: If `num_samples` or `sample_rate` is below its minimum (1 and 1000).

    Notebook: 01
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    validate_integer(sample_rate, "sample_rate", minimum=1000)
    clicks = 0.01 * _normal(num_samples, generator)  # the room; also keeps one sample from silence
    length = min(int(CLICK_SECONDS * sample_rate), num_samples)
    time = torch.arange(length, dtype=torch.float64, device=clicks.device) / sample_rate
    for _ in range(max(1, round(KEYS_PER_SECOND * num_samples / sample_rate))):
        where, loudness, tau = _uniform(3, generator).tolist()
        start = int(where * (num_samples - length + 1))
        knock = _normal(length, generator) * torch.exp(-time / (0.005 + 0.010 * tau))
        clicks[start : start + length] += (0.3 + 0.7 * loudness) * knock
    # Knocks are rare and loud; a soft limit keeps their peaks below full scale.
    return _at_level(torch.tanh(2 * clicks))


def tones(num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Make notes that nobody sings: beeps, sirens, bells, bird calls, a squeaking wheel.

    Each note has a pitch of 100 to 5000 Hz that glides to another one, up to six harmonics, a
    length of 0.05 to 1 s, and a level that stays or dies away. Notes come in turn, with gaps,
    and share the number of harmonics and the manner in which they fade, as one source does.

    Args:
        num_samples: Length in samples at 16 kHz, at least 1.
        generator: Source of randomness; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1.

    Raises:
        TypeError: If `num_samples` is not an int.
        ValueError: If `num_samples` is below 1.

    Notebook: 05
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    harmonics, fade, glide, gap, hold = _uniform(5, generator).tolist()
    orders = np.arange(1, 2 + int(6 * harmonics), dtype=np.float32)[:, None]
    amplitudes = (0.2 + _uniform(len(orders), generator)[:, None].float().cpu().numpy()) / orders
    sound = np.full(num_samples, 1e-9, dtype=np.float32)
    start = 0
    while start < num_samples:
        pitch, target, length, pause = _uniform(4, generator).tolist()
        n_note = min(int(SAMPLE_RATE * 0.05 * 20 ** (hold * length)), num_samples - start)
        path = np.linspace(0, 1, n_note, dtype=np.float32)
        hz = 100 * 50 ** (pitch + glide * (target - pitch) * path)  # (time,)
        turns = np.cumsum(hz, dtype=np.float64) / SAMPLE_RATE  # 64 bits keep the pitch
        angle = (2 * math.pi * (turns - np.floor(turns))).astype(np.float32)
        audible = orders * hz < SAMPLE_RATE / 2
        waves = amplitudes * audible * np.sin(orders * angle)  # (harmonic, time)
        soft = np.minimum(20 * np.minimum(path, 1 - path), 1)  # no click at either end
        sound[start : start + n_note] += waves.sum(axis=0) * soft * np.exp(-6 * fade * path)
        start += n_note + int(SAMPLE_RATE * 0.5 * gap * pause)
    return _at_level(torch.from_numpy(sound).to(_device(generator)))


def knocks(num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Make one thing hit another, again and again: hammering, hooves, dishes, rain, applause.

    One knock is noise in a band of 0.3 to 3 octaves that dies away within 5 to 200 ms. It
    sounds 1 to 200 times a second, in an even beat or at random, each time at another level.

    Args:
        num_samples: Length in samples at 16 kHz, at least 1.
        generator: Source of randomness; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1; a rare knock peaks above 1.

    Raises:
        TypeError: If `num_samples` is not an int.
        ValueError: If `num_samples` is below 1.

    Notebook: 05
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    low, width, decay, rate, jitter = _uniform(5, generator).tolist()
    n_knock = SAMPLE_RATE // 2
    low_hz = 100 * 40**low
    spectrum = fft.rfft(_normal(n_knock, generator).cpu().numpy())
    hz = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    spectrum[(hz < low_hz) | (hz > low_hz * 2 ** (0.3 + 2.7 * width))] = 0
    fading = np.arange(n_knock, dtype=np.float32) / SAMPLE_RATE / (-0.005 * 40**decay)
    knock = fft.irfft(spectrum, n_knock) * np.exp(fading)
    period = SAMPLE_RATE / 200**rate
    n_hits = max(1, int(num_samples / period))
    beat = (np.arange(n_hits) + 0.1) * period
    places, levels = _uniform(2 * n_hits, generator).cpu().numpy().reshape(2, n_hits)
    when = beat + jitter * num_samples * (places - 0.5) * 0.5
    hits = np.zeros(num_samples, np.float32)
    np.add.at(hits, when.astype(int) % num_samples, 0.1 + levels)
    # In a circle: what the last knock leaves over rings at the beginning.
    sound = fft.irfft(fft.rfft(hits) * fft.rfft(knock, num_samples), num_samples)
    # The tiny constant keeps a piece too short for a whole knock from being silent.
    return _at_level(torch.from_numpy(sound + 1e-9).to(_device(generator)))


def babble(
    voices: Sequence[Tensor], num_samples: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Make a crowd out of voices: each at the same level, each entered at a random place.

    Formula: sum over voices of voice[(start + n) mod length] / RMS(voice).

    Args:
        voices: One or more recordings of one channel, of shape (time,) or (1, time). Take them
            from the split that the noise is for: a test voice must not speak here in training.
        num_samples: Length in samples, at least 1; a shorter voice starts again.
        generator: Source of the random places; None uses PyTorch's global one.

    Returns:
        float32 tensor of shape (1, num_samples) with RMS 0.1.

    Raises:
        TypeError: If `num_samples` is not an int.
        ValueError: If there is no voice, a voice is silent or has more than one channel, or
            `num_samples` is below 1.

    Notebook: 01
    """
    validate_integer(num_samples, "num_samples", minimum=1)
    validate_not_empty(voices, "voices")
    crowd = torch.zeros(num_samples)
    for number, voice in enumerate(voices):
        validate_waveform(voice, name=f"voices[{number}]")
        validate_one_channel(voice, name=f"voices[{number}]")
        mono = voice.detach().reshape(-1).cpu()
        level = float(rms(mono.double()))
        validate_audible(level, f"voices[{number}]")
        start = int(float(_uniform(1, generator)) * mono.numel())
        loops = math.ceil(num_samples / mono.numel())
        crowd += mono.roll(-start).repeat(loops)[:num_samples] / level
    return _at_level(crowd)


def _device(generator: torch.Generator | None) -> torch.device:
    return generator.device if generator is not None else torch.device("cpu")


def _normal(num_samples: int, generator: torch.Generator | None) -> Tensor:
    return torch.randn(num_samples, generator=generator, device=_device(generator))


def _uniform(size: int, generator: torch.Generator | None) -> Tensor:
    return torch.rand(size, generator=generator, dtype=torch.float64, device=_device(generator))


def _at_level(waveform: Tensor) -> Tensor:
    """Bring (time,) to RMS 0.1 and to the shape of a mono file, (1, time)."""
    # Divided in 64 bits: `levels.rms` would round once more, and every noise would change a little.
    level = float(torch.linalg.vector_norm(waveform)) / math.sqrt(waveform.numel())
    validate_audible(level, f"a noise of {waveform.numel()} samples", minimum=1e-12)
    return (waveform * (WORKING_LEVEL / level)).to(torch.float32).unsqueeze(0)
