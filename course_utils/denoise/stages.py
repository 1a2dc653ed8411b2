"""What sound passes through piece by piece: another rate, and the way into frequencies.

A stage is fed pieces of any length and gives back what is ready; what it gave, put together, is
what its counterpart for whole recordings makes of the whole.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from course_utils import features
from course_utils.audio import FILTER_WIDTH, ROLLOFF, resample


class Stage(Protocol):
    """Something that is fed pieces (..., time) and gives back what is ready."""

    def feed(self, samples: Tensor) -> Tensor:
        """Take the next piece and give back what is ready, maybe nothing."""

    def flush(self) -> Tensor:
        """Give back what is left; nothing may follow."""


def pass_through(stage: Stage, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
    """Pass a recording that comes in pieces through a stage, to its end.

    Args:
        stage: A stage that has been fed nothing yet.
        pieces: Pieces (..., time), one after the other.

    Yields:
        What the stage gives back, without the empty pieces.

    Notebook: 06
    """
    for piece in pieces:
        ready = stage.feed(piece)
        if ready.shape[-1]:
            yield ready
    rest = stage.flush()
    if rest.shape[-1]:
        yield rest


class StreamingSTFT:
    """`features.stft` for sound that comes piece by piece: the same frames, each when it is full.

    As `features.stft` does, it puts zeros before the first sample and behind the last one.

    Args:
        config: The settings of a centred transform.

    Notebook: 06
    """

    def __init__(self, config: features.STFTConfig) -> None:
        self._config = replace(config, center=False)  # the zeros are put here
        self._waiting: Tensor | None = None  # the samples of frames that are not full yet
        self._taken = 0

    def feed(self, samples: Tensor) -> Tensor:
        """Take samples (row, time) and give back the frames now full, (row, freq, frame)."""
        self._taken += samples.shape[-1]
        return self._transform(samples)

    def flush(self) -> Tensor:
        """Give back the last frames, (row, freq, frame); nothing may follow."""
        if self._waiting is None:
            return torch.zeros(0)
        n_zeros = -self._taken % self._config.hop_length + self._config.n_fft // 2
        return self._transform(self._waiting.new_zeros(len(self._waiting), n_zeros))

    def _transform(self, samples: Tensor) -> Tensor:
        n_fft = self._config.n_fft
        hop_length = self._config.hop_length
        if self._waiting is None:
            self._waiting = samples.new_zeros(len(samples), n_fft // 2)
        waiting = torch.cat([self._waiting, samples], dim=-1)
        n_frames = max(0, (waiting.shape[-1] - n_fft) // hop_length + 1)
        ready = n_frames * hop_length
        self._waiting = waiting[:, ready:].clone()  # a view would keep the whole piece in memory
        if not n_frames:
            return torch.zeros(len(samples), self._config.n_freqs, 0, dtype=torch.complex64)
        return features.stft(waiting[:, : ready - hop_length + n_fft], self._config)


class StreamingResampler:
    """`audio.resample` for sound that comes piece by piece: the same numbers, a little later.

    Args:
        orig_freq: Rate of what comes, in Hz.
        new_freq: The rate wanted, in Hz.

    Notebook: 06
    """

    def __init__(self, orig_freq: int, new_freq: int) -> None:
        self.orig_freq = orig_freq
        self.new_freq = new_freq
        divisor = math.gcd(orig_freq, new_freq)
        # Every `old` samples in give `new` samples out, and then the filter repeats itself.
        self._old = orig_freq // divisor
        self._new = new_freq // divisor
        width = math.ceil(FILTER_WIDTH * self._old / (ROLLOFF * min(self._old, self._new)))
        self._context = math.ceil(width / self._old)  # repeats that the filter reaches, each side
        self._waiting: Tensor | None = None  # the last samples
        self._done = 0  # repeats already given

    def feed(self, samples: Tensor) -> Tensor:
        """Take the next samples (..., time) and give back those that are ready, maybe none."""
        if self.orig_freq == self.new_freq:
            return samples
        if self._waiting is not None:
            samples = torch.cat([self._waiting, samples], dim=-1)
        ready = samples.shape[-1] // self._old - self._context  # repeats whose future is known
        if ready <= self._done:
            self._waiting = samples.clone()
            return samples[..., :0]
        resampled = resample(samples, self.orig_freq, self.new_freq)
        resampled = resampled[..., self._done * self._new : ready * self._new]
        kept = max(0, ready - self._context)
        self._waiting = samples[..., kept * self._old :].clone()
        self._done = ready - kept
        return resampled

    def flush(self) -> Tensor:
        """Give back what is left (..., time); nothing may follow."""
        if self._waiting is None or self._waiting.shape[-1] == 0:
            return torch.zeros(0) if self._waiting is None else self._waiting
        resampled = resample(self._waiting, self.orig_freq, self.new_freq)
        return resampled[..., self._done * self._new :]
