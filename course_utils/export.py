"""Export the network for a live call: one frame in, one frame of mask out, without Python code.

`torch.export` writes a graph of plain operations that runs without this package, and from which
the tools for phones and browsers set out.
"""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.models import Denoiser


class OneFrame(nn.Module):
    """One step of a live call: the memory goes in beside the frame and comes out renewed.

    Args:
        net: A mask network with `forward_block`, such as `MaskNet`.

    Notebook: 06
    """

    def __init__(self, net: nn.Module) -> None:
        """Keep the network."""
        super().__init__()
        self.net = net

    def forward(self, frame: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Estimate the mask of one frame.

        Args:
            frame: Magnitudes, shape (1, freq, 1).
            memory: What the last step returned behind the mask; at first `empty_memory`.

        Returns:
            The mask, shape (1, freq, 1), then the memory for the next step.

        Notebook: 06
        """
        mask, memory = self.net.forward_block(frame, memory)
        return mask, *memory


def empty_memory(denoiser: Denoiser) -> list[Tensor]:
    """Make the memory with which a call begins.

    Args:
        denoiser: The denoiser whose network is to run frame by frame.

    Returns:
        Tensors of zeros, as many and as large as the network hands from step to step.

    Notebook: 06
    """
    silence = torch.zeros(1, denoiser.config.n_freqs, 1)
    with torch.inference_mode():
        _, memory = denoiser.net.forward_block(silence, None)
    return [torch.zeros(part.shape) for part in memory]


def export_one_frame(denoiser: Denoiser, path: str | os.PathLike) -> None:
    """Write the network as a program that handles one frame; the file appears whole or not.

    Load it with `torch.export.load(path).module()`. What surrounds the network stays with the
    caller: the STFT, the level that `Denoiser` sets before it, the mask put on the spectrogram.

    Args:
        denoiser: On the CPU, in eval mode.
        path: A file name that ends in .pt2, in a folder that exists; replaced if it is there.

    Raises:
        ValueError: `denoiser` is in training mode, or `path` cannot be written.

    Source: https://pytorch.org/docs/stable/export.html
    Notebook: 06
    """
    target = Path(path)
    if denoiser.training:
        raise ValueError("denoiser must be in eval mode, got training mode; call .eval() first.")
    if target.suffix != ".pt2" or not target.parent.is_dir():
        raise ValueError(
            f"path must end in .pt2 and lie in a folder that exists, got {str(target)!r}."
        )
    frame = torch.zeros(1, denoiser.config.n_freqs, 1)
    program = torch.export.export(
        OneFrame(denoiser.net), (frame, *empty_memory(denoiser)), strict=True
    )
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        torch.export.save(program, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
