"""The training loop: a model, a loader and a loss. Nothing here knows that the tensors are sound.

`train_one_epoch` is the five lines of lesson 5, `evaluate_loss` measures without learning, and
`fit` repeats both until the epochs or the time are used up. The same loop serves one process and
many (`distributed`), and a stopped run goes on from what `checkpoints` kept.
"""

from __future__ import annotations

import math
import os
import random
import time
import uuid
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from course_utils.checkpoints import (
    as_denoiser,
    changes_since,
    forget_run,
    is_of_run,
    save_checkpoint,
    save_run,
    stopped_run,
)
from course_utils.distributed import average, from_first, rank, share_model
from course_utils.targets import reserved
from course_utils.validate import validate_integer, validate_number, validate_same_shape

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Called as ``loss_fn(estimate, clean)``, as ``nn.MSELoss()`` is; gives a scalar."""

WARM_UP_STEPS = 50
"""Steps over which the learning rate rises."""


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
        seed: Kept in the checkpoint; what draws by it is `seed_everything`, before the run.
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
        validate_integer(self.epochs, "epochs", minimum=1)
        validate_integer(self.accumulate, "accumulate", minimum=1)
        validate_number(self.learning_rate, "learning_rate", above=0)
        validate_number(self.weight_decay, "weight_decay", minimum=0)
        validate_number(self.max_gradient_norm, "max_gradient_norm", above=0)
        if self.max_minutes is not None:
            validate_number(self.max_minutes, "max_minutes", above=0)


def seed_everything(seed: int) -> None:
    """Make random numbers repeat: Python's, NumPy's and PyTorch's.

    Args:
        seed: Any whole number from 0 to ``2**32 - 1``.

    Raises:
        TypeError: If ``seed`` is not a whole number.
        ValueError: If ``seed`` lies outside that range.

    Notebook: 05
    """
    validate_integer(seed, "seed", minimum=0, maximum=2**32 - 1)
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
    validate_integer(num_workers, "num_workers", minimum=0)
    threads = max(1, usable_cores() // processes - num_workers)
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and processes == 1:  # torchrun sets it to 1 for several processes
        threads = max(1, min(threads, int(wanted)))
    torch.set_num_threads(threads)
    return threads


def usable_cores() -> int:
    """Count the cores that this process may use, which can be fewer than the machine has.

    Returns:
        At least 1.

    Notebook: 05
    """
    if hasattr(os, "sched_getaffinity"):  # Linux: taskset and containers say which
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
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
        loss_fn: Called as ``loss_fn(estimate, clean)``, gives a scalar; ``nn.MSELoss()`` fits.
        max_gradient_norm: Longer gradients are shortened to this length.
        accumulate: Average the gradients of so many batches, then make one step.
        mixed_precision: Let the model work in bfloat16 where that is harmless.
        on_step: Called after every batch with its number in the epoch and its loss.

    Returns:
        Mean training loss of the epoch.

    Raises:
        ValueError: If the loader is empty, the shapes of estimate and clean differ, or the loss
            is not finite.

    Notebook: 05
    """
    model.train()
    device = next(model.parameters()).device
    losses = []
    for step, (noisy, clean) in enumerate(loader):
        noisy = noisy.to(device)
        clean = clean.to(device)
        if step % accumulate == 0:
            optimizer.zero_grad()
            group = min(accumulate, len(loader) - step)  # batches of this step; the last has fewer
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
            estimate = model(noisy)
        validate_same_shape(estimate, clean, ("estimate", "clean"))  # a mean would broadcast
        loss = loss_fn(estimate, clean)
        value = _finite(loss, step)
        (loss / group).backward()
        if step % accumulate == group - 1:
            nn.utils.clip_grad_norm_(model.parameters(), max_gradient_norm)
            optimizer.step()
        losses.append(value)
        if on_step is not None:
            on_step(step, value)
    return _mean(losses)


@torch.no_grad()
def evaluate_loss(model: nn.Module, loader: DataLoader, loss_fn: LossFunction) -> float:
    """Measure the loss without learning; the model's mode is restored afterwards.

    Args:
        model: Maps a noisy batch ``(batch, 1, time)`` to an estimate of the same shape.
        loader: Gives (noisy, clean) batches.
        loss_fn: Called as ``loss_fn(estimate, clean)``, gives a scalar; ``nn.MSELoss()`` fits.

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
    losses = []
    try:
        for step, (noisy, clean) in enumerate(loader):
            estimate = model(noisy.to(device))
            clean = clean.to(device)
            validate_same_shape(estimate, clean, ("estimate", "clean"))
            losses.append(_finite(loss_fn(estimate, clean), step))
    finally:
        model.train(was_training)
    return _mean(losses)


def fit(
    model: nn.Module,
    train_loader: DataLoader,
    validation_loader: DataLoader,
    loss_fn: LossFunction,
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
    the stop: weights, optimizer, learning rate and PyTorch's random numbers go on as they were. A
    time limit cannot promise that, since the learning rate then follows the clock. A run that does
    not resume removes what an earlier one left there to go on from. A finished model of an earlier
    run stays where it is until this run is over: its first epochs are worse, as a rule.

    In a job of several processes (`distributed`) every process calls this with its share of the
    training pairs; they end with the same weights, and the first one writes.

    Args:
        model: The model to train, a `Denoiser` if it is to be kept in a file. It ends with its
            best weights, in eval mode, also when the run is stopped.
        train_loader: Training pairs; its dataset's ``set_epoch`` is called if there is one.
        validation_loader: Validation pairs, the same in every epoch.
        loss_fn: Called as ``loss_fn(estimate, clean)``, gives a scalar; ``nn.MSELoss()`` fits.
        config: Settings of the run.
        checkpoint_path: Where to keep the best weights; None keeps them in memory only.
        resume: Go on from ``.last`` if it exists. What differs from the settings before the stop
            is kept under ``changes`` in the metadata of both files.
        metadata: Plain numbers, strings, lists and dicts to keep in both files.
        on_step: Called after every batch with its number in the run and its loss.
        on_epoch: Called with the history so far after every epoch, and before the first step of a
            resumed run.

    Returns:
        One dict an epoch: epoch, train_loss, validation_loss, lr, seconds (since the start).

    Raises:
        ValueError: If a loader is empty or a loss not finite.
        FileExistsError: If another program trains with the same ``checkpoint_path``.
        KeyboardInterrupt: If the run is stopped; its sentence says what was kept and how to go on.
            After a signal that ends programs (`commands`), SystemExit has the sentence as a note.

    Notebook: 05
    """
    if checkpoint_path is not None:
        as_denoiser(model)  # before an hour of training, and not after it
    if len(train_loader) == 0:
        raise ValueError("train_loader must give at least one batch, got none; add pairs.")
    writes = checkpoint_path is not None and rank() == 0
    with reserved(checkpoint_path) if checkpoint_path and writes else nullcontext():
        learner = share_model(model)  # the model itself, unless there are several processes
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        run = Run(model, optimizer, checkpoint_path, {**(metadata or {}), "config": asdict(config)})
        run.begin(resume=resume)
        schedule = Schedule(optimizer, config, len(train_loader), seconds_before=run.seconds)

        def after_step(step: int, loss: float) -> None:
            step += len(run.history) * len(train_loader)
            schedule.set_rate(step + 1)
            if on_step is not None:
                on_step(step, loss)

        schedule.set_rate(len(run.history) * len(train_loader))
        try:
            if run.history and on_epoch is not None:  # what was before the stop
                on_epoch(run.history)
            while len(run.history) < config.epochs and not schedule.out_of_time(run.seconds):
                choose_epoch(train_loader, len(run.history))
                train_loss = train_one_epoch(
                    learner,
                    train_loader,
                    optimizer,
                    loss_fn,
                    max_gradient_norm=config.max_gradient_norm,
                    accumulate=config.accumulate,
                    mixed_precision=config.mixed_precision,
                    on_step=after_step,
                )
                validation_loss = evaluate_loss(model, validation_loader, loss_fn)
                run.finish_epoch(train_loss, validation_loss, schedule.seconds())
                if on_epoch is not None:
                    on_epoch(run.history)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(run.stop_message()) from None
        except SystemExit as stop:
            stop.add_note(run.stop_message())
            raise
        finally:  # also after a stop or an error the model is as good as it ever was
            model.load_state_dict(run.best)
            model.eval()
        run.finish()
    return run.history


class Run:
    """What a run has done so far: its history and its best weights, in memory and in files.

    Args:
        model: The model that learns.
        optimizer: Its optimizer.
        checkpoint_path: Where the best weights go, and beside it what a stopped run needs to go
            on; None keeps both in memory only.
        metadata: Kept in both files.

    Attributes:
        history: One dict an epoch, as `fit` returns them.
        best: The weights of the epoch with the lowest validation loss.
        waits: Whether the checkpoint is another run's, and stays until this one is over.

    Notebook: 05
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        checkpoint_path: str | os.PathLike | None,
        metadata: dict,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.checkpoint_path = checkpoint_path
        self.metadata = {"run": uuid.uuid4().hex[:12], **metadata}
        self.history: list[dict] = []
        self.best = copy_weights(model)
        self.waits = False

    @property
    def seconds(self) -> float:
        """Seconds from the start to the end of the last epoch, over all sittings."""
        return self.history[-1]["seconds"] if self.history else 0.0

    def begin(self, *, resume: bool) -> None:
        """Begin anew, or take up the weights, optimizer and random numbers of a stopped run.

        Args:
            resume: Go on with a stopped run, if there is one.
        """
        saved = None
        if resume:
            saved = from_first(stopped_run(self.checkpoint_path) if rank() == 0 else None)
        elif self.checkpoint_path is not None and rank() == 0:
            forget_run(self.checkpoint_path)
        if saved is not None:
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.history = saved["history"]
            self.best = saved["best"]
            self.metadata["changes"] = changes_since(saved, self.metadata)
            self.metadata["run"] = saved["metadata"].get("run")
            torch.set_rng_state(saved["rng"])
        if self.checkpoint_path is not None and rank() == 0:
            self.waits = not is_of_run(self.checkpoint_path, self.metadata["run"])

    def finish(self) -> None:
        """Put the best weights in the place of another run's, now that this one is over."""
        if self.waits and self.checkpoint_path is not None and self.history:
            metadata = {**self.metadata, "history": self.history}
            save_checkpoint(self.checkpoint_path, self.model, metadata=metadata)

    def finish_epoch(self, train_loss: float, validation_loss: float, seconds: float) -> None:
        """Write an epoch down; keep its weights if they are the best, and save.

        Args:
            train_loss: This process's mean loss in training.
            validation_loss: The loss on the validation pairs.
            seconds: Since the start of the run.
        """
        row = {
            "epoch": len(self.history),
            "train_loss": average(train_loss),
            "validation_loss": validation_loss,
            "lr": self.optimizer.param_groups[0]["lr"],
            "seconds": seconds,
        }
        row = from_first(row)  # all decide by the same numbers what is best and when to end
        is_best = all(row["validation_loss"] < old["validation_loss"] for old in self.history)
        self.history.append(row)
        if is_best:
            self.best = copy_weights(self.model)
        if self.checkpoint_path is not None and rank() == 0:
            self._save(self.checkpoint_path, is_best)

    def stop_message(self) -> str:
        """Say what a stopped run leaves behind, and how to go on."""
        if not self.history:
            return "Stopped before the first epoch was over: nothing was kept; start again."
        epochs = "1 epoch" if len(self.history) == 1 else f"{len(self.history)} epochs"
        kept = f"Stopped after {epochs}. The model has its best weights so far"
        if self.checkpoint_path is None:
            return f"{kept}. To be able to go on, give checkpoint_path next time."
        path = repr(str(self.checkpoint_path))
        if self.waits:
            return f"{kept}; {path} is still the older one, and resume=True goes on from here."
        return f"{kept}, as has {path}; resume=True goes on from here."

    def _save(self, checkpoint_path: str | os.PathLike, is_best: bool) -> None:
        """Write the best weights if they are new, and what the run needs to go on."""
        metadata = {**self.metadata, "history": self.history}
        if is_best and not self.waits:
            save_checkpoint(checkpoint_path, self.model, metadata=metadata)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "history": self.history,
            "best": self.best,
            "metadata": metadata,
        }
        save_run(checkpoint_path, state)


class Schedule:
    """The learning rate over a run: it follows the steps, or the clock where that is further.

    Args:
        optimizer: Its learning rate is set.
        config: The highest learning rate, the number of epochs and the time limit.
        steps_per_epoch: Steps in one epoch.
        seconds_before: Time that a resumed run had already taken.

    Notebook: 05
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        steps_per_epoch: int,
        *,
        seconds_before: float = 0.0,
    ) -> None:
        self.optimizer = optimizer
        self.config = config
        self.total_steps = config.epochs * steps_per_epoch
        self.start = time.perf_counter() - seconds_before

    def seconds(self) -> float:
        """Seconds since the start of the run."""
        return time.perf_counter() - self.start

    def out_of_time(self, seconds: float) -> bool:
        """Tell whether the time limit, if there is one, has passed after so many seconds."""
        return self.config.max_minutes is not None and seconds >= 60 * self.config.max_minutes

    def set_rate(self, step: int) -> None:
        """Give the optimizer its learning rate for a step, counted from 0 over the whole run."""
        seconds = self.seconds()
        if self.config.max_minutes is not None:
            seconds = from_first(seconds)  # one clock for all, or their weights drift apart
        progress = run_progress(step, self.total_steps, seconds, self.config.max_minutes)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rate_factor(step, progress)


def run_progress(step: int, total_steps: int, seconds: float, max_minutes: float | None) -> float:
    """Say how much of a run is over, by its steps or by the clock, whichever is further.

    Args:
        step: Steps made.
        total_steps: Steps in the whole run.
        seconds: Time taken.
        max_minutes: The time limit; None: no limit.

    Returns:
        0 to 1.

    Notebook: 05
    """
    by_steps = step / total_steps
    by_clock = seconds / (60 * max_minutes) if max_minutes is not None else 0.0
    return min(1.0, max(by_steps, by_clock))


def rate_factor(step: int, progress: float) -> float:
    """Compute the share of the highest learning rate: warm-up, then half a cosine.

    Formula: ``min(1, (step + 1) / 50) * (0.01 + 0.99 * (1 + cos(pi * progress)) / 2)``.

    Args:
        step: Steps made since the start of the run.
        progress: How much of the run is over, 0 to 1.

    Returns:
        Above 0, at most 1.

    Source: Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    ICLR 2017.

    Notebook: 05
    """
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
    return warm_up * cosine


def choose_epoch(loader: DataLoader, epoch: int) -> None:
    """Tell a loader's dataset which epoch is coming, if it wants to know.

    Args:
        loader: Its dataset may have a ``set_epoch``, as `MixtureDataset` has.
        epoch: Counted from 0.

    Notebook: 05
    """
    if hasattr(loader.dataset, "set_epoch"):
        loader.dataset.set_epoch(epoch)


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's weights, so that learning on leaves them alone.

    Args:
        model: Any model.

    Returns:
        Name to tensor, for ``model.load_state_dict``.

    Notebook: 05
    """
    return {name: value.clone() for name, value in model.state_dict().items()}


def _finite(loss: Tensor, step: int) -> float:
    """Read a loss, and refuse one that is not a number: the one look for NaN in a step."""
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(
            f"loss must be finite, got {value} in batch {step}; lower learning_rate, or look for "
            "NaN in the data."
        )
    return value


def _mean(losses: list[float]) -> float:
    """Average, refusing an empty loader."""
    if not losses:
        raise ValueError("loader must give at least one batch, got none; check the dataset's size.")
    return sum(losses) / len(losses)
