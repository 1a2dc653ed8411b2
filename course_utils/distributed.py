"""Several processes that train one model: `torchrun` starts them, PyTorch averages gradients.

Each process has its own GPU or its own cores, and its own share of every batch; the first one
writes the files. Started without `torchrun`, there is one process, and every function here gives
back what it was given: the training loop reads the same for one process and for many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset, DistributedSampler

Value = TypeVar("Value")

# A process that waits longer than this for another one takes it for lost.
PATIENCE = timedelta(minutes=10)


def rank() -> int:
    """Give the number of this process, from 0.

    Returns:
        0 in the first process, and where there is only one.

    Notebook: 05
    """
    return dist.get_rank() if dist.is_initialized() else 0


def num_processes() -> int:
    """Count the processes that train together.

    Returns:
        At least 1.

    Notebook: 05
    """
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def joined(device: str = "auto") -> Iterator[torch.device]:
    """Join the other processes, if `torchrun` started this one, and leave them at the end.

    Args:
        device: "auto" takes a GPU from NVIDIA where there is one, otherwise the processor; or a
            device's name such as "cpu", "cuda" or "mps".

    Yields:
        The device of this process: with several GPUs, each process has its own.

    Raises:
        ValueError: If there is no such device, or there are more processes than GPUs.
        ConnectionError: If another process is lost on the way.

    Notebook: 05
    """
    chosen = _own_device(device)
    if "RANK" not in os.environ:  # torchrun sets it
        yield chosen
        return
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE
    )
    try:
        yield chosen
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise ConnectionError(
            "another process of this job was lost; what is saved is as old as the last finished "
            "epoch, and the same command with --resume goes on from there."
        ) from error
    finally:
        dist.destroy_process_group()


def from_first(value: Value) -> Value:
    """Let every process go on with what the first one has: a clock, a decision, a state.

    Args:
        value: Anything that can be pickled; only that of the first process counts.

    Returns:
        The first process's value.

    Notebook: 05
    """
    if num_processes() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def gathered(items: list) -> list:
    """Put the lists of all processes together.

    Args:
        items: This process's list, of anything that can be pickled.

    Returns:
        One list, the same in every process.

    Notebook: 05
    """
    if num_processes() == 1:
        return items
    lists: list[list] = [[] for _ in range(num_processes())]
    dist.all_gather_object(lists, items)
    return [item for each in lists for item in each]


def average(value: float) -> float:
    """Average one number over all processes.

    Args:
        value: This process's number, such as its loss.

    Returns:
        The mean, the same in every process.

    Notebook: 05
    """
    if num_processes() == 1:
        return value
    return _Average.apply(torch.tensor(value, dtype=torch.float64)).item()


def share_of(dataset: Dataset) -> DistributedSampler | None:
    """Choose this process's share of a dataset: of every two items one, of every three one.

    Batches of ``batch_size / num_processes`` then make, taken together, the very batches that
    one process would see. A loss that leaves out some clips, as `denoising_loss` does with silent
    ones in three of its parts, averages over what is left of a share.

    Args:
        dataset: Its length should be a multiple of the number of processes: the rest is left out.

    Returns:
        The sampler for a DataLoader; None, which takes all, where there is one process.

    Notebook: 05
    """
    if num_processes() == 1:
        return None
    return DistributedSampler(dataset, shuffle=False, drop_last=True)


def share_model(model: nn.Module) -> nn.Module:
    """Tie this process's copy of a model to the others: equal weights, averaged gradients.

    Args:
        model: The model, on this process's device. Its `BatchNorm2d` layers are exchanged for
            `SharedBatchNorm`, so that a batch is normalized as a whole and not in shares.

    Returns:
        A module to call in training; ``model`` learns with it. With one process, ``model``.

    Notebook: 05
    """
    if num_processes() == 1:
        return model
    for module in list(model.modules()):
        for name, layer in module.named_children():
            if type(layer) is nn.BatchNorm2d:
                setattr(module, name, SharedBatchNorm(layer))
    # Statistics are shared as they are made: there are no other buffers to send around.
    return DistributedDataParallel(model, forward_sync_buffers=False)


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalization with the mean and variance of the whole batch, not of one's own share.

    PyTorch's own ``SyncBatchNorm`` does this on GPUs only. This one works on every device, and
    must see equal shares in all processes.

    Args:
        layer: The layer whose settings, weights and statistics it takes over.

    Notebook: 05
    """

    # BatchNorm2d may do without these; the layers of the course have all of them.
    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.weight = layer.weight
        self.bias = layer.bias
        self.load_state_dict(layer.state_dict())
        self.to(layer.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize ``(batch, channel, freq, frame)``; outside of training like BatchNorm2d."""
        if not self.training:
            return super().forward(x)
        wide, dims = x.float(), (0, 2, 3)
        mean = _Average.apply(wide.mean(dims))  # (channel,)
        centred = wide - mean[:, None, None]
        variance = _Average.apply(centred.square().mean(dims))  # (channel,)
        with torch.no_grad():
            count = wide.numel() // wide.shape[1] * num_processes()
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()  # (channel,)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Average(torch.autograd.Function):
    """The mean over all processes; its gradient is the mean of their gradients."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Average.apply(gradient)


def _own_device(name: str) -> torch.device:
    """Find the device of this process, or say why there is none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device must be one that PyTorch finds on this machine, got {name!r}; try 'cpu'."
        ) from error
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    local, available = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local >= available:
        raise ValueError(
            f"nproc-per-node must be at most the number of GPUs, {available}, got at least "
            f"{local + 1}; start fewer processes, or choose the device 'cpu'."
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)
