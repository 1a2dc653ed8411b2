"""Export the network for a live call: one frame in, one frame of mask out, without Python code.

`torch.export` writes a graph of plain operations that runs without this package. ONNX is the form
in which other programs take such a graph, in a browser, on a phone, from C++ or from Python
without PyTorch; `onnxruntime` is one that runs it.
"""

import io
import logging
import os
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from course_utils.denoise.streaming import BlockNet, block_network
from course_utils.models import Denoiser
from course_utils.targets import write_whole
from course_utils.validate import existing_folder

OPSET = 20
"""The version of ONNX's set of operations that is written; runtimes since 2024 know it."""


class OneFrame(nn.Module):
    """One step of a live call: the memory goes in beside the frame and comes out renewed.

    Args:
        net: A mask network with `forward_block`, such as `MaskNet`.

    Notebook: 06
    """

    def __init__(self, net: BlockNet) -> None:
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

    Raises:
        TypeError: The network of `denoiser` takes whole recordings only.
        ValueError: `denoiser` is in training mode.

    Notebook: 06
    """
    silence = torch.zeros(1, denoiser.config.n_freqs, 1)
    with torch.inference_mode():
        _, memory = block_network(denoiser).forward_block(silence, None)
    return [torch.zeros(part.shape) for part in memory]


def export_one_frame(denoiser: Denoiser, path: str | os.PathLike) -> None:
    """Write the network as a program that handles one frame; the file appears whole or not.

    Load it with `torch.export.load(path).module()`. What surrounds the network stays with the
    caller: the STFT, the level that `Denoiser` sets before it, the mask put on the spectrogram.

    Args:
        denoiser: On the CPU, in eval mode.
        path: A file name that ends in .pt2, in a folder that exists; replaced if it is there.

    Raises:
        FileNotFoundError: The folder of `path` does not exist.
        OSError: The file cannot be written: a full disk, a forbidden folder.
        TypeError: The network of `denoiser` takes whole recordings only.
        ValueError: `denoiser` is in training mode, or `path` ends otherwise.

    Source: https://pytorch.org/docs/stable/export.html
    Notebook: 06
    """
    target = _target(path, ".pt2")
    program = _program(denoiser)
    memory = io.BytesIO()
    torch.export.save(program, memory)
    write_whole(target, memory.getvalue())


def export_onnx(denoiser: Denoiser, path: str | os.PathLike) -> None:
    """Write one step of the network as an ONNX file, weights included; whole or not at all.

    Inputs are ``frame``, magnitudes (1, freq, 1), and ``memory_0``, ``memory_1``, ...; outputs
    ``mask`` and ``next_memory_0``, ..., to be handed to the next step. A call begins with the zeros
    of `empty_memory`. As in `export_one_frame`, the STFT and the level stay with the caller.

    Args:
        denoiser: On the CPU, in eval mode.
        path: A file name that ends in .onnx, in a folder that exists; replaced if it is there.

    Raises:
        FileNotFoundError: The folder of `path` does not exist.
        OSError: The file cannot be written: a full disk, a forbidden folder.
        ImportError: The packages onnx and onnxscript, which PyTorch writes with, are missing.
        TypeError: The network of `denoiser` takes whole recordings only.
        ValueError: `denoiser` is in training mode, or `path` ends otherwise.

    Source: https://pytorch.org/docs/stable/onnx.html
    Notebook: 06
    """
    target = _target(path, ".onnx")
    memory = empty_memory(denoiser)
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"ONNX needs {' and '.join(missing)}, which the lessons do without: "
            "python install.py tests installs them."
        )
    # Every export would say on stderr that torchvision, which nothing here uses, is missing.
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        onnx_program = torch.onnx.export(
            _program(denoiser),
            dynamo=True,
            opset_version=OPSET,
            input_names=["frame", *(f"memory_{n}" for n in range(len(memory)))],
            output_names=["mask", *(f"next_memory_{n}" for n in range(len(memory)))],
            verbose=False,
        )
    finally:
        log.setLevel(level)
    assert onnx_program is not None  # None only from the older exporter, dynamo=False
    write_whole(target, onnx_program.model_proto.SerializeToString())


def _target(path: str | os.PathLike, suffix: str) -> Path:
    """Return the path of a file to write, or say what is wrong with it."""
    target = Path(path)
    existing_folder(target.parent, "the folder of path")
    if target.suffix != suffix:
        raise ValueError(f"path must end in {suffix}, got {str(target)!r}; rename it.")
    return target


def _program(denoiser: Denoiser) -> torch.export.ExportedProgram:
    """Follow one step of the network and keep its operations as a graph."""
    frame = torch.zeros(1, denoiser.config.n_freqs, 1)
    inputs = (frame, *empty_memory(denoiser))
    return torch.export.export(OneFrame(block_network(denoiser)), inputs, strict=True)
