"""Clean sound that comes piece by piece: a live call, or a file too long for the memory.

What comes out, put together, is what the same denoiser makes of the whole recording; only so
much of the past is kept as the next piece needs. So the last minute of an hour costs no more
memory than the first.
"""

import math
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from course_utils import features
from course_utils.denoise.stages import StreamingSTFT
from course_utils.levels import num_past_frames
from course_utils.models import Denoiser
from course_utils.validate import validate_choice, validate_number, validate_waveform

CHANNELS = ("together", "separate")
"""How the channels of a recording are treated: one mask for all of them, or one for each."""

_MANY_ROWS = 16  # channels of a first piece shorter than that: surely (time, channel)
# The bins whose mask tells what becomes of everything above the network's band.
_HIGHS_HZ = 5500

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

    **Equal to offline, from the first sample to the last**, to rounding: the stream begins and
    ends with the zeros of `features.stft`. Equality needs one more thing, `level`: `Denoiser`
    measures the loudness of the whole recording before it begins, and nobody knows how loud a
    call is going to be. Without `level`, the last three seconds stand in for it
    (`levels.follow_level`). The estimate is not scaled by it; only the network, which was trained
    at one level, sees the sound through it.

    **Channels together.** Two microphones before one speaker hear one scene, and between them lie
    level and phase that tell where everybody sits. So all channels get one mask, and what lies
    between them stays. The network sees the sum of the channels' powers: in a sum of the waveforms,
    what is in opposite phase would vanish. Channels that have nothing to do with each other, such
    as two people on a microphone each, are cleaned "separate".

    Args:
        denoiser: In eval mode, around a network with `forward_block`.
        level: Level of the recording where it is known, from `Denoiser.measure_level`: a number,
            or a tensor (..., 1) with one for each mask. None measures it as the sound comes.
        channels: "together" or "separate".

    Raises:
        TypeError: `denoiser` is not a Denoiser, its network takes whole recordings only, or
            `level` is not a number or a float tensor.
        ValueError: `denoiser` is in training mode or its STFT cannot be undone frame by frame,
            `level` is negative or not finite, `channels` is something else.

    Notebook: 06
    """

    def __init__(
        self,
        denoiser: Denoiser,
        *,
        level: float | Tensor | None = None,
        channels: str = "together",
    ) -> None:
        block_network(denoiser)
        config = denoiser.config
        if not (config.center and config.invertible):
            raise ValueError(
                f"denoiser must have a centred, invertible STFT, got {config}; use STFTConfig()."
            )
        validate_choice(channels, "channels", CHANNELS)
        self.denoiser = denoiser
        self._together = channels == "together"
        self._level = None if level is None else _as_column(level)
        self._config = config
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

    def feed(self, samples: Tensor) -> Tensor:
        """Take the next samples and give back those that are ready.

        Args:
            samples: Finite waveform (..., time) at the rate of the denoiser and on its device, of
                any length, also 0; the same channels in every call.

        Returns:
            The next cleaned samples (..., time), maybe none, in the dtype of `samples`.

        Raises:
            TypeError: Not a float tensor.
            ValueError: NaN or infinity, other channels than before, or a first piece that looks
                like (time, channel). The stream stays as it was and can go on.
        """
        if self._shape is None and isinstance(samples, Tensor):
            _refuse_transposed(samples)
        cleaned, _ = self.feed_with_gain(samples)
        return cleaned.reshape(*samples.shape[:-1], cleaned.shape[-1]).to(samples.dtype)

    def flush(self) -> Tensor:
        """End the recording: give back what is left, then begin anew.

        Returns:
            The last cleaned samples (..., time), float32: as many came out in all as went in.
        """
        shape = self._shape or torch.Size()
        cleaned, _ = self.flush_with_gain()
        return cleaned.reshape(*shape, cleaned.shape[-1]) if cleaned.numel() else torch.zeros(0)

    def feed_with_gain(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Take the next samples; say also what to do with sound above the network's band.

        Args:
            samples: As for `feed`.

        Returns:
            The next cleaned samples, (row, time), float32, and for each of them the factor for
            everything above, (mask, time): the mean of the mask above 5.5 kHz, faded from frame
            to frame by the window that joins the frames.

        Raises:
            TypeError: As for `feed`.
            ValueError: As for `feed`.
        """
        rows = self._take(samples)  # (row, time)
        with torch.inference_mode():
            total = self._clean(self._stft.feed(rows))
        total = total.clone()  # outside of inference mode: an ordinary tensor again
        return total[: len(rows)], total[len(rows) :]

    def flush_with_gain(self) -> tuple[Tensor, Tensor]:
        """End the recording as `flush` does; the shapes are those of `feed_with_gain`."""
        if self._shape is None or not self._taken:
            self.reset()
            return torch.zeros(0), torch.zeros(0)
        missing = self._taken - self._given
        with torch.inference_mode():
            total = self._clean(self._stft.flush())
        rest = max(0, missing - total.shape[-1])
        last = self._overlap[:-1, :rest] / self._overlap[-1:, :rest]
        total = torch.cat([total, last], dim=-1)[:, :missing].clone()
        n_rows = len(total) - len(self._masks)
        self.reset()
        return total[:n_rows], total[n_rows:]

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
        n_masks = 1 if self._together else n_rows
        level = self._level
        if level is not None and len(level) not in (1, n_masks):
            raise ValueError(
                f"level must be one number or one for each of {n_masks} masks, got "
                f"{len(level)}; measure it on the same recording."
            )
        levels = [None] * n_masks if level is None else list(level.to(device).expand(n_masks, 1))
        self._masks = [_MaskStream(self.denoiser, level) for level in levels]
        self._stft = StreamingSTFT(self._config)
        # The sum of overlapping frames of rows and gains; then that of their squared windows.
        n_overlap = self._config.n_fft - self._config.hop_length
        self._overlap = torch.zeros(n_rows + n_masks + 1, n_overlap, device=device)
        self._lead = self._config.n_fft // 2  # samples before the first one: never given back
        return shape

    def _clean(self, spectrogram: Tensor) -> Tensor:
        """Clean frames (row, freq, frame) -> samples that are now ready (row + mask, time)."""
        n_frames = spectrogram.shape[-1]
        if not n_frames:
            return self._overlap[:-1, :0]
        magnitude = features.magnitude(spectrogram)
        if self._together:
            magnitude = torch.linalg.vector_norm(magnitude, dim=0, keepdim=True)
        masks = [
            stream.estimate(row)
            for stream, row in zip(self._masks, magnitude.split(1), strict=True)
        ]
        mask = torch.cat(masks)  # (mask, freq, frame)
        total = self._overlap_add(spectrogram * mask, self._highs_gain(mask))
        ready = n_frames * self._config.hop_length
        self._overlap = total[:, ready:].clone()
        total = total[:, min(self._lead, ready) : ready]
        self._lead -= min(self._lead, ready)
        self._given += total.shape[-1]
        return total[:-1] / total[-1:]

    def _highs_gain(self, mask: Tensor) -> Tensor:
        """Average the mask over the highest bins: (mask, freq, frame) -> (mask, 1, frame)."""
        lowest = round(_HIGHS_HZ / self._config.hz_per_bin)
        return mask[:, lowest:].mean(dim=1, keepdim=True)

    def _overlap_add(self, spectrogram: Tensor, gain: Tensor) -> Tensor:
        """Add up the frames and what was left of the last ones: -> (row + mask + 1, time)."""
        n_fft = self._config.n_fft
        hop_length = self._config.hop_length
        n_frames = spectrogram.shape[-1]
        frames = torch.fft.irfft(spectrogram, n=n_fft, dim=1)  # (row, n_fft, frame)
        window = self._window[:, None].to(frames.device)  # (n_fft, 1)
        squares = window.square().expand(1, -1, n_frames)
        parts = torch.cat([frames * window, gain * squares, squares])
        length = (n_frames - 1) * hop_length + n_fft
        total = functional.fold(parts, (1, length), (1, n_fft), stride=(1, hop_length))[:, 0, 0]
        total[:, : self._overlap.shape[-1]] += self._overlap
        return total


class _MaskStream:
    """The mask of a recording that comes frame by frame, as `Denoiser.estimate_mask` gives it."""

    def __init__(self, denoiser: Denoiser, level: Tensor | None) -> None:
        self._denoiser = denoiser
        self._net = block_network(denoiser)
        self._level = None if level is None else level[None]  # (1, 1)
        self._n_past = num_past_frames(1000 / denoiser.config.ms_per_frame)
        self._past: Tensor | None = None  # levels of the last frames
        self._memory: Memory | None = None

    def estimate(self, magnitude: Tensor) -> Tensor:
        """Estimate the mask of the next frames, (1, freq, frame) -> the same."""
        levels = features.frame_levels(magnitude, self._denoiser.config)  # (1, frame)
        heard = levels[0] > 0
        mask = torch.zeros_like(magnitude)
        if not heard.any():
            return mask
        levels = levels[:, heard]
        gain = self._denoiser.gain(levels, self._level, self._past)
        mask[..., heard], memory = self._net.forward_block(
            magnitude[..., heard] * gain[:, None], self._memory
        )
        self._memory = _copied(memory)
        past = levels if self._past is None else torch.cat([self._past, levels], dim=-1)
        self._past = past[:, -self._n_past :].clone()
        return mask


def _refuse_transposed(samples: Tensor) -> None:
    """Refuse what a sound card's library gives, (time, channel), before it becomes channels."""
    n_rows = math.prod(samples.shape[:-1])
    if n_rows >= _MANY_ROWS and 0 < samples.shape[-1] < n_rows:
        raise ValueError(
            f"samples must have shape (channel, time), got {tuple(samples.shape)}, more channels "
            "than samples; turn what a sound card gives round with samples.T."
        )


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
