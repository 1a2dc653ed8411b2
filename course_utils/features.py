"""From waveform to spectrogram and back: the one place where the course calls torch.stft.

Everything the course learns from, masks, or plots goes through these few functions, so noisy
and clean always pass one and the same pipeline. Shapes follow torchaudio: a waveform is
``(..., time)``, a spectrogram ``(..., freq, frame)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from numbers import Real

import torch
from torch import Tensor

from course_utils.validate import is_finite

# Periodic windows (the PyTorch default): copies shifted by a divisor of the length add up evenly.
_WINDOWS = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "rectangular": torch.ones,
}
WINDOW_NAMES = tuple(_WINDOWS)

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
        TypeError: If a size is no whole number, ``window`` no string or ``center`` no bool.
        ValueError: If the sizes contradict each other or the window is unknown.

    Notebook: 03
    """

    sample_rate: int = 16_000
    n_fft: int = 512
    win_length: int = 512
    hop_length: int = 256
    window: str = "hann"
    center: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work, with the remedy in the message."""
        for name in ("sample_rate", "n_fft", "win_length", "hop_length"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be a whole number, got {value!r}; use an int.")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; use a positive int.")
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
        if not isinstance(self.window, str):
            raise TypeError(f"window must be a name, got {self.window!r}; try 'hann'.")
        if self.window not in _WINDOWS:
            raise ValueError(
                f"window must be one of {', '.join(WINDOW_NAMES)}, got {self.window!r}; "
                "pick a name from that list."
            )
        if not isinstance(self.center, bool):
            raise TypeError(f"center must be True or False, got {self.center!r}; use a bool.")

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
            TypeError: If ``num_samples`` is no whole number.
            ValueError: If the clip is empty, or shorter than one window that is not centred.

        Notebook: 03
        """
        if isinstance(num_samples, bool) or not isinstance(num_samples, int):
            raise TypeError(f"num_samples must be a whole number, got {num_samples!r}; use an int.")
        if num_samples < 1:
            raise ValueError(
                f"num_samples must be at least 1, got {num_samples}; the clip is empty."
            )
        if self.center:
            return 1 + -(-num_samples // self.hop_length)
        if num_samples < self.n_fft:
            raise ValueError(
                f"num_samples must be at least n_fft = {self.n_fft} when center=False, got "
                f"{num_samples}; pad the clip or use center=True."
            )
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
        TypeError: If ``waveform`` is no float32 or float64 tensor.
        ValueError: If ``waveform`` is empty, not finite, or too short for ``center=False``.

    Source: Allen and Rabiner, "A unified approach to short-time Fourier analysis and
    synthesis", Proc. IEEE 65(11), 1977.

    Notebook: 03
    """
    _check_tensor(waveform, "waveform", (torch.float32, torch.float64), min_dims=1)
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
        TypeError: If ``spectrogram`` is not complex or ``length`` no whole number.
        ValueError: If the settings cannot be inverted, the shape does not fit them, ``length``
            is longer than the frames reach, or a value is not finite.

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform",
    IEEE Trans. ASSP 32(2), 1984.

    Notebook: 03
    """
    _check_tensor(spectrogram, "spectrogram", (torch.complex64, torch.complex128), min_dims=2)
    if spectrogram.shape[-2] != config.n_freqs:
        raise ValueError(
            f"spectrogram must have {config.n_freqs} frequency bins (n_fft // 2 + 1), got shape "
            f"{tuple(spectrogram.shape)}; use the config that made it."
        )
    if isinstance(length, bool) or not isinstance(length, int):
        raise TypeError(f"length must be a whole number of samples, got {length!r}; use an int.")
    if not config.invertible:
        raise ValueError(
            f"config cannot be inverted, got window={config.window!r}, win_length="
            f"{config.win_length}, hop_length={config.hop_length}, center={config.center}: some "
            "samples lie in a gap between windows; use center=True and a shorter hop_length."
        )
    reach = (spectrogram.shape[-1] - 1) * config.hop_length
    reach += 0 if config.center else config.n_fft
    if not 1 <= length <= reach:
        raise ValueError(
            f"length must lie between 1 and {reach}, as far as {spectrogram.shape[-1]} frames "
            f"reach, got {length}; pass the length of the waveform that stft saw."
        )
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

    Raises:
        TypeError: If ``spectrogram`` is not complex.
        ValueError: If a value is not finite.

    Notebook: 03
    """
    _check_tensor(spectrogram, "spectrogram", (torch.complex64, torch.complex128))
    return spectrogram.abs()


def compress(magnitude: Tensor, *, exponent: float = 0.3) -> Tensor:
    """Raise magnitudes to a power below one, so that soft parts count nearly like loud ones.

    ``(magnitude + eps) ** exponent - eps ** exponent`` with ``eps = 1e-6``: silence stays
    exactly zero and its gradient finite, which ``magnitude ** exponent`` alone does not do.

    Args:
        magnitude: Real values of at least 0, any shape.
        exponent: Above 0, at most 1; 1 changes nothing.

    Returns:
        Compressed magnitude, same shape and dtype.

    Raises:
        TypeError: If ``magnitude`` is no float32 or float64 tensor or ``exponent`` no number.
        ValueError: If ``exponent`` lies outside (0, 1], or a value is negative or not finite.

    Notebook: 03
    """
    _check_magnitude(magnitude)
    if isinstance(exponent, bool) or not isinstance(exponent, Real):
        raise TypeError(f"exponent must be a number, got {exponent!r}; try 0.3.")
    if not 0.0 < exponent <= 1.0:
        raise ValueError(f"exponent must lie above 0 and at most at 1, got {exponent}; try 0.3.")
    if exponent == 1.0:
        return magnitude.clone()
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
        TypeError: If ``magnitude`` is no float32 or float64 tensor.
        ValueError: If ``top_db`` or ``reference`` is not above 0, or a value is negative or not
            finite.

    Notebook: 03
    """
    _check_magnitude(magnitude)
    if not top_db > 0:
        raise ValueError(f"top_db must be above 0, got {top_db}; try 80.")
    if reference is None:
        loudest = magnitude.detach().max()
        reference = torch.where(loudest > 0, loudest, torch.ones_like(loudest))
    elif not 0 < float(reference) < float("inf"):
        raise ValueError(
            f"reference must be a magnitude above 0, got {float(reference)}; pass the largest "
            "magnitude of the clip that both pictures refer to."
        )
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
    if not 4 <= n_bands <= n_freqs - 1:
        raise ValueError(
            f"n_bands must lie between 4 and n_freqs - 1 = {n_freqs - 1}, got {n_bands}; try 128."
        )
    hz = torch.linspace(0, 8000, n_freqs, dtype=torch.float64)
    mel = 1127 * torch.log1p(hz / 700)
    n_single = n_bands if n_bands == n_freqs - 1 else n_bands // 2
    first_wide = mel[min(n_single + 1, n_freqs - 1)].item()
    wide = torch.linspace(first_wide, mel[-1].item(), n_bands - n_single, dtype=torch.float64)
    centres = torch.cat([mel[1 : n_single + 1], wide])  # (band,)
    above = torch.searchsorted(centres, mel[1:]).clamp(1, n_bands - 1)  # (freq - 1,)
    share = (mel[1:] - centres[above - 1]) / (centres[above] - centres[above - 1])
    spread = torch.zeros(n_freqs, n_bands, dtype=torch.float64)
    rows = torch.arange(1, n_freqs)
    spread[rows, above], spread[rows, above - 1] = share, 1 - share
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
        TypeError: If an input is neither complex nor floating-point.
        ValueError: If the shapes differ or a value is not finite.

    Source: Wang, Narayanan and Wang, "On training targets for supervised speech separation",
    IEEE/ACM TASLP 22(12), 2014.

    Notebook: 03
    """
    kinds = (torch.complex64, torch.complex128, torch.float32, torch.float64)
    _check_tensor(clean_spectrogram, "clean_spectrogram", kinds)
    _check_tensor(noise_spectrogram, "noise_spectrogram", kinds)
    _check_same_shape(clean_spectrogram, noise_spectrogram, "noise_spectrogram")
    speech, noise = clean_spectrogram.abs(), noise_spectrogram.abs()
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
        TypeError: If ``spectrogram`` is not complex or ``mask`` not float32 or float64.
        ValueError: If the shapes differ or a value is not finite.

    Notebook: 03
    """
    _check_tensor(spectrogram, "spectrogram", (torch.complex64, torch.complex128))
    _check_tensor(mask, "mask", (torch.float32, torch.float64))
    _check_same_shape(spectrogram, mask, "mask")
    return spectrogram * mask.to(spectrogram.real.dtype)


def _check_tensor(
    value: Tensor, name: str, dtypes: tuple[torch.dtype, ...], *, min_dims: int = 0
) -> None:
    """Raise a sentence unless `value` is a finite, non-empty tensor of one of the dtypes."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(value).__name__}; use torch.tensor.")
    if value.dtype not in dtypes:
        names = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise TypeError(f"{name} must be {names}, got {value.dtype}; convert it with .to(...).")
    if value.dim() < min_dims:
        raise ValueError(
            f"{name} must have at least {min_dims} dimension(s), got shape {tuple(value.shape)}; "
            "see the shape in the docstring."
        )
    if value.numel() == 0:
        raise ValueError(
            f"{name} must not be empty, got shape {tuple(value.shape)}; check how it was cut."
        )
    # A traced or exported model cannot stop to look at its values.
    if not torch.compiler.is_compiling() and not is_finite(value):
        raise ValueError(
            f"{name} must be finite, got NaN or infinity; find the step that made it "
            "(torch.isfinite helps)."
        )


def _check_magnitude(magnitude: Tensor) -> None:
    """Raise a sentence unless `magnitude` is a real, finite tensor without negative values."""
    _check_tensor(magnitude, "magnitude", (torch.float32, torch.float64))
    if not torch.compiler.is_compiling() and bool((magnitude < 0).any()):
        raise ValueError(
            f"magnitude must not be negative, got a minimum of {float(magnitude.min()):.3g}; "
            "take .abs() of the spectrogram first."
        )


def _check_same_shape(first: Tensor, second: Tensor, name: str) -> None:
    """Raise a sentence unless both shapes are equal; broadcasting would hide a mistake."""
    if first.shape != second.shape:
        raise ValueError(
            f"{name} must have the shape {tuple(first.shape)}, got {tuple(second.shape)}; make "
            "both with the same config from clips of the same length."
        )
