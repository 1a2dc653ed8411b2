"""Print what mixing costs beside a training step: python tests/benchmarks/benchmark_mixing.py.

The aim is a tenth of a step, so that a core that mixes for another one is idle most of the time.
Steps and batches take turns, so that a machine with other work to do slows both alike. Each
augmentation is also left out alone, to show its price.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import torch

from course_utils.augmentation import Augmentation
from course_utils.datasets import NO_AUGMENTATION
from course_utils.losses import denoising_loss
from course_utils.models import Denoiser, MaskNet
from course_utils.train.job import BATCH_SIZE
from course_utils.train.material import SEGMENT_LENGTH, make_datasets

ROUNDS = 50


def main() -> None:
    """Measure steps and batches in turn, then batches without each augmentation."""
    torch.set_num_threads(1)
    step, mix = training_step(), mixing(Augmentation())
    step_ms, full_ms = measure(step, mix)
    share = full_ms / step_ms
    print(f"one training step of {BATCH_SIZE} items {step_ms:.0f} ms on one core, ", end="")
    print(f"mixing them {full_ms:.1f} ms: {share:.1%} (means of {ROUNDS} in turn)")
    print(f"{'augmentation':<24}{'ms an item':>11}{'cost, ms':>10}")
    rows = {"none": NO_AUGMENTATION}
    rows |= {
        f"without {name}": replace(Augmentation(), **{name: 0.0}) for name in asdict(Augmentation())
    }
    for name, augmentation in rows.items():
        all_ms, these_ms = measure(mixing(Augmentation()), mixing(augmentation))
        print(f"{name:<24}{these_ms / BATCH_SIZE:>11.2f}{(all_ms - these_ms) / BATCH_SIZE:>10.2f}")


def training_step() -> Callable[[], None]:
    """One step of the course's model with its loss."""
    model = Denoiser(MaskNet()).train()
    optimizer = torch.optim.AdamW(model.parameters())
    noisy = 0.1 * torch.randn(BATCH_SIZE, 1, SEGMENT_LENGTH)

    def step() -> None:
        optimizer.zero_grad()
        denoising_loss(model(noisy), 0.5 * noisy).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def mixing(augmentation: Augmentation) -> Callable[[], None]:
    """The items of one batch, other ones each time: costs differ from item to item."""
    dataset, _ = make_datasets(size=(ROUNDS + 1) * BATCH_SIZE, augmentation=augmentation)
    indices = iter(range(len(dataset)))

    def mix() -> None:
        for _ in range(BATCH_SIZE):
            dataset[next(indices)]

    return mix


def measure(*works: Callable[[], None]) -> list[float]:
    """Mean milliseconds of each, after one round that does not count."""
    rounds = [[_milliseconds(work) for work in works] for _ in range(ROUNDS + 1)]
    return [statistics.mean(times) for times in zip(*rounds[1:], strict=True)]


def _milliseconds(work: Callable[[], object]) -> float:
    """Time of this thread alone: what else runs on the machine counts less."""
    start = time.thread_time()
    work()
    return 1000 * (time.thread_time() - start)


if __name__ == "__main__":
    main()
