"""What two judges of speech listen to, with a gradient: the ideas of ESTOI and of PESQ.

The judges themselves (`metrics`) cannot train a network: they search, sort and cut off, and give
no slope. These two functions follow their formulas and leave out what has none. Both take
magnitude spectrograms of shape (..., freq, frame) and give one number for each clip; sound
is expected near the level of training pairs (RMS 0.1), not in the dust of a float.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from course_utils.features import STFTConfig
from course_utils.validate import validate_choice, validate_same_shape

_CONFIG = STFTConfig()
_EPS = 1e-6
# What lies 30 dB below the loudest is a pause, or silence.
_SILENT = 1e-3

# ESTOI listens in 15 third-octaves from 150 Hz up, to pieces of 384 ms.
_THIRD_OCTAVES = tuple(150 * 2 ** ((2 * band - 1) / 6) for band in range(16))
_PIECE_SECONDS, _PIECE_HOP_SECONDS = 0.384, 0.064

# PESQ listens in bands of the ear, here half a Bark wide, to blocks of 320 ms.
_BARKS = tuple(bark / 2 for bark in range(43))
_BARK_EDGES = tuple(1960 * (bark + 0.53) / (26.28 - bark) for bark in _BARKS)
_BLOCK_SECONDS = 0.32
# How loud speech is played to it: with this level the two agree best.
_SPEECH_DB = 91.0


def envelope_correlation(
    estimate: Tensor, reference: Tensor, *, config: STFTConfig = _CONFIG
) -> Tensor:
    """Tell how much of the words is left: the idea of ESTOI.

    Words live in how each band swells and fades. The envelopes of 15 bands are cut into pieces of
    384 ms, freed of level band by band and then moment by moment, and compared.

    Args:
        estimate: Magnitudes of the estimate, shape ``(..., freq, frame)``.
        reference: Magnitudes of the clean clip, same shape.
        config: The STFT that made them.

    Returns:
        Mean correlation, shape ``(...)``: 1 for the clean clip, near 0 for a sound that has
        nothing to do with it, 0 where the reference is silent.

    Raises:
        ValueError: If the shapes differ or do not fit ``config``.

    Source: Jensen and Taal, "An algorithm for predicting the intelligibility of speech masked by
    modulated noise maskers", IEEE/ACM TASLP 24(11), 2016.

    Notebook: 05
    """
    _check_pair(estimate, reference, config)
    bands = _band_matrix(_THIRD_OCTAVES, config).to(reference)
    size = min(_frames(_PIECE_SECONDS, config), reference.shape[-1])

    def pieces(magnitude: Tensor) -> Tensor:
        envelopes = (bands @ magnitude.square() + _EPS).sqrt()
        return envelopes.unfold(-1, size, _frames(_PIECE_HOP_SECONDS, config))

    heard, clean = pieces(estimate), pieces(reference)  # (..., band, piece, frame)
    energy = clean.square().sum(dim=(-3, -1))  # (..., piece)
    spoken = (energy > _SILENT * energy.amax(dim=-1, keepdim=True)).to(clean)
    heard, clean = (_level_free(_level_free(x, dim=-1), dim=-3) for x in (heard, clean))
    correlation = (heard * clean).sum(dim=-3).mean(dim=-1)  # (..., piece)
    return (correlation * spoken).sum(dim=-1) / spoken.sum(dim=-1)


def loudness_disturbance(
    estimate: Tensor, reference: Tensor, *, config: STFTConfig = _CONFIG
) -> Tensor:
    """Tell how rough it sounds: the idea of PESQ.

    Both clips are brought to one level and turned into loudness, band by band, as an ear feels
    it. What differs disturbs; what was added (left-over noise, musical tones) disturbs more than
    what is missing; and the worst moments count most.

    Args:
        estimate: Magnitudes of the estimate, shape ``(..., freq, frame)``.
        reference: Magnitudes of the clean clip, same shape.
        config: The STFT that made them.

    Returns:
        Disturbance ``D``, shape ``(...)``: 0 for the clean clip. The PESQ score is near
        ``0.999 + 4 / (1 + exp(1.3669 * D - 2.3287))``; but a delay or a steady colouring, which
        PESQ forgives, counts here.

    Raises:
        ValueError: If the shapes differ or do not fit ``config``.

    Source: Beerends, Hekstra, Rix and Hollier, "Perceptual evaluation of speech quality (PESQ)",
    part II, JAES 50(10), 2002; threshold of hearing: Terhardt, Hearing Research 1, 1979.

    Notebook: 05
    """
    _check_pair(estimate, reference, config)
    heard, clean = (magnitude.square() for magnitude in (estimate, reference))
    level, clean_level = (_speech_level(power, config) for power in (heard, clean))
    clean = _ear_power(clean, clean_level, config)  # (..., band, frame)
    heard = _ear_power(heard, torch.maximum(level, _SILENT * clean_level), config)
    heard = heard * _slow_gain(heard, clean)
    # The numbers from here on, and those of the helpers, are PESQ's own.
    loud, clean_loud = _loudness(heard), _loudness(clean)
    differs = (loud - clean_loud).abs() - 0.25 * torch.minimum(loud, clean_loud)
    differs = differs.clamp(min=0) / 2  # bands are half a Bark wide
    added = ((heard + 50) / (clean + 50)) ** 1.2
    added = torch.where(added < 3, 0.0, added.clamp(max=12.0))
    weight = ((clean.sum(dim=-2) + 1e5) / 1e7) ** -0.04  # (..., frame)
    either = weight * (_BARKS[-1] * differs.square().sum(dim=-2) + _EPS).sqrt()
    only_added = weight * (differs * added).sum(dim=-2)
    return 0.1 * _worst_moments(either, config) + 0.0309 * _worst_moments(only_added, config)


def _check_pair(estimate: Tensor, reference: Tensor, config: STFTConfig) -> None:
    """Refuse what would be broadcast, and spectrograms of another transform."""
    validate_same_shape(estimate, reference, ("estimate", "reference"))
    n_freqs = reference.shape[-2] if reference.ndim > 1 else 0
    validate_choice(
        n_freqs, "the number of frequencies in estimate and reference", [config.n_freqs]
    )


def _level_free(pieces: Tensor, *, dim: int) -> Tensor:
    """Take the mean away and divide by the length, along one dimension."""
    pieces = pieces - pieces.mean(dim=dim, keepdim=True)
    return pieces / (pieces.square().sum(dim=dim, keepdim=True) + _EPS).sqrt()


def _speech_level(power: Tensor, config: STFTConfig) -> Tensor:
    """Power from 325 to 3250 Hz, where speech is strongest: (..., freq, frame) -> (..., 1, 1)."""
    in_band = _band_matrix((325.0, 3250.0), config).to(power)  # (1, freq)
    return (in_band @ power).mean(dim=-1, keepdim=True) + _EPS


def _ear_power(power: Tensor, level: Tensor, config: STFTConfig) -> Tensor:
    """Merge bins into bands of the ear, with speech at the level it is listened to."""
    return _ear_bands(config).to(power) @ (power * 10 ** (_SPEECH_DB / 10) / level)


def _slow_gain(heard: Tensor, clean: Tensor) -> Tensor:
    """Gain for each frame that makes up for a level that drifts, as a listener does; bounded."""
    ratio = (clean.sum(dim=-2, keepdim=True) + 5e3) / (heard.sum(dim=-2, keepdim=True) + 5e3)
    before = torch.cat([ratio[..., :1], ratio[..., :-1]], dim=-1)
    return (0.8 * ratio + 0.2 * before).clamp(3e-4, 5.0)


def _loudness(ear_power: Tensor) -> Tensor:
    """Zwicker's law: loudness grows with the 0.23rd power of what lies above the threshold."""
    threshold, exponent = (x.to(ear_power) for x in _hearing())  # (band, 1)
    above = (0.5 + 0.5 * ear_power / threshold).clamp(min=1) ** exponent - 1
    return 0.1866 * (threshold / 0.5) ** exponent * above


def _worst_moments(disturbance: Tensor, config: STFTConfig) -> Tensor:
    """Average over frames so that the worst of each block counts most: (..., frame) -> (...)."""
    size = min(_frames(_BLOCK_SECONDS, config), disturbance.shape[-1])
    blocks = disturbance.clamp(max=45.0).unfold(-1, size, max(1, size // 2))
    return ((blocks**6).mean(dim=-1) + _EPS).pow(1 / 3).mean(dim=-1).sqrt()


def _frames(seconds: float, config: STFTConfig) -> int:
    """Count the frames that begin in so many seconds, at least one."""
    return max(1, round(1000 * seconds / config.ms_per_frame))


@lru_cache(maxsize=8)
def _band_matrix(edges: tuple[float, ...], config: STFTConfig) -> Tensor:
    """Give each bin to the bands it lies in, in parts at an edge, shape (band, freq)."""
    hz, half = torch.arange(config.n_freqs) * config.hz_per_bin, config.hz_per_bin / 2
    low, high = torch.tensor(edges[:-1])[:, None], torch.tensor(edges[1:])[:, None]
    overlap = torch.minimum(hz + half, high) - torch.maximum(hz - half, low)
    return (overlap / (2 * half)).clamp(min=0)


@lru_cache(maxsize=8)
def _ear_bands(config: STFTConfig) -> Tensor:
    """Bands of the ear without the rumble below 100 Hz, shape (band, freq)."""
    hz = torch.arange(config.n_freqs) * config.hz_per_bin
    return _band_matrix(_BARK_EDGES, config) * hz**4 / (hz**4 + 100.0**4)


@lru_cache(maxsize=1)
def _hearing() -> tuple[Tensor, Tensor]:
    """Threshold of hearing (a power) and exponent of loudness in each band, shape (band, 1)."""
    edges = torch.tensor(_BARK_EDGES)
    khz = ((edges[:-1] + edges[1:]) / 2000)[:, None].clamp(min=0.05)
    threshold_db = 3.64 * khz**-0.8 - 6.5 * torch.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4
    bark = torch.tensor(_BARKS[:-1])[:, None] + 0.25
    exponent = 0.23 * (6 / (bark + 2)).clamp(1, 2) ** 0.15  # steeper for the deep bands
    return 10 ** (threshold_db / 10), exponent
