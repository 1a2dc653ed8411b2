"""From waveform to spectrogram and back: the one place where the course calls torch.stft.

Everything the course learns from, masks, or plots goes through these few functions, so noisy
and clean always pass one and the same pipeline. Shapes follow torchaudio: a waveform is
``(..., time)``, a spectrogram ``(..., freq, frame)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from course_utils.audio import SAMPLE_RATE
from course_utils.levels import SILENCE_PEAK
from course_utils.validate import (
    validate_choice,
    validate_integer,
    validate_number,
    validate_same_shape,
)

# Periodic windows (the PyTorch default): copies shifted by a divisor of the length add up evenly.
_WINDOWS: dict[str, Callable[..., Tensor]] = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "rectangular": torch.ones,
}
WINDOW_NAMES = tuple(_WINDOWS)

# The deepest voices begin here.
_LOWEST_VOICE_HZ = 80
# A gap in the overlapping windows this deep (in power) would blow up round-off when divided out.
_MIN_OVERLAP = 1e-3
# Added to magnitudes before a root: the slope of x**0.3 at x = 0 is infinite, at 1e-6 it is not.
_EPS = 1e-6


@dataclass(frozen=True)
class STFTConfig:
    """The settings of a short-time Fourier transform (STFT), checked once and never changed.

    Args:
        sample_rate: Samples per second, in Hz.
        n_fft: Length of one transform, in samples, even.
        win_length: Length of the window, in samples, at most ``n_fft``.
        hop_length: Step from one window to the next, in samples, at most ``win_length``.
        window: ``"hann"``, ``"hamming"``, ``"blackman"`` or ``"rectangular"``.
        center: True puts frame ``t`` around sample ``t * hop_length`` (zeros stand in beyond
            both ends); False lets frame ``t`` begin at that sample.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If the sizes contradict each other or the window is unknown.

    Notebook: 03
    """

    sample_rate: int = SAMPLE_RATE
    n_fft: int = 512
    win_length: int = 512
    hop_length: int = 256
    window: str = "hann"
    center: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, with the remedy in the message."""
        for name in ("sample_rate", "n_fft", "win_length", "hop_length"):
            validate_integer(getattr(self, name), name, minimum=1)
        if self.n_fft % 2:  # an odd transform has no sample in its middle to centre a frame on
            raise ValueError(f"n_fft must be even, got {self.n_fft}; try 512.")
        if self.win_length > self.n_fft:
            raise ValueError(
                f"win_length must not exceed n_fft = {self.n_fft}, got {self.win_length}; "
                "shorten the window or lengthen the transform."
            )
        if self.hop_length > self.win_length:
            raise ValueError(
                f"hop_length must not exceed win_length = {self.win_length}, got "
                f"{self.hop_length}; a longer step would skip samples, so take a shorter one."
            )
        validate_choice(self.window, "window", WINDOW_NAMES)

    @property
    def n_freqs(self) -> int:
        """Number of frequency bins, ``n_fft // 2 + 1``: real input needs no mirrored half."""
        return self.n_fft // 2 + 1

    @property
    def hz_per_bin(self) -> float:
        """Distance between two neighbouring frequency bins, in Hz."""
        return self.sample_rate / self.n_fft

    @property
    def ms_per_frame(self) -> float:
        """Step from one frame to the next, in milliseconds."""
        return 1000.0 * self.hop_length / self.sample_rate

    @property
    def invertible(self) -> bool:
        """Whether `istft` gives the waveform back: no sample may fall into a gap of the windows."""
        return _invertible(self)

    def num_frames(self, num_samples: int) -> int:
        """Count the frames that `stft` makes of a clip.

        Centred: ``1 + ceil(num_samples / hop_length)``. Not centred: only the windows that fit,
        ``1 + (num_samples - n_fft) // hop_length``.

        Args:
            num_samples: Length of the clip, in samples.

        Returns:
            The number of frames.

        Raises:
            TypeError: If ``num_samples`` is not an integer.
            ValueError: If the clip is empty, or shorter than one window that is not centred.

        Notebook: 03
        """
        validate_integer(num_samples, "num_samples", minimum=1 if self.center else self.n_fft)
        if self.center:
            return 1 + -(-num_samples // self.hop_length)
        return 1 + (num_samples - self.n_fft) // self.hop_length


@lru_cache(maxsize=64)
def window_tensor(
    config: STFTConfig, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Tensor:
    """Make the window of a configuration; made once per (config, dtype, device), then shared.

    Args:
        config: The settings of the transform.
        dtype: Real floating-point type of the window.
        device: Where the window lives.

    Returns:
        The window, shape ``(win_length,)``. It is shared: do not change it in place.

    Notebook: 03
    """
    # A window first made inside torch.inference_mode() would be unusable in training afterwards.
    with torch.inference_mode(False):
        return _WINDOWS[config.window](config.win_length, dtype=dtype, device=device)


@lru_cache(maxsize=256)
def _invertible(config: STFTConfig) -> bool:
    """Check that the overlapping squared windows leave no sample (nearly) without weight."""
    power = window_tensor(config, dtype=torch.float64, device="cpu") ** 2
    missing = -config.win_length % config.hop_length
    overlap = torch.nn.functional.pad(power, (0, missing)).view(-1, config.hop_length).sum(0)
    steady = bool(overlap.min() > _MIN_OVERLAP * overlap.max())
    if config.center:
        return steady
    # Without centring, the first sample is seen by the first sample of one window and no other.
    return steady and config.win_length == config.n_fft and bool(power[0] > _MIN_OVERLAP)


def stft(waveform: Tensor, config: STFTConfig) -> Tensor:
    """Transform a waveform into its complex spectrogram.

    The numbers are those of ``torch.stft(..., pad_mode="constant")``. Zeros stand in beyond the
    ends, because the usual reflection fails for clips shorter than ``n_fft // 2`` and invents
    sound that was never there. When a centred clip ends between two hops, one more frame
    follows: without it the last samples lie under the thin end of a single window, and the
    inverse would have to divide by almost nothing (after a mask, that is an audible click).

    Args:
        waveform: Real samples, shape ``(..., time)``, float32 or float64.
        config: The settings of the transform.

    Returns:
        Complex spectrogram, shape ``(..., freq, frame)`` with ``freq = n_fft // 2 + 1``.

    Raises:
        ValueError: If ``waveform`` is too short for ``center=False``.

    Source: Allen and Rabiner, "A unified approach to short-time Fourier analysis and
    synthesis", Proc. IEEE 65(11), 1977.

    Notebook: 03
    """
    num_samples = waveform.shape[-1]
    if config.center:
        waveform = torch.nn.functional.pad(waveform, (0, -num_samples % config.hop_length))
    else:
        config.num_frames(num_samples)  # says so when not even one window fits
    spectrogram = torch.stft(
        waveform.reshape(-1, waveform.shape[-1]),
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        win_length=config.win_length,
        window=window_tensor(config, dtype=waveform.dtype, device=waveform.device),
        center=config.center,
        pad_mode="constant",
        onesided=True,
        return_complex=True,
    )  # (batch, freq, frame)
    return spectrogram.reshape(waveform.shape[:-1] + spectrogram.shape[-2:])


def istft(spectrogram: Tensor, config: STFTConfig, *, length: int) -> Tensor:
    """Transform a complex spectrogram back into a waveform.

    Each frame goes back to samples, is windowed again, and the overlapping frames are added and
    divided by the sum of the squared windows.

    Args:
        spectrogram: Complex values, shape ``(..., freq, frame)``.
        config: The settings that `stft` used.
        length: Number of samples to give back; without it the tail of the clip would be lost.

    Returns:
        Waveform, shape ``(..., length)``.

    Raises:
        TypeError: If ``spectrogram`` is not complex or ``length`` not an integer (from PyTorch).
        RuntimeError: If the number of frequency bins is not that of ``config`` (from PyTorch).
        ValueError: If the settings cannot be inverted, or ``length`` is longer than the frames
            reach.

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform",
    IEEE Trans. ASSP 32(2), 1984.

    Notebook: 03
    """
    if not config.invertible:
        raise ValueError(
            f"config cannot be inverted, got window={config.window!r}, win_length="
            f"{config.win_length}, hop_length={config.hop_length}, center={config.center}: some "
            "samples lie in a gap between windows; use center=True and a shorter hop_length."
        )
    reach = (spectrogram.shape[-1] - 1) * config.hop_length
    reach += 0 if config.center else config.n_fft
    validate_integer(length, "length", minimum=1, maximum=reach)  # as far as the frames reach
    real_dtype = spectrogram.real.dtype
    waveform = torch.istft(
        spectrogram.reshape(-1, *spectrogram.shape[-2:]),
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        win_length=config.win_length,
        window=window_tensor(config, dtype=real_dtype, device=spectrogram.device),
        center=config.center,
        length=length,
    )
    return waveform.reshape(*spectrogram.shape[:-2], length)


def magnitude(spectrogram: Tensor) -> Tensor:
    """Take the size of each complex number and leave its phase.

    Args:
        spectrogram: Complex values, any shape.

    Returns:
        ``|spectrogram|``, same shape, real. The gradient at silence is zero, not NaN.

    Notebook: 03
    """
    return spectrogram.abs()


def frame_levels(magnitude: Tensor, config: STFTConfig) -> Tensor:
    """Measure how loud each frame is to the ear of a listener to speech: its RMS above 80 Hz.

    What lies below (a constant offset, the rumble of wind and desks, most of the mains hum) is no
    speech and often louder than it. It must not tell how loud somebody speaks.

    Formula: Parseval's theorem, ``sqrt(2 * sum(|X|**2) / (n_fft * sum(window**2)))`` over the bins
    from 80 Hz up to the last but one.

    Args:
        magnitude: From `stft` and `magnitude`, shape ``(..., freq, frame)``.
        config: The settings of the transform.

    Returns:
        Levels, shape ``(..., frame)``, without a gradient; exactly 0 in digital silence, also
        where a converter holds another value than 0 all the time.

    Notebook: 04
    """
    window = window_tensor(config, dtype=magnitude.dtype, device=magnitude.device)
    scale = math.sqrt(2 / (config.n_fft * float(window.square().sum())))
    magnitude = magnitude.detach() * scale
    lowest = math.ceil(_LOWEST_VOICE_HZ / config.hz_per_bin)
    level = torch.linalg.vector_norm(magnitude[..., lowest:-1, :], dim=-2)
    # Beside a large offset, the bins above hold no zeros but its round-off.
    return level.masked_fill(level <= SILENCE_PEAK + 1e-6 * magnitude[..., 0, :], 0.0)


def compress(magnitude: Tensor, *, exponent: float = 0.3) -> Tensor:
    """Raise magnitudes to a power below one, so that soft parts count nearly like loud ones.

    ``(magnitude + eps) ** exponent - eps ** exponent`` with ``eps = 1e-6``: silence stays
    exactly zero and its gradient finite, which ``magnitude ** exponent`` alone does not do.

    Args:
        magnitude: Real values of at least 0, any shape; negative ones count as 0.
        exponent: Above 0, at most 1; 1 changes nothing.

    Returns:
        Compressed magnitude, same shape and dtype.

    Notebook: 03
    """
    if exponent == 1.0:
        return magnitude.clone()
    # The root of a negative number is NaN. The limit is a hair below 0, or silence lost its slope.
    magnitude = magnitude.clamp(min=-1e-20)
    return (magnitude + _EPS) ** exponent - _EPS**exponent


def decibels(
    magnitude: Tensor, *, top_db: float = 80.0, reference: float | Tensor | None = None
) -> Tensor:
    """Express magnitudes in decibels below a reference.

    ``20 * log10(magnitude / reference)``, with everything below ``-top_db`` raised to it.

    Args:
        magnitude: Real values of at least 0, any shape.
        top_db: Depth of the scale, in dB.
        reference: The magnitude that stands for 0 dB. Without it, the largest value of this
            tensor: then two pictures are not comparable, so pass one number for both.

    Returns:
        Levels in dB, same shape and dtype; silence is ``-top_db``.

    Raises:
        ValueError: If ``top_db`` or ``reference`` is not above 0.

    Notebook: 03
    """
    if not top_db > 0:  # infinity is fine: the smallest number is the floor then
        raise ValueError(f"top_db must be above 0, got {top_db}; try 80.")
    if reference is None:
        loudest = magnitude.detach().max()
        reference = torch.where(loudest > 0, loudest, torch.ones_like(loudest))
    else:
        validate_number(float(reference), "reference", above=0)
    limits = torch.finfo(magnitude.dtype)  # a floor of 1e-50 would be zero in float32
    floor = max(10.0 ** (-top_db / 20.0), limits.tiny)
    return 20.0 * torch.log10((magnitude / reference).clamp(min=floor, max=limits.max))


def frequency_bands(n_freqs: int, n_bands: int) -> tuple[Tensor, Tensor]:
    """Merge the bins of a spectrogram into fewer bands, as the ear does, and spread them again.

    The lower half of the bands are single bins, from the second bin on (the first, at 0 Hz, holds
    no speech). The other bands lie evenly on the mel scale, ever wider, up to the highest bin.

    Formula: bins between two band centres share both, in proportion to how near they lie, so
    ``spread`` is linear interpolation; ``gather`` averages with the same weights.

    Args:
        n_freqs: Number of frequency bins of audio at 16 kHz.
        n_bands: Number of bands, from 4 to ``n_freqs - 1``; that many keeps every bin apart.

    Returns:
        gather, shape ``(n_bands, n_freqs)``, to apply as ``gather @ magnitude``, and spread, shape
        ``(n_freqs, n_bands)``, to apply as ``spread @ band_mask``; the first bin becomes 0.

    Raises:
        ValueError: If ``n_bands`` is out of range.

    Source: the mel scale of Stevens, Volkmann and Newman, JASA 8(3), 1937.

    Notebook: 04
    """
    validate_integer(n_bands, "n_bands", minimum=4, maximum=n_freqs - 1)
    hz = torch.linspace(0, SAMPLE_RATE / 2, n_freqs, dtype=torch.float64)
    mel = 1127 * torch.log1p(hz / 700)
    n_single = n_bands if n_bands == n_freqs - 1 else n_bands // 2
    first_wide = mel[min(n_single + 1, n_freqs - 1)].item()
    wide = torch.linspace(first_wide, mel[-1].item(), n_bands - n_single, dtype=torch.float64)
    centres = torch.cat([mel[1 : n_single + 1], wide])  # (band,)
    above = torch.searchsorted(centres, mel[1:]).clamp(1, n_bands - 1)  # (freq - 1,)
    share = (mel[1:] - centres[above - 1]) / (centres[above] - centres[above - 1])
    spread = torch.zeros(n_freqs, n_bands, dtype=torch.float64)
    rows = torch.arange(1, n_freqs)
    spread[rows, above] = share
    spread[rows, above - 1] = 1 - share
    gather = (spread / spread.sum(dim=0)).T.contiguous()
    return gather.float(), spread.float()


def ideal_ratio_mask(clean_spectrogram: Tensor, noise_spectrogram: Tensor) -> Tensor:
    """Compute the mask that a denoiser would use if it knew speech and noise separately.

    ``sqrt(|S|**2 / (|S|**2 + |N|**2))`` in each bin: 1 where there is only speech, 0 where there
    is only noise (or nothing), 0.71 where both are equally strong.

    Args:
        clean_spectrogram: Complex spectrogram (or magnitude) of the speech, ``(..., freq, frame)``.
        noise_spectrogram: The same of the noise alone, same shape.

    Returns:
        Real mask between 0 and 1, same shape.

    Raises:
        ValueError: If the shapes differ.

    Source: Wang, Narayanan and Wang, "On training targets for supervised speech separation",
    IEEE/ACM TASLP 22(12), 2014.

    Notebook: 03
    """
    names = ("noise_spectrogram", "clean_spectrogram")
    validate_same_shape(noise_spectrogram, clean_spectrogram, names)
    speech = clean_spectrogram.abs()
    noise = noise_spectrogram.abs()
    silent = (speech == 0) & (noise == 0)
    # hypot neither underflows nor overflows; the stand-in 1 keeps 0 / 0 out of value and gradient.
    total = torch.hypot(speech.masked_fill(silent, 1.0), noise)
    return (speech / total).clamp(max=1.0)


def apply_mask(spectrogram: Tensor, mask: Tensor) -> Tensor:
    """Turn each bin of a spectrogram down by the mask; the phase stays as it was.

    Args:
        spectrogram: Complex values, shape ``(..., freq, frame)``.
        mask: Real factors, exactly the same shape.

    Returns:
        Complex spectrogram, same shape and dtype as ``spectrogram``.

    Raises:
        ValueError: If the shapes differ.

    Notebook: 03
    """
    validate_same_shape(mask, spectrogram, ("mask", "spectrogram"))
    return spectrogram * mask.to(spectrogram.real.dtype)
