"""Cut, level and compare sounds: the arithmetic of build_data.py, without a file in sight."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torchaudio.functional as AF

SAMPLE_RATE = 16_000
LEVEL_DB = -30.0  # one common level, low enough that no clip comes near full scale
PEAK = 0.98
FRAME = 320  # 20 ms
SAME_TAKE = 0.3  # correlation above which two clips hold the same recording


def frame_db(samples: np.ndarray) -> np.ndarray:
    count = len(samples) // FRAME
    frames = samples[: count * FRAME].reshape(count, FRAME).astype(np.float64)
    return 10 * np.log10((frames**2).mean(axis=1) + 1e-10)


def trim(samples: np.ndarray, below_db: float, margin: int) -> np.ndarray:
    """Cut the quiet ends: everything `below_db` under the loud frames, keeping a margin."""
    levels = frame_db(samples)
    if len(levels) < 3:
        return samples[:0]
    loud, quiet = np.percentile(levels, 95), np.percentile(levels, 5)
    threshold = min(max(loud - below_db, quiet + 6), loud - 20)
    active = np.flatnonzero(levels > threshold)
    start = max(0, active[0] * FRAME - margin)
    return samples[start : (active[-1] + 1) * FRAME + margin]


def cut_at_pauses(samples: np.ndarray, longest: float) -> list[np.ndarray]:
    """Cut a long recording where it is quietest, into parts of at most `longest` seconds."""
    parts = []
    while len(samples) > longest * SAMPLE_RATE:
        smooth = np.convolve(10 ** (frame_db(samples) / 10), np.ones(10) / 10, mode="same")
        first = int(longest / 2 * SAMPLE_RATE) // FRAME
        last = min(int(longest * SAMPLE_RATE), len(samples) - SAMPLE_RATE) // FRAME - 10
        cut = (first + int(np.argmin(smooth[first:last]))) * FRAME
        parts.append(samples[:cut])
        samples = samples[cut:]
    return [*parts, samples]


def finish(samples: np.ndarray) -> np.ndarray:
    """Fade 5 ms at both ends, bring to the common level without clipping, round to 16 bit."""
    samples = samples.astype(np.float64)
    ramp = np.linspace(0, 1, 80)
    samples[:80] *= ramp
    samples[-80:] *= ramp[::-1]
    levels = frame_db(samples)
    active = levels[levels > np.percentile(levels, 95) - 30]  # pauses do not count
    gain = 10 ** ((LEVEL_DB - 10 * np.log10(np.mean(10 ** (active / 10)))) / 20)
    gain = min(gain, PEAK / np.abs(samples).max())
    return np.round(samples * gain * 32767).astype(np.int16)


def dynamic_range(samples: np.ndarray) -> float:
    levels = frame_db(samples)
    return float(np.percentile(levels, 95) - np.percentile(levels, 5))


def spectra(pieces: list, rate: int, size: int) -> torch.Tensor:
    """Whitened spectra of the pieces at a low rate: their products are correlations."""
    rows = []
    for piece in pieces:
        wave = torch.from_numpy(piece.samples.astype(np.float32))
        wave = AF.resample(wave, SAMPLE_RATE, rate)[: size // 2]
        spectrum = torch.fft.rfft(wave, size)
        smooth = torch.nn.functional.avg_pool1d(spectrum.abs()[None, None], 257, 1, 128)[0, 0]
        spectrum = spectrum / (smooth + 1e-4 * smooth.max())
        rows.append(spectrum / torch.fft.irfft(spectrum, size).norm())
    return torch.stack(rows)


def same_takes(first: list, second: list, rate: int, size: int) -> Iterator[tuple]:
    """Yield (a, b, correlation) where a piece of each list holds part of one and the same take."""
    if not first or not second:
        return
    rows = spectra(second, rate, size)
    for a, row in zip(first, spectra(first, rate, size), strict=True):
        for start in range(0, len(second), 64):
            products = rows[start : start + 64] * row.conj()
            peaks = torch.fft.irfft(products, size).abs().amax(dim=1)
            for j in torch.nonzero(peaks > SAME_TAKE).flatten().tolist():
                yield a, second[start + j], float(peaks[j])
