"""Compare networks and losses under one budget: python tests/benchmarks/compare_models.py.

Every run gets the same mixtures in the same order, the same optimiser and the same seconds of
arithmetic on one core, and is scored on the validation split: a design that was chosen on the
test clips could not be tested on them any more. Takes three quarters of an hour; --seconds 5 shows
the way.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from designs import DESIGNS
from judges import dnsmos
from torch import Tensor, nn

from course_utils.audio import SAMPLE_RATE
from course_utils.augmentation import Augmentation
from course_utils.evaluate.pairs import make_test_pairs, score_pairs
from course_utils.evaluate.tables import write_csv
from course_utils.losses import compressed_mse, denoising_loss, magnitude_mse
from course_utils.metrics import pesq
from course_utils.models import Denoiser, count_parameters
from course_utils.train.job import BATCH_SIZE
from course_utils.train.material import SEGMENT_LENGTH, make_datasets
from course_utils.training import seed_everything

LOSSES = {
    "magnitude MSE": magnitude_mse,
    "compressed MSE": compressed_mse,
    "compressed + complex + SI-SDR": partial(
        denoising_loss, correlation_weight=0.0, disturbance_weight=0.0
    ),
    "the same + two judges": denoising_loss,
}
COURSE, COURSE_LOSS = "course", "the same + two judges"
COLUMNS = ("design", "loss", "weights", "steps", "hours heard", "real-time factor")
COLUMNS += ("PESQ", "ESTOI", "SI-SDR", "DNSMOS", "PESQ of clean speech")
SCORES = ("pesq", "estoi", "si_sdr")


class Mixtures:
    """Batches of (noisy, clean), mixed once and kept: every run gets the same ones."""

    def __init__(self) -> None:
        self.dataset, _ = make_datasets(size=1_000_000, augmentation=Augmentation())
        self.batches: list[tuple[Tensor, Tensor]] = []
        self.seconds = 0.0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the kept batches first, then mix on without end."""
        yield from self.batches
        while True:
            start, first = time.thread_time(), len(self.batches) * BATCH_SIZE
            pairs = [self.dataset[first + n] for n in range(BATCH_SIZE)]
            batch = tuple(torch.stack(waveforms) for waveforms in zip(*pairs, strict=True))
            self.seconds += time.thread_time() - start
            self.batches.append(batch)
            yield batch


def train(model: nn.Module, loss_fn: Callable, mixtures: Mixtures, seconds: float) -> int:
    """Train for so many seconds of arithmetic, other work not counted; return the steps."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    spent, steps = 0.0, 0
    model.train()
    for noisy, clean in mixtures:
        start = time.thread_time()
        falling = 0.01 + 0.99 * (1 + math.cos(math.pi * min(1.0, spent / seconds))) / 2
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, (steps + 1) / 50) * falling
        optimizer.zero_grad()
        loss_fn(model(noisy), clean).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
        spent += time.thread_time() - start
        if spent >= seconds:
            break
    model.eval()
    return steps


def real_time_factor(model: nn.Module) -> float:
    """Seconds of one core for each second of sound: the median over ten runs."""
    waveform, times = 0.1 * torch.randn(1, 10 * SAMPLE_RATE), []
    with torch.inference_mode():
        for _ in range(11):
            start = time.thread_time()
            model(waveform)
            times.append(time.thread_time() - start)
    return statistics.median(times[1:]) / 10


def measure(model: Denoiser, pairs: list) -> dict[str, float]:
    """Average the scores of a model, and the PESQ of clean speech that went through it."""
    rows = score_pairs(pairs, {"model": model}, scores=SCORES)
    means = {score: statistics.mean(row[score] for row in rows) for score in SCORES}
    clean = [pair.clean for pair in {pair.voice: pair for pair in pairs}.values()]
    with torch.inference_mode():
        untouched = [pesq(estimate=model(c), reference=c, sample_rate=SAMPLE_RATE) for c in clean]
        opinions = [dnsmos(model(pair.noisy))["overall"] for pair in pairs]
    means["dnsmos"], means["clean_pesq"] = statistics.mean(opinions), statistics.mean(untouched)
    return means


def main() -> None:
    """Train and score every design with the course's loss, and the course's with every loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=180.0, help="arithmetic for each run")
    parser.add_argument("--csv", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    if options.csv is not None and not options.csv.parent.is_dir():
        parser.error(f"--csv must lie in a folder that exists, got {str(options.csv)!r}")
    torch.set_num_threads(1)
    mixtures = Mixtures()
    pairs = make_test_pairs(split="validation", sentences_per_noise=1)
    runs = [(design, COURSE_LOSS) for design in DESIGNS]
    runs += [(COURSE, loss) for loss in LOSSES if loss != COURSE_LOSS]
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    table = []
    for design, loss in runs:
        seed_everything(0)
        model = DESIGNS[design]()
        steps = train(model, LOSSES[loss], mixtures, options.seconds)
        row = {"design": design, "loss": loss, "parameters": count_parameters(model)}
        row |= {"steps": steps, "hours": steps * BATCH_SIZE * SEGMENT_LENGTH / SAMPLE_RATE / 3600}
        row |= {"real_time_factor": real_time_factor(model)} | measure(model, pairs)
        table.append(row)
        print(markdown(row), flush=True)
        if options.csv is not None:
            write_csv(options.csv, table)
    print(
        f"{len(pairs)} validation pairs; a step of the course's design "
        f"{options.seconds / table[0]['steps']:.3f} s, "
        f"mixing its batch {mixtures.seconds / len(mixtures.batches):.3f} s"
    )


def markdown(row: dict) -> str:
    """One row of the table, as the page model_comparison.md shows it."""
    return (
        f"| {row['design']} | {row['loss']} | {int(row['parameters']):,} | {row['steps']} "
        f"| {float(row['hours']):.1f} | {float(row['real_time_factor']):.4f} "
        f"| {float(row['pesq']):.2f} | {float(row['estoi']):.3f} | {float(row['si_sdr']):.1f} "
        f"| {float(row['dnsmos']):.2f} | {float(row['clean_pesq']):.2f} |"
    )


if __name__ == "__main__":
    main()
