"""Print what mixing costs beside a training step: python tests/benchmarks/benchmark_mixing.py.

The aim is a tenth of a step, so that a core that mixes for another one is idle most of the time.
Each augmentation is also left out alone, to show its price.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import torch

from course_utils.datasets import NO_AUGMENTATION, Augmentation
from course_utils.losses import denoising_loss
from course_utils.models import Denoiser, MaskNet
from course_utils.train import BATCH_SIZE, SEGMENT_LENGTH, make_datasets

ITEMS = 400


def main() -> None:
    """Measure a step, a batch, and a batch without each augmentation in turn."""
    torch.set_num_threads(1)
    step_ms = measure_step()
    print(f"one training step of {BATCH_SIZE} items: {step_ms:.0f} ms on one core (median)")
    full_ms = measure_mixing(Augmentation())
    print(f"{'augmentation':<24}{'ms an item':>11}{'of a step':>11}{'cost, ms':>10}")
    rows = {"all": Augmentation(), "none": NO_AUGMENTATION}
    rows |= {
        f"without {name}": replace(Augmentation(), **{name: 0.0}) for name in asdict(Augmentation())
    }
    for name, augmentation in rows.items():
        item_ms = full_ms if name == "all" else measure_mixing(augmentation)
        share = BATCH_SIZE * item_ms / step_ms
        print(f"{name:<24}{item_ms:>11.2f}{share:>11.1%}{full_ms - item_ms:>10.2f}")


def measure_step() -> float:
    """Milliseconds of one step of the course's model with its loss."""
    model = Denoiser(MaskNet()).train()
    optimizer = torch.optim.AdamW(model.parameters())
    noisy = 0.1 * torch.randn(BATCH_SIZE, 1, SEGMENT_LENGTH)

    def step() -> None:
        optimizer.zero_grad()
        denoising_loss(estimate=model(noisy), reference=0.5 * noisy).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return statistics.median(_milliseconds(step) for _ in range(20))


def measure_mixing(augmentation: Augmentation) -> float:
    """Milliseconds of one item, on average: costs differ from item to item."""
    dataset, _ = make_datasets(size=ITEMS, augmentation=augmentation)
    return statistics.mean(_milliseconds(lambda i=i: dataset[i]) for i in range(ITEMS))


def _milliseconds(work: Callable[[], object]) -> float:
    """Time of this thread alone: what else runs on the machine counts less."""
    start = time.thread_time()
    work()
    return 1000 * (time.thread_time() - start)


if __name__ == "__main__":
    main()
