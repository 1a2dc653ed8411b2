"""The denoiser: a network that looks at a spectrogram and answers with a mask.

`MaskNet` sees magnitudes and gives one number between 0 (remove) and 1 (keep) for each of them.
`Denoiser` wraps it, so that a waveform goes in and a waveform comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from course_utils import features
from course_utils.levels import active_level, follow_level, working_gain
from course_utils.validate import validate_waveform

# Nobody speaks below; what is there is an offset, or the rumble of rooms, wind and desks. The
# network neither sees nor keeps it.
_LOWEST_HZ = 50
# Frames that the network handles at once; longer recordings go through in blocks, memory kept.
_BLOCK_FRAMES = 4096

State = tuple[Tensor, Tensor, Tensor]


class Encoder(nn.Sequential):
    """Look for patterns in a few bands and frames; keep every 2nd or 4th band. Notebook: 04."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, n_frames: int = 2):
        size = (2 * stride, n_frames)  # (freq, frame)
        padding = (stride // 2, 0)  # none in time
        super().__init__(
            nn.Conv2d(in_channels, out_channels, size, (stride, 1), padding),
            # (batch, out_channels, freq / stride, frame - n_frames + 1)
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class Decoder(nn.Sequential):
    """The way back: spread every band over 2 or 4 finer ones. Notebook: 04."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int):
        size = (2 * stride, 1)  # (freq, frame)
        padding = (stride // 2, 0)
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, size, (stride, 1), padding),
            # (batch, out_channels, freq * stride, frame)
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class MaskNet(nn.Module):
    """Estimate a mask from magnitudes: encoder, two memories over time, decoder.

    Causal: frame ``t`` of the mask depends on no frame after ``t``.

    Args:
        n_freqs: Number of frequency bins, 257 for ``n_fft = 512``.
        n_bands: Bands that the bins are merged into (`frequency_bands`), a multiple of 16.
        channels: Feature maps after each of the three encoder layers.
        hidden_size: Size of the memory that sees all bands at once.

    Source: convolutions over frequency and recurrence over time follow Tan and Wang, "A
    convolutional recurrent neural network for real-time speech enhancement", Interspeech 2018.

    Notebook: 04
    """

    gather: Tensor
    spread: Tensor

    def __init__(
        self,
        n_freqs: int = 257,
        *,
        n_bands: int = 128,
        channels: Sequence[int] = (16, 32, 48),
        hidden_size: int = 192,
    ):
        super().__init__()
        if n_bands % 16:
            raise ValueError(f"n_bands must be a multiple of 16, got {n_bands}; try 128.")
        self.settings: dict[str, Any] = {
            "n_freqs": n_freqs,
            "n_bands": n_bands,
            "hidden_size": hidden_size,
            "channels": tuple(channels),
        }
        gather, spread = features.frequency_bands(n_freqs, n_bands)
        hz = torch.linspace(0, features.STFTConfig().sample_rate / 2, n_freqs)
        gather = gather * (hz >= _LOWEST_HZ)
        spread = spread * (hz >= _LOWEST_HZ)[:, None]
        self.register_buffer("gather", gather, persistent=False)  # made anew, never stored
        self.register_buffer("spread", spread, persistent=False)
        c1, c2, c3 = channels
        n_rows = n_bands // 16 * c3
        self.encoder1 = Encoder(1, c1, stride=4)
        self.encoder2 = Encoder(c1, c2, stride=2)
        self.band_memory = nn.GRU(c2, c2, batch_first=True)
        self.encoder3 = Encoder(c2, c3, stride=2, n_frames=1)
        self.squeeze = nn.Linear(n_rows, hidden_size)
        self.memory = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.expand = nn.Linear(hidden_size, n_rows)
        self.decoder3 = Decoder(2 * c3, c2, stride=2)
        self.decoder2 = Decoder(2 * c2, c1, stride=2)
        self.decoder1 = nn.ConvTranspose2d(2 * c1, 1, (8, 1), (4, 1), padding=(2, 0))

    def forward(self, noisy_magnitude: Tensor) -> Tensor:
        """Estimate the mask of whole recordings, (batch, freq, frame) -> the same, in [0, 1]."""
        return self.forward_block(noisy_magnitude, None)[0]

    def forward_block(self, noisy_magnitude: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Estimate the mask of the next block of a longer recording.

        Args:
            noisy_magnitude: Magnitudes, shape ``(batch, freq, frame)``, from one frame on.
            state: What the previous block returned, or None at the beginning.

        Returns:
            The mask, and the state for the next block: the last two frames and both memories.
            Blocks of any length give the mask of the whole.
        """
        x = (self.gather @ noisy_magnitude).to(noisy_magnitude)  # (batch, 128, frame), 32 bits
        past, band_hidden, hidden = state or (x.new_zeros(*x.shape[:2], 2), None, None)
        x = torch.cat([past, features.compress(x)], dim=2)  # two frames more: encoders look back
        past = x[:, :, -2:]
        skip1 = self.encoder1(x[:, None])  # (batch, 16, 32, frame + 1)
        skip2 = self.encoder2(skip1)  # (batch, 32, 16, frame)
        skip2, band_hidden = self._remember_bands(skip2, band_hidden)  # the same
        skip3 = self.encoder3(skip2)  # (batch, 48, 8, frame)
        x, hidden = self._remember(skip3, hidden)  # the same
        x = self.decoder3(torch.cat([x, skip3], dim=1))  # (batch, 32, 16, frame)
        x = self.decoder2(torch.cat([x, skip2], dim=1))  # (batch, 16, 32, frame)
        x = self.decoder1(torch.cat([x, skip1[..., 1:]], dim=1))  # (batch, 1, 128, frame)
        mask = self.spread @ torch.sigmoid(x[:, 0])  # (batch, 257, frame)
        return mask.to(noisy_magnitude), (past, band_hidden, hidden)

    def _remember_bands(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Follow each band through time with one small memory that all bands share."""
        batch, channels, bands, frames = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(batch * bands, frames, channels)
        rows, hidden = self.band_memory(rows, hidden)
        return x + rows.view(batch, bands, frames, channels).permute(0, 3, 1, 2), hidden

    def _remember(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """Follow all bands together through time with one large memory."""
        batch, channels, bands, frames = x.shape
        rows = x.permute(0, 3, 1, 2).reshape(batch, frames, channels * bands)
        rows = torch.relu(self.squeeze(rows))  # (batch, frame, hidden_size)
        memory, hidden = self.memory(rows, hidden)
        rows = torch.relu(self.expand(rows + memory))  # (batch, frame, channels * bands)
        return rows.view(batch, frames, channels, bands).permute(0, 2, 3, 1), hidden


class Denoiser(nn.Module):
    """Clean a waveform: spectrogram, one working level, mask, and back with the noisy phase.

    Args:
        net: A `MaskNet`, or another module that has its `forward` and `forward_block`.
        config: The STFT that `net` was made for.

    Notebook: 04
    """

    def __init__(self, net: MaskNet, config: features.STFTConfig | None = None) -> None:
        super().__init__()
        self.net = net
        self.config = config or features.STFTConfig()

    def forward(self, noisy: Tensor) -> Tensor:
        """Estimate the clean waveform.

        Args:
            noisy: Finite waveform at ``config.sample_rate``, shape ``(..., time)``, float.

        Returns:
            Estimate of the clean waveform, same shape, dtype and device.

        Raises:
            TypeError: Not a float tensor.
            ValueError: No samples, NaN or infinity.
        """
        validate_waveform(noisy, name="noisy")
        rows = noisy.reshape(-1, noisy.shape[-1]).float()  # (batch, time)
        spectrogram = features.stft(rows, self.config)  # (batch, freq, frame)
        mask = self.estimate_mask(features.magnitude(spectrogram))
        masked = features.apply_mask(spectrogram, mask)
        estimate = features.istft(masked, self.config, length=rows.shape[-1])
        return estimate.reshape(noisy.shape).to(noisy.dtype)

    def measure_level(self, noisy: Tensor) -> Tensor:
        """Measure how loud a recording is as `forward` does: above 80 Hz, and without pauses.

        Args:
            noisy: Waveform at ``config.sample_rate``, shape ``(..., time)``, float.

        Returns:
            The level, shape ``(..., 1)``; 0 for digital silence.
        """
        magnitude = features.magnitude(features.stft(noisy.float(), self.config))
        return active_level(features.frame_levels(magnitude, self.config))

    def estimate_mask(self, noisy_magnitude: Tensor) -> Tensor:
        """Estimate the mask of sound of any level.

        Frames of digital silence are left out, as if somebody had cut them from the recording:
        they tell neither the level nor the network's memory anything, and their mask is 0.

        Args:
            noisy_magnitude: Magnitudes, shape ``(batch, freq, frame)``.

        Returns:
            The mask, same shape.
        """
        levels = features.frame_levels(noisy_magnitude, self.config)  # (batch, frame)
        silent = levels == 0
        # Silent frames go to the end, where they come after everything that matters.
        order = silent.int().argsort(dim=-1, stable=True)  # (batch, frame)
        every_bin = order[:, None].expand_as(noisy_magnitude)
        heard = noisy_magnitude.gather(-1, every_bin)
        gain = self.gain(levels.gather(-1, order), active_level(levels))
        mask = self._estimate_in_blocks(heard * gain[:, None])
        mask = torch.zeros_like(mask).scatter(-1, every_bin, mask)
        return mask.masked_fill(silent[:, None], 0.0)

    def gain(self, levels: Tensor, known: Tensor | None, past: Tensor | None = None) -> Tensor:
        """Compute the factor that brings each frame to the network's working level.

        Args:
            levels: From `features.frame_levels`, shape ``(batch, frame)``, silent ones left out.
            known: Level of each recording, shape ``(batch, 1)``; None follows a live call.
            past: Levels of the frames before, if the recording comes in pieces.

        Returns:
            The factors, shape ``(batch, frame)``.
        """
        frames_per_second = 1000 / self.config.ms_per_frame
        return working_gain(
            follow_level(levels, known, frames_per_second=frames_per_second, past=past)
        )

    def _estimate_in_blocks(self, magnitude: Tensor) -> Tensor:
        """Estimate a mask without a seam: an hour needs no more memory than minutes."""
        if magnitude.shape[-1] <= _BLOCK_FRAMES:
            return self.net(magnitude)
        masks = []
        state: State | None = None
        for block in magnitude.split(_BLOCK_FRAMES, dim=-1):
            mask, state = self.net.forward_block(block, state)
            masks.append(mask)
        return torch.cat(masks, dim=-1)


def count_parameters(module: nn.Module) -> int:
    """Count the numbers that training may change.

    Args:
        module: Any network.

    Returns:
        The number of trainable parameters.

    Notebook: 04
    """
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
