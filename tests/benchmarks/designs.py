"""The networks that `compare_models.py` sets beside the course's own.

Each differs from `models.MaskNet` in one thing, and takes and gives the same shapes.
"""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn

from course_utils.features import compress, istft, stft
from course_utils.models import Denoiser, Encoder, MaskNet


class OneMemory(MaskNet):
    """The course's network without the small memory that follows each band."""

    def __init__(self) -> None:
        super().__init__()
        self.band_memory = nn.Identity()

    def _remember_bands(self, x: Tensor, hidden: None) -> tuple[Tensor, None]:
        return x, hidden


class RecurrentOnly(nn.Module):
    """Two recurrent layers over whole frames: no convolution, no skip connection."""

    def __init__(self, n_freqs: int = 257, hidden_size: int = 180) -> None:
        super().__init__()
        self.squeeze = nn.Linear(n_freqs, hidden_size)
        self.memory = nn.GRU(hidden_size, hidden_size, num_layers=2, batch_first=True)
        self.expand = nn.Linear(hidden_size, n_freqs)

    def forward(self, noisy_magnitude: Tensor) -> Tensor:
        """Estimate the mask: (batch, freq, frame) -> the same."""
        rows = torch.relu(self.squeeze(compress(noisy_magnitude).transpose(1, 2)))
        return torch.sigmoid(self.expand(self.memory(rows)[0])).transpose(1, 2)


class BandNet(nn.Module):
    """The course's network on 129 bands: the lowest 65 bins, then 64 bands as wide as the ear's.

    The gains of the bands are spread back over the bins. GTCRN and RNNoise save work this way.
    """

    def __init__(self, n_freqs: int = 257, n_kept: int = 65, n_bands: int = 64) -> None:
        super().__init__()
        self.net = MaskNet(n_kept + n_bands)
        self.n_kept = n_kept
        # (freq - n_kept, band) triangles from 2 to 8 kHz, where the mel scale is close to ERB.
        bands = torchaudio.functional.melscale_fbanks(n_freqs, 1950.0, 8060.0, n_bands, 16000)
        bands = bands[n_kept:]
        self.register_buffer("gather", bands / bands.sum(dim=0).clamp(min=1e-6))
        self.register_buffer("spread", bands / bands.sum(dim=1, keepdim=True).clamp(min=1e-6))

    def forward(self, noisy_magnitude: Tensor) -> Tensor:
        """Estimate the mask: (batch, freq, frame) -> the same."""
        low, high = noisy_magnitude[:, : self.n_kept], noisy_magnitude[:, self.n_kept :]
        mask = self.net(torch.cat([low, self.gather.T @ high], dim=1))  # (batch, 129, frame)
        return torch.cat([mask[:, : self.n_kept], self.spread @ mask[:, self.n_kept :]], dim=1)


class ComplexMaskNet(MaskNet):
    """The course's network with phase: three maps in, and a complex mask of size 0 to 1 out."""

    def __init__(self) -> None:
        super().__init__()
        c1 = self.settings["channels"][0]
        self.encoder1 = Encoder(3, c1, stride=4)
        self.decoder1 = nn.ConvTranspose2d(2 * c1, 2, (8, 1), (4, 1), padding=(2, 0))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Estimate the mask: complex (batch, freq, frame) -> the same."""
        size = spectrogram.abs() + 1e-8
        x = torch.stack([size, spectrogram.real, spectrogram.imag], dim=1) * size[:, None] ** -0.7
        x = nn.functional.pad(x[:, :, 1:], (2, 0))  # (batch, 3, 256, frame + 2)
        skip1 = self.encoder1(x)
        skip2 = self._remember_bands(self.encoder2(skip1), None)[0]
        skip3 = self.encoder3(skip2)
        x = self.decoder3(torch.cat([self._remember(skip3, None)[0], skip3], dim=1))
        x = self.decoder2(torch.cat([x, skip2], dim=1))
        x = self.decoder1(torch.cat([x, skip1[..., 1:]], dim=1))  # (batch, 2, 256, frame)
        length = (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()
        x = x * torch.tanh(length) / length
        return nn.functional.pad(torch.complex(x[:, 0], x[:, 1]), (0, 0, 1, 0))


class ComplexDenoiser(Denoiser):
    """`Denoiser` for a network that sees the spectrogram itself and gives a complex mask."""

    def forward(self, noisy: Tensor) -> Tensor:
        """Estimate the clean waveform: (..., time) -> the same."""
        rows = noisy.reshape(-1, noisy.shape[-1])
        gain = 0.1 / rows.square().mean(dim=-1, keepdim=True).sqrt().clamp(min=1e-8)
        spectrogram = stft(rows * gain, self.config)
        estimate = istft(spectrogram * self.net(spectrogram), self.config, length=rows.shape[-1])
        return (estimate / gain).reshape(noisy.shape)


DESIGNS = {
    "course": lambda: Denoiser(MaskNet()),
    "one memory": lambda: Denoiser(OneMemory()),
    "recurrent only": lambda: Denoiser(RecurrentOnly()),
    "129 bands": lambda: Denoiser(BandNet()),
    "complex mask": lambda: ComplexDenoiser(ComplexMaskNet()),
}
