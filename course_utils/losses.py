"""The losses that lesson 5 compares: one number for how far an estimate is from the clean clip.

All take waveforms of shape (..., time), the estimate first, as the losses of PyTorch do, and give
a scalar with a gradient. Shapes must be equal: ``nn.MSELoss`` would broadcast (batch, 1, time)
against (batch, time) and be wrong without an error.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from course_utils.features import STFTConfig, compress, magnitude, stft
from course_utils.perception import envelope_correlation, loudness_disturbance
from course_utils.validate import validate_same_shape

_CONFIG = STFTConfig()
_EPS = 1e-8


def waveform_mse(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compare sample by sample: ``mean((estimate - reference)**2)``.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.

    Returns:
        Scalar loss. It cares about loud, mostly low-pitched sound and about phase.

    Raises:
        ValueError: If the shapes differ.

    Notebook: 05
    """
    validate_same_shape(estimate, reference, ("estimate", "reference"))
    return functional.mse_loss(estimate, reference)


def magnitude_mse(estimate: Tensor, reference: Tensor, *, config: STFTConfig = _CONFIG) -> Tensor:
    """Compare magnitude spectrograms: ``mean((|E| - |R|)**2)``.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.
        config: The STFT in which they are compared.

    Returns:
        Scalar loss. Phase no longer counts; loud bins still drown the soft ones.

    Raises:
        ValueError: If the shapes differ.

    Notebook: 05
    """
    validate_same_shape(estimate, reference, ("estimate", "reference"))
    return functional.mse_loss(
        magnitude(stft(estimate, config)), magnitude(stft(reference, config))
    )


def compressed_mse(
    estimate: Tensor, reference: Tensor, *, config: STFTConfig = _CONFIG, exponent: float = 0.3
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
        ValueError: If the shapes differ.

    Notebook: 05
    """
    validate_same_shape(estimate, reference, ("estimate", "reference"))
    return functional.mse_loss(
        compress(magnitude(stft(estimate, config)), exponent=exponent),
        compress(magnitude(stft(reference, config)), exponent=exponent),
    )


def denoising_loss(
    estimate: Tensor,
    reference: Tensor,
    *,
    config: STFTConfig = _CONFIG,
    complex_weight: float = 0.3,
    si_sdr_weight: float = 0.015,
    correlation_weight: float = 1.0,
    disturbance_weight: float = 0.15,
) -> Tensor:
    """Compare spectrum, waveform, words and roughness at once: the course's loss.

    ``(1 - w) * mean((|E|**0.3 - |R|**0.3)**2) + w * mean(|E_c - R_c|**2) - v * SI-SDR - c * C
    + d * D``, where ``E_c`` has the compressed magnitude and the phase of ``E``, SI-SDR is in dB,
    and ``C`` and ``D`` are `perception.envelope_correlation` and `loudness_disturbance`.

    Args:
        estimate: Estimated waveform, shape ``(..., time)``.
        reference: Clean waveform, same shape.
        config: The STFT in which they are compared.
        complex_weight: ``w``, the share of the complex part, 0 to 1.
        si_sdr_weight: ``v``, the weight of one dB.
        correlation_weight: ``c``, the weight of the correlation, which is 1 for the clean clip.
        disturbance_weight: ``d``, the weight of the disturbance, which is 0 for the clean clip.
            Clips whose reference is silent are left out of the last three.

    Returns:
        Scalar loss; lower is better, below zero is possible.

    Raises:
        ValueError: If the shapes differ.

    Source: the compressed complex part follows Ephrat et al., "Looking to listen at the cocktail
    party", ACM TOG 37(4), 2018; SI-SDR as a loss, Le Roux et al., "SDR - half-baked or well
    done?", ICASSP 2019.

    Notebook: 05
    """
    validate_same_shape(estimate, reference, ("estimate", "reference"))
    e_size, e_small, e_phased = _spectra(estimate, config)
    r_size, r_small, r_phased = _spectra(reference, config)
    loss = (1 - complex_weight) * functional.mse_loss(e_small, r_small)
    difference = e_phased - r_phased  # (..., freq, frame, 2)
    loss = loss + complex_weight * difference.square().sum(dim=-1).mean()
    judged = -si_sdr_weight * _si_sdr(estimate, reference)  # (...)
    if correlation_weight:
        correlation = envelope_correlation(e_size, r_size, config=config)
        judged = judged - correlation_weight * correlation
    if disturbance_weight:
        disturbance = loudness_disturbance(e_size, r_size, config=config)
        judged = judged + disturbance_weight * disturbance
    heard = (reference.square().sum(dim=-1) > _EPS).to(judged)
    return loss + (judged * heard).sum() / heard.sum().clamp(min=1.0)


def _spectra(waveform: Tensor, config: STFTConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Magnitudes, and compressed ones without and with phase; silence has a finite gradient."""
    spectrogram = stft(waveform, config)
    size = magnitude(spectrogram)
    compressed = compress(size)
    # Real and imaginary part scaled by one real number: half the price of complex arithmetic.
    with_phase = (compressed / (size + _EPS))[..., None] * torch.view_as_real(spectrogram)
    return size, compressed, with_phase


def _si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """SI-SDR of each clip in dB, at most 40; silence gives a finite number."""
    estimate = estimate - estimate.mean(dim=-1, keepdim=True)
    reference = reference - reference.mean(dim=-1, keepdim=True)
    energy = reference.square().sum(dim=-1, keepdim=True)
    target = (estimate * reference).sum(dim=-1, keepdim=True) / (energy + _EPS) * reference
    target_energy = target.square().sum(dim=-1)
    error_energy = (estimate - target).square().sum(dim=-1)
    # The floor of 1e-4 keeps a nearly perfect clip from outweighing all others.
    return 10 * torch.log10((target_energy + _EPS) / (error_energy + 1e-4 * target_energy + _EPS))
