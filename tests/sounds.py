"""Sounds that several tests are given."""

import numpy as np
import scipy.signal
import torch


def speech_like(num_samples, seed=0):
    """Return coloured noise in syllables: as narrow and as uneven as speech, peak 0.5."""
    white = np.random.default_rng(seed).standard_normal(num_samples)
    coloured = scipy.signal.lfilter([1], [1, -1.6, 0.8], white)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(num_samples) / 16000)
    sound = torch.from_numpy(coloured * syllables).float().unsqueeze(0)
    sound = sound - sound.mean()
    return 0.5 * sound / sound.abs().max()
