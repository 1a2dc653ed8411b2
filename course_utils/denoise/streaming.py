"""Clean sound that comes piece by piece: a live call, or a file too long for the memory.

What comes out, put together, is what the same denoiser makes of the whole recording; only so
much of the past is kept as the next piece needs. So the last minute of an hour costs no more
memory than the first.
"""

import math
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from course_utils import features
from course_utils.audio import resample
from course_utils.levels import working_gain
from course_utils.models import Denoiser
from course_utils.validate import validate_number, validate_waveform

_LEVEL_SECONDS = 0.5  # what the running level remembers; longer scores alike, adapts later
# Of the filter in `audio.resample`: torchaudio's defaults.
_FILTER_WIDTH = 6
_ROLLOFF = 0.99

Memory = tuple[Tensor, ...]
"""What a network hands from one block to the next."""


@runtime_checkable
class BlockNet(Protocol):
    """A mask network that can take a recording block by block, as `MaskNet` can."""

    def forward_block(self, noisy_magnitude: Tensor, state: Memory | None) -> tuple[Tensor, Memory]:
        """Estimate the mask of the next block (batch, freq, frame); None begins a recording."""


def block_network(denoiser: Denoiser) -> BlockNet:
    """Take the network out of a denoiser that is to run piece by piece.

    Args:
        denoiser: In eval mode, around a network with `forward_block`.

    Returns:
        The network.

    Raises:
        TypeError: `denoiser` is not a Denoiser, or its network takes whole recordings only.
        ValueError: `denoiser` is in training mode.

    Notebook: 06
    """
    net = getattr(denoiser, "net", denoiser)
    if not isinstance(denoiser, Denoiser) or not isinstance(net, BlockNet):
        raise TypeError(
            f"denoiser must be a Denoiser around a MaskNet, got {type(net).__name__}; load one."
        )
    if denoiser.training:
        raise ValueError("denoiser must be in eval mode, got training mode; call .eval() first.")
    return net


class StreamingDenoiser:
    """A denoiser that is fed samples as they come and gives them back cleaned, a little later.

    Fed whole hops (256 samples, 16 ms), each call but the first gives back as many as it got.
    `latency_samples` says how far the output lies behind.

    **Equal to offline, from the first sample to the last**, to rounding: `features.stft` puts
    zeros before the first sample and behind the last one; the stream begins with the same zeros,
    and `flush` adds the same at the end. Equality needs one more thing, `level`: `Denoiser`
    measures the loudness of the whole recording before it begins, and nobody knows how loud a
    call is going to be. Without `level`, the stream measures what it has heard so far, about the
    last half second of it. The estimate is not scaled by it; only the network, which was trained
    at one level, sees the sound through it. On the validation split that costs a few thousandths
    of ESTOI (`tests/benchmarks/benchmark_speed.py`); after somebody suddenly speaks much softer,
    it takes about that time to recover.

    Args:
        denoiser: In eval mode, around a network with `forward_block`.
        level: RMS of the recording where it is known: a number, or a tensor (..., 1) with one
            for each channel. None measures it as the sound comes.

    Raises:
        TypeError: `denoiser` is not a Denoiser, its network takes whole recordings only, or
            `level` is not a number or a float tensor.
        ValueError: `denoiser` is in training mode or its STFT cannot be undone frame by frame,
            `level` is negative or not finite.

    Notebook: 06
    """

    def __init__(self, denoiser: Denoiser, *, level: float | Tensor | None = None) -> None:
        self._net = block_network(denoiser)
        config = denoiser.config
        if not (config.center and config.invertible):
            raise ValueError(
                f"denoiser must have a centred, invertible STFT, got {config}; use STFTConfig()."
            )
        self.denoiser = denoiser
        self._level = None if level is None else _as_column(level)
        self._config = replace(config, center=False)  # the stream brings its own zeros
        left = (config.n_fft - config.win_length) // 2
        right = config.n_fft - config.win_length - left
        self._window = functional.pad(features.window_tensor(config), (left, right))  # (n_fft,)
        self.reset()

    @property
    def latency_samples(self) -> int:
        """Samples that must have come, a sample itself included, before it may go out."""
        return self._config.n_fft

    @property
    def latency_ms(self) -> float:
        """The same in milliseconds; computing time comes on top."""
        return 1000 * self.latency_samples / self._config.sample_rate

    def reset(self) -> None:
        """Forget everything that was heard; the next sample begins a new recording."""
        self._shape: torch.Size | None = None  # of a piece, without time: known with the first
        self._taken = 0
        self._given = 0
        self._memory: Memory | None = None

    def feed(self, samples: Tensor) -> Tensor:
        """Take the next samples and give back those that are ready.

        Args:
            samples: Finite waveform (..., time) at the rate of the denoiser and on its device, of
                any length, also 0; the same channels in every call.

        Returns:
            The next cleaned samples (..., time), maybe none, in the dtype of `samples`.

        Raises:
            TypeError: Not a float tensor.
            ValueError: NaN or infinity, or other channels than before. The stream stays as it
                was and can go on.
        """
        rows = self._take(samples)  # (row, time)
        cleaned = self._clean(rows)
        # Cloned outside of inference mode: an ordinary tensor again.
        shape = (*samples.shape[:-1], cleaned.shape[-1])
        return cleaned.clone().reshape(shape).to(samples.dtype)

    def flush(self) -> Tensor:
        """End the recording: give back what is left, then begin anew.

        Returns:
            The last cleaned samples (..., time), float32: as many came out in all as went in.
        """
        if self._shape is None or not self._taken:
            self.reset()
            return torch.zeros(0)
        shape = self._shape
        n_zeros = -self._taken % self._config.hop_length + self._config.n_fft // 2
        missing = self._taken - self._given
        cleaned = self._clean(self._waiting.new_zeros(len(self._waiting), n_zeros))
        rest = max(0, missing - cleaned.shape[-1])
        last = self._overlap[:-1, :rest] / self._overlap[-1:, :rest]
        self.reset()
        return torch.cat([cleaned, last], dim=-1)[:, :missing].reshape(*shape, missing)

    def _take(self, samples: Tensor) -> Tensor:
        """Check a piece and lay its channels out as rows, (row, time)."""
        if not isinstance(samples, Tensor) or samples.ndim == 0 or samples.numel():
            validate_waveform(samples, name="samples")
        shape = samples.shape[:-1]
        if self._shape is None:
            self._shape = self._begin(shape, samples.device)
        if shape != self._shape:
            raise ValueError(
                f"samples must have the channels {tuple(self._shape)} of the first piece, got "
                f"{tuple(shape)}; call reset() before another recording."
            )
        self._taken += samples.shape[-1]
        return samples.detach().reshape(max(1, math.prod(shape)), -1).float()

    def _begin(self, shape: torch.Size, device: torch.device) -> torch.Size:
        """Lay out the state: zeros before the first sample, nothing overlapping yet."""
        n_rows = max(1, math.prod(shape))
        n_fft = self._config.n_fft
        if self._level is not None and len(self._level) not in (1, n_rows):
            raise ValueError(
                f"level must be one number or one for each of {n_rows} channels, got "
                f"{len(self._level)}; measure it on the same recording."
            )
        self._waiting = torch.zeros(n_rows, n_fft // 2, device=device)
        # The sum of overlapping frames, and in one more row that of their squared windows.
        self._overlap = torch.zeros(n_rows + 1, n_fft - self._config.hop_length, device=device)
        self._lead = n_fft // 2  # samples before the first one: never given back
        self._power = torch.zeros(n_rows, device=device)  # the running level, squared
        self._frames_heard = torch.zeros(n_rows, device=device)
        return shape

    @torch.inference_mode()
    def _clean(self, rows: Tensor) -> Tensor:
        """Clean every frame that is complete: (row, time) -> the samples that are now ready."""
        n_fft = self._config.n_fft
        hop_length = self._config.hop_length
        waiting = torch.cat([self._waiting, rows], dim=-1)
        n_frames = max(0, (waiting.shape[-1] - n_fft) // hop_length + 1)
        ready = n_frames * hop_length
        # A copy, here and below: a view would keep the whole piece in memory.
        self._waiting = waiting[:, ready:].clone()
        if not n_frames:
            return rows[:, :0]
        seen = waiting[:, : ready - hop_length + n_fft]
        spectrogram = features.stft(seen, self._config)  # (row, freq, frame)
        gain = self._gain(seen[:, -ready:].unflatten(-1, (n_frames, hop_length)))
        magnitude = features.magnitude(spectrogram) * gain
        mask, memory = self._net.forward_block(magnitude, self._memory)
        self._memory = _copied(memory)
        total = self._overlap_add(features.apply_mask(spectrogram, mask), seen.shape[-1])
        self._overlap = total[:, ready:].clone()
        total = total[:, min(self._lead, ready) : ready]
        self._lead -= min(self._lead, ready)
        self._given += total.shape[-1]
        return total[:-1] / total[-1:]

    def _overlap_add(self, spectrogram: Tensor, length: int) -> Tensor:
        """Add up the frames and what was left of the last ones: -> (row + 1, length)."""
        frames = torch.fft.irfft(spectrogram, n=self._config.n_fft, dim=1)  # (row, n_fft, frame)
        window = self._window[:, None].to(frames.device)  # (n_fft, 1)
        squares = window.square().expand(1, -1, frames.shape[-1])
        parts = torch.cat([frames * window, squares])  # (row + 1, n_fft, frame)
        n_fft = self._config.n_fft
        hop_length = self._config.hop_length
        total = functional.fold(parts, (1, length), (1, n_fft), stride=(1, hop_length))[:, 0, 0]
        total[:, : self._overlap.shape[-1]] += self._overlap
        return total

    def _gain(self, fresh: Tensor) -> Tensor:
        """Bring each frame to the network's level: new samples (row, frame, hop) -> a factor."""
        if self._level is not None:
            return working_gain(self._level[..., None].to(fresh.device))
        longest = max(1, round(_LEVEL_SECONDS * 1000 / self._config.ms_per_frame))
        levels = []
        for power in fresh.square().mean(dim=-1).unbind(dim=-1):  # (row,)
            heard = (power > 0).float()  # a muted microphone tells nothing of the level
            self._frames_heard = (self._frames_heard + heard).clamp(max=longest)
            share = heard / self._frames_heard.clamp(min=1)
            self._power = self._power + share * (power - self._power)
            levels.append(self._power.sqrt())
        return working_gain(torch.stack(levels, dim=-1)[:, None])  # (row, 1, frame)


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
        width = math.ceil(_FILTER_WIDTH * self._old / (_ROLLOFF * min(self._old, self._new)))
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


def _as_column(level: float | Tensor) -> Tensor:
    """Lay a level out as (row, 1), float32, or say what is wrong with it."""
    if not isinstance(level, Tensor):
        validate_number(level, "level", minimum=0)
        return torch.full((1, 1), float(level))
    validate_waveform(level.reshape(-1), name="level")
    return level.detach().float().reshape(-1, 1)


def _copied(memory: Memory | None) -> Memory | None:
    """Copy a memory, for a view would keep a whole piece alive; some networks have none."""
    return None if memory is None else tuple(part.clone() for part in memory)
