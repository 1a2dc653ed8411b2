"""The networks that `compare_models.py` sets beside the course's own.

Each lacks or changes one idea of `models.MaskNet`, with at most half a million weights: on all bins
and without convolutions, the large memory has to be a little smaller for that.
"""

from __future__ import annotations

import torch
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


class ComplexMaskNet(MaskNet):
    """All bins, and with phase: three maps in, and a complex mask of size 0 to 1 out."""

    def __init__(self) -> None:
        super().__init__(n_bands=256, hidden_size=160)
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
    "all bins": lambda: Denoiser(MaskNet(n_bands=256, hidden_size=160)),
    "all bins, complex mask": lambda: ComplexDenoiser(ComplexMaskNet()),
    "recurrent only": lambda: Denoiser(RecurrentOnly()),
}
