"""Clean sound at any rate, up to its own highest frequency.

The network hears up to 8 kHz, and a recording at 44.1 or 48 kHz holds more: the edge of an s, the
air around a voice. It is not thrown away. The recording is split into what lies below 8 kHz, which
goes the network's way, and the rest, which is turned down, frame by frame, as the network turns
down the highest bins that it sees: an s or a t opens both, a pause closes both. Where the mask is
1, the two parts give back the recording as it was.
"""

import torch
from torch import Tensor

from course_utils.denoise.stages import StreamingResampler
from course_utils.denoise.streaming import StreamingDenoiser
from course_utils.models import Denoiser


class FullBandDenoiser:
    """A `StreamingDenoiser` for sound at any rate; at most 16 kHz, nothing lies above its band.

    Args:
        denoiser: In eval mode, around a network with `forward_block`.
        sample_rate: Samples per second of what comes and goes.
        level: As for `StreamingDenoiser`.
        channels: As for `StreamingDenoiser`.
        mix: Share of the noisy sound in the result, (1 - mix) * estimate + mix * noisy, 0 to 1.

    Raises:
        TypeError: As for `StreamingDenoiser`.
        ValueError: As for `StreamingDenoiser`.

    Notebook: 06
    """

    def __init__(
        self,
        denoiser: Denoiser,
        sample_rate: int,
        *,
        level: float | Tensor | None = None,
        channels: str = "together",
        mix: float = 0.0,
    ) -> None:
        rate = denoiser.config.sample_rate
        self._stream = StreamingDenoiser(denoiser, level=level, channels=channels)
        self._has_highs = sample_rate > rate
        self._mix = mix
        self._down = StreamingResampler(sample_rate, rate)
        self._up = StreamingResampler(rate, sample_rate)
        self._noisy: Tensor | None = None  # samples whose estimate has not come yet
        self._noisy_lows: Tensor | None = None  # the same at the rate of the network

    def feed(self, samples: Tensor) -> Tensor:
        """Take the next samples and give back those that are ready.

        Args:
            samples: Finite waveform (channel, time), float32, of any length.

        Returns:
            The next cleaned samples (channel, time), maybe none.
        """
        self._noisy = _joined(self._noisy, samples)
        return self._put_together(self._up.feed(self._clean(self._down.feed(samples))))

    def flush(self) -> Tensor:
        """Give back what is left (channel, time): as many samples in all as came."""
        if self._noisy is None:
            return torch.zeros(0)
        rest = self._down.flush()
        parts = [self._clean(rest)] if rest.shape[-1] else []
        cleaned, gain = self._stream.flush_with_gain()
        if cleaned.numel():
            parts.append(self._beside_lows(cleaned, gain))
        parts = [self._up.feed(part) for part in parts]
        last = self._up.flush()
        if last.shape[-1]:
            parts.append(last)
        return self._put_together(torch.cat(parts, dim=-1)) if parts else self._noisy[:, :0]

    def _clean(self, lows: Tensor) -> Tensor:
        """Clean what lies in the network's band, (channel, time) -> (row, time)."""
        cleaned, gain = self._stream.feed_with_gain(lows)
        if self._has_highs:
            self._noisy_lows = _joined(self._noisy_lows, lows)
        return self._beside_lows(cleaned, gain)

    def _beside_lows(self, cleaned: Tensor, gain: Tensor) -> Tensor:
        """Put under each other what goes back to the full rate together: (row, time)."""
        if not self._has_highs:
            return cleaned
        assert self._noisy_lows is not None
        lows = self._noisy_lows[:, : cleaned.shape[-1]]
        self._noisy_lows = self._noisy_lows[:, cleaned.shape[-1] :].clone()
        return torch.cat([cleaned, lows, gain])

    def _put_together(self, rows: Tensor) -> Tensor:
        """Add what lies above the network's band, and the share of the noisy sound."""
        assert self._noisy is not None
        n_channels = len(self._noisy)
        rows = rows[:, : self._noisy.shape[-1]]  # there and back may give a sample too many
        noisy = self._noisy[:, : rows.shape[-1]]
        self._noisy = self._noisy[:, rows.shape[-1] :].clone()
        estimate = rows[:n_channels]
        if self._has_highs:
            noisy_lows = rows[n_channels : 2 * n_channels]
            gain = rows[2 * n_channels :]  # one for each channel, or one for all
            estimate = estimate + gain * (noisy - noisy_lows)
        return (1 - self._mix) * estimate + self._mix * noisy


def _joined(waiting: Tensor | None, samples: Tensor) -> Tensor:
    """Put samples behind those that wait."""
    return samples.clone() if waiting is None else torch.cat([waiting, samples], dim=-1)
