"""The losses that lesson 5 compares: one number for how far an estimate is from the clean clip.

All take waveforms of shape (..., time), by keyword, and give a scalar with a gradient. Shapes
must be equal: ``nn.MSELoss`` would broadcast (batch, 1, time) against (batch, time) and be wrong
without a word.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from course_utils.audio import validate_waveform
from course_utils.features import STFTConfig, compress, magnitude, stft

_CONFIG = STFTConfig()
_EPS = 1e-8


def waveform_mse(*, estimate: Tensor, reference: Tensor) -> Tensor:
    """Compare sample by sample: ``mean((estimate - reference)**2)``.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.

    Returns:
        Scalar loss. It cares about loud, mostly low-pitched sound and about phase.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, or a value is not finite.

    Notebook: 05
    """
    _check_pair(estimate, reference)
    return functional.mse_loss(estimate, reference)


def magnitude_mse(*, estimate: Tensor, reference: Tensor, config: STFTConfig = _CONFIG) -> Tensor:
    """Compare magnitude spectrograms: ``mean((|E| - |R|)**2)``.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.
        config: The STFT in which they are compared.

    Returns:
        Scalar loss. Phase no longer counts; loud bins still drown the soft ones.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, or a value is not finite.

    Notebook: 05
    """
    _check_pair(estimate, reference)
    return functional.mse_loss(
        magnitude(stft(estimate, config)), magnitude(stft(reference, config))
    )


def compressed_mse(
    *, estimate: Tensor, reference: Tensor, config: STFTConfig = _CONFIG, exponent: float = 0.3
) -> Tensor:
    """Compare compressed magnitudes: ``mean((|E|**0.3 - |R|**0.3)**2)``.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.
        config: The STFT in which they are compared.
        exponent: How strongly loud bins are held back.

    Returns:
        Scalar loss. Soft consonants and the hiss between words count, as they do for the ear.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, or a value is not finite.

    Notebook: 05
    """
    _check_pair(estimate, reference)
    return functional.mse_loss(
        compress(magnitude(stft(estimate, config)), exponent=exponent),
        compress(magnitude(stft(reference, config)), exponent=exponent),
    )


def denoising_loss(
    *,
    estimate: Tensor,
    reference: Tensor,
    config: STFTConfig = _CONFIG,
    complex_weight: float = 0.3,
    si_sdr_weight: float = 0.01,
) -> Tensor:
    """Compare what is heard, with a little phase and a little waveform: the course's loss.

    ``(1 - w) * mean((|E|**0.3 - |R|**0.3)**2) + w * mean(|E_c - R_c|**2) - v * SI-SDR`` where
    ``E_c`` has the compressed magnitude and the phase of ``E``, ``w = complex_weight``,
    ``v = si_sdr_weight`` and SI-SDR is in dB.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.
        config: The STFT in which they are compared.
        complex_weight: Share of the complex part, 0 to 1.
        si_sdr_weight: Weight of one dB; clips whose reference is silent have no SI-SDR and are
            left out of this term.

    Returns:
        Scalar loss; lower is better, below zero is possible.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, or a value is not finite.

    Source: the compressed complex part follows Ephrat et al., "Looking to listen at the cocktail
    party", ACM TOG 37(4), 2018; SI-SDR as a loss, Le Roux et al., "SDR - half-baked or well
    done?", ICASSP 2019.

    Notebook: 05
    """
    _check_pair(estimate, reference)
    e_size, e_compressed = _compress_both(estimate, config)
    r_size, r_compressed = _compress_both(reference, config)
    loss = (1 - complex_weight) * functional.mse_loss(e_size, r_size)
    difference = e_compressed - r_compressed  # (..., freq, frame, 2)
    loss = loss + complex_weight * difference.square().sum(dim=-1).mean()
    return loss - si_sdr_weight * _mean_si_sdr(estimate, reference)


def _compress_both(waveform: Tensor, config: STFTConfig) -> tuple[Tensor, Tensor]:
    """Compressed magnitudes without and with their phase; silence has a finite gradient."""
    spectrogram = stft(waveform, config)
    loudness = magnitude(spectrogram)
    size = compress(loudness)
    # Real and imaginary part scaled by one real number: half the price of complex arithmetic.
    return size, (size / (loudness + _EPS))[..., None] * torch.view_as_real(spectrogram)


def _mean_si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Average the SI-SDR in dB over the clips whose reference is not silent, at most 40 dB each."""
    estimate = estimate - estimate.mean(dim=-1, keepdim=True)
    reference = reference - reference.mean(dim=-1, keepdim=True)
    energy = reference.square().sum(dim=-1, keepdim=True)
    target = (estimate * reference).sum(dim=-1, keepdim=True) / (energy + _EPS) * reference
    target_energy = target.square().sum(dim=-1)
    error_energy = (estimate - target).square().sum(dim=-1)
    # The floor of 1e-4 keeps a nearly perfect clip from outweighing all others.
    ratio = 10 * torch.log10((target_energy + _EPS) / (error_energy + 1e-4 * target_energy + _EPS))
    heard = (energy.squeeze(-1) > _EPS).to(ratio.dtype)
    return (ratio * heard).sum() / heard.sum().clamp(min=1.0)


def _check_pair(estimate: Tensor, reference: Tensor) -> None:
    """Refuse pairs that a mean would silently broadcast."""
    validate_waveform(estimate, name="estimate")
    validate_waveform(reference, name="reference")
    if estimate.shape != reference.shape:
        raise ValueError(
            f"estimate must have the shape of reference {tuple(reference.shape)}, got "
            f"{tuple(estimate.shape)}; broadcasting would compare every clip with every other."
        )
