"""The training loop: it knows a model, a loader and a loss, and nothing about audio.

Also here: seeds, checkpoints that are never half-written, and resuming from one. The same loop
serves one process and many (`distributed`).
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from course_utils.checkpoints import save_checkpoint, save_run, stopped_run
from course_utils.distributed import average, from_first, rank, share_model
from course_utils.models import Denoiser

Loss = Callable[..., Tensor]


@dataclass(frozen=True)
class TrainConfig:
    """The settings of a training run.

    Args:
        epochs: Rounds through the loader, at least 1.
        learning_rate: Step size at its highest; it rises over the first steps and then falls to
            a hundredth along a cosine.
        weight_decay: Pull of AdamW towards small weights.
        max_gradient_norm: Longer gradients are shortened to this length.
        max_minutes: Training ends after the first epoch that passes this time, and the learning
            rate falls in step with the clock if that runs ahead of the epochs. None: no limit.
        seed: For `seed_everything`.
        accumulate: So many batches make one step: their gradients are averaged, as if they were
            one large batch, in the memory of a small one.
        mixed_precision: Let the model work with numbers of 16 bits (bfloat16) where that is
            harmless: quicker on a GPU that has them. Weights and loss keep 32 bits.

    Raises:
        ValueError: If a number is out of range.

    Notebook: 05
    """

    epochs: int = 20
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    max_gradient_norm: float = 1.0
    max_minutes: float | None = None
    seed: int = 0
    accumulate: int = 1
    mixed_precision: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train."""
        positive = ["epochs", "learning_rate", "max_gradient_norm", "accumulate"]
        positive += ["max_minutes"] if self.max_minutes is not None else []
        for name in positive:
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise ValueError(
                    f"{name} must be above 0, got {value}; see TrainConfig's defaults."
                )
        for name in ("epochs", "accumulate"):
            value = getattr(self, name)
            if value != int(value):
                raise ValueError(f"{name} must be a whole number, got {value}; round it.")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, got {self.weight_decay}; try 1e-4.")


def seed_everything(seed: int) -> None:
    """Make random numbers repeat: Python's, NumPy's and PyTorch's.

    Args:
        seed: Any whole number from 0 to ``2**32 - 1``.

    Raises:
        ValueError: If ``seed`` lies outside that range.

    Notebook: 05
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must lie between 0 and 2**32 - 1, got {seed}; try 0.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def share_cores(num_workers: int, *, processes: int = 1) -> int:
    """Give every worker of the loader a core of its own, and PyTorch's arithmetic the rest.

    Threads of one computation wait for each other. If a worker pushes one of them off its core,
    all stand still, thousands of times a step: on two cores, training becomes several times
    slower.

    Args:
        num_workers: The ``num_workers`` of the DataLoader.
        processes: How many processes train on this machine, each with such a loader.

    Returns:
        The number of threads that PyTorch now uses, at least 1.

    Raises:
        ValueError: If ``num_workers`` is negative.

    Notebook: 05
    """
    if num_workers < 0:
        raise ValueError(f"num_workers must be at least 0, got {num_workers}; try 1.")
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes - num_workers))
    return torch.get_num_threads()


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    loss_fn: Loss,
    *,
    max_gradient_norm: float = 1.0,
    accumulate: int = 1,
    mixed_precision: bool = False,
    on_step: Callable[[int, float], None] | None = None,
) -> float:
    """Go through the loader once and learn from every batch.

    Args:
        model: Maps a noisy batch ``(batch, 1, time)`` to an estimate of the same shape.
        loader: Gives (noisy, clean) batches.
        optimizer: Updates the parameters of ``model``.
        loss_fn: Called as ``loss_fn(estimate=..., reference=...)``, gives a scalar.
        max_gradient_norm: Longer gradients are shortened to this length.
        accumulate: Average the gradients of so many batches, then make one step.
        mixed_precision: Let the model work in bfloat16 where that is harmless.
        on_step: Called after every batch with its number in the epoch and its loss.

    Returns:
        Mean training loss of the epoch.

    Raises:
        ValueError: If the loader is empty, or the loss is not finite.

    Notebook: 05
    """
    model.train()
    device = next(model.parameters()).device
    losses = []
    for step, (noisy, clean) in enumerate(loader):
        noisy, clean = noisy.to(device), clean.to(device)
        if step % accumulate == 0:
            optimizer.zero_grad()
            group = min(accumulate, len(loader) - step)  # the last one may be smaller
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
            estimate = model(noisy)
        loss = loss_fn(estimate=estimate, reference=clean)
        if not torch.isfinite(loss):
            raise ValueError(
                f"loss must be finite, got {loss.item()} in step {step}; lower learning_rate."
            )
        (loss / group).backward()
        if step % accumulate == group - 1:
            nn.utils.clip_grad_norm_(model.parameters(), max_gradient_norm)
            optimizer.step()
        losses.append(loss.item())
        if on_step is not None:
            on_step(step, losses[-1])
    return _mean(losses)


@torch.no_grad()
def evaluate_loss(model: nn.Module, loader: DataLoader, loss_fn: Loss) -> float:
    """Measure the loss without learning; the model's mode is restored afterwards.

    Args:
        model: Maps a noisy batch ``(batch, 1, time)`` to an estimate of the same shape.
        loader: Gives (noisy, clean) batches.
        loss_fn: Called as ``loss_fn(estimate=..., reference=...)``, gives a scalar.

    Returns:
        Mean loss over the batches.

    Raises:
        ValueError: If the loader is empty.

    Notebook: 05
    """
    was_training = model.training
    model.eval()
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    losses = [
        loss_fn(estimate=model(noisy.to(device)), reference=clean.to(device)).item()
        for noisy, clean in loader
    ]
    model.train(was_training)
    return _mean(losses)


def fit(
    model: Denoiser,
    train_loader: DataLoader,
    validation_loader: DataLoader,
    loss_fn: Loss,
    config: TrainConfig,
    *,
    checkpoint_path: str | os.PathLike | None = None,
    resume: bool = False,
    metadata: dict | None = None,
    on_step: Callable[[int, float], None] | None = None,
    on_epoch: Callable[[list[dict]], None] | None = None,
) -> list[dict]:
    """Train, validate after every epoch, and keep the best weights.

    Two files are written where ``checkpoint_path`` says: the best model so far, and beside it,
    with ``.last`` before the suffix, everything that a stopped run needs to go on. On one
    processor a resumed run makes the very numbers, bit for bit, that it would have made without
    the stop: weights, optimizer, learning rate and random numbers go on as they were. A time
    limit cannot promise that, since the learning rate then follows the clock.

    In a job of several processes (`distributed`) every process calls this with its share of the
    training pairs; they end with the same weights, and the first one writes.

    Args:
        model: The denoiser to train; it ends with its best weights, in eval mode, also when the
            run is stopped.
        train_loader: Training pairs; its dataset's ``set_epoch`` is called if there is one.
        validation_loader: Validation pairs, the same in every epoch.
        loss_fn: Called as ``loss_fn(estimate=..., reference=...)``.
        config: Settings of the run.
        checkpoint_path: Where to keep the best weights; None keeps them in memory only.
        resume: Go on from ``.last`` if it exists.
        metadata: Plain numbers, strings, lists and dicts to keep in both files.
        on_step: Called after every batch with its number in the run and its loss.
        on_epoch: Called with the history so far after every epoch, and before the first step of a
            resumed run.

    Returns:
        One dict an epoch: epoch, train_loss, validation_loss, lr, seconds (since the start).

    Raises:
        ValueError: If a loader is empty or a loss not finite.
        KeyboardInterrupt: If the run is stopped; its sentence says what was kept and how to go on.

    Notebook: 05
    """
    learner = share_model(model)  # the model itself, unless there are several processes
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    history: list[dict] = []
    best = _copy_of(model)
    saved = from_first(stopped_run(checkpoint_path) if resume and rank() == 0 else None)
    if saved is not None:
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history, best = saved["history"], saved["best"]
        torch.set_rng_state(saved["rng"])
    start = time.perf_counter() - (history[-1]["seconds"] if history else 0.0)
    total_steps = config.epochs * len(train_loader)

    def schedule(step: int) -> None:
        seconds = time.perf_counter() - start
        if config.max_minutes is not None:
            seconds = from_first(seconds)  # one clock for all, or their weights drift apart
        progress = _progress(step, total_steps, seconds, config)
        _set_learning_rate(optimizer, config.learning_rate, step, progress)

    def after_step(step: int, loss: float) -> None:
        step += len(history) * len(train_loader)
        schedule(step + 1)
        if on_step is not None:
            on_step(step, loss)

    schedule(len(history) * len(train_loader))
    try:
        if history and on_epoch is not None:  # what was before the stop
            on_epoch(history)
        while len(history) < config.epochs and not _out_of_time(history, config):
            epoch = len(history)
            if hasattr(train_loader.dataset, "set_epoch"):
                train_loader.dataset.set_epoch(epoch)
            train_loss = train_one_epoch(
                learner, train_loader, optimizer, loss_fn,
                max_gradient_norm=config.max_gradient_norm, accumulate=config.accumulate,
                mixed_precision=config.mixed_precision, on_step=after_step,
            )  # fmt: skip
            row = {
                "epoch": epoch,
                "train_loss": average(train_loss),
                "validation_loss": evaluate_loss(model, validation_loader, loss_fn),
                "lr": optimizer.param_groups[0]["lr"],
                "seconds": time.perf_counter() - start,
            }
            row = from_first(row)  # all decide by the same numbers what is best and when to end
            is_best = all(row["validation_loss"] < old["validation_loss"] for old in history)
            history.append(row)
            if is_best:
                best = _copy_of(model)
            if checkpoint_path is not None and rank() == 0:
                kept = {**(metadata or {}), "config": asdict(config), "history": history}
                if is_best:
                    save_checkpoint(checkpoint_path, model, metadata=kept)
                save_run(
                    checkpoint_path,
                    {
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "rng": torch.get_rng_state(),
                        "history": history,
                        "best": best,
                        "metadata": kept,
                    },
                )
            if on_epoch is not None:
                on_epoch(history)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_farewell(history, checkpoint_path)) from None
    finally:  # also after a stop or an error the model is as good as it ever was
        model.load_state_dict(best)
        model.eval()
    return history


def _farewell(history: list[dict], checkpoint_path: str | os.PathLike | None) -> str:
    """Say what a stopped run leaves behind, and how to go on."""
    if not history:
        return "Stopped before the first epoch was over: nothing was kept; start again."
    epochs = "1 epoch" if len(history) == 1 else f"{len(history)} epochs"
    kept = f"Stopped after {epochs}. The model has its best weights so far"
    if checkpoint_path is None:
        return f"{kept}. To be able to go on, give checkpoint_path next time."
    return f"{kept}, as has {str(checkpoint_path)!r}; resume=True goes on from here."


def _copy_of(model: nn.Module) -> dict[str, Tensor]:
    """Copy the weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def _out_of_time(history: list[dict], config: TrainConfig) -> bool:
    """Tell whether the time limit has passed."""
    if config.max_minutes is None or not history:
        return False
    return history[-1]["seconds"] >= 60 * config.max_minutes


def _progress(step: int, total_steps: int, seconds: float, config: TrainConfig) -> float:
    """Say how much of the run is over, by steps or by the clock, whichever is further: 0 to 1."""
    by_clock = seconds / (60 * config.max_minutes) if config.max_minutes else 0.0
    return min(1.0, max(step / total_steps, by_clock))


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, highest: float, step: int, progress: float
) -> None:
    """Rise over the first 50 steps, then fall along a half cosine to a hundredth."""
    warm_up = min(1.0, (step + 1) / 50)
    cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
    for group in optimizer.param_groups:
        group["lr"] = highest * warm_up * cosine


def _mean(losses: list[float]) -> float:
    """Average, refusing an empty loader."""
    if not losses:
        raise ValueError("loader must give at least one batch, got none; check the dataset's size.")
    return sum(losses) / len(losses)
