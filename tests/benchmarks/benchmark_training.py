"""Print what training costs: python tests/benchmarks/benchmark_training.py.

First the throughput of one and of two processes, each with 0, 1 and 2 workers that mix, and what
the mixing of a batch costs beside a step. Then the memory that a corpus of 1, 10 and 100 hours
takes when its files are listed and read piece by piece. The hundred hours are made up: one
file of ten seconds under 36,000 names.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from course_utils.audio import SAMPLE_RATE, save_audio
from course_utils.augmentation import Augmentation
from course_utils.datasets import MixtureDataset
from course_utils.distributed import joined, num_processes, rank, share_model, share_of
from course_utils.losses import denoising_loss
from course_utils.models import Denoiser, MaskNet
from course_utils.train.folders import all_files, list_audio
from course_utils.train.job import BATCH_SIZE
from course_utils.train.material import SEGMENT_LENGTH, make_datasets
from course_utils.training import seed_everything, share_cores, train_one_epoch

FILE_SECONDS = 10
HOURS = (1, 10, 100)
DRAWS = 40


def main() -> None:
    """Run each measurement in a process of its own, so that none warms up another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=30, help="mixed batches for each line")
    parser.add_argument("--threads", default="99", help="at most so many in each process")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, *rest = options.measure
        {"training": measure_training, "memory": measure_memory}[what](*rest)
        return
    print(f"{os.cpu_count()} cores; batches of {BATCH_SIZE} pairs, {SEGMENT_LENGTH} samples each")
    print(f"{'processes':>9}{'threads':>9}{'workers':>9}{'precision':>11}", end="")
    print(f"{'pairs a second':>16}{'mixing':>8}", flush=True)
    runs = [(n, workers, "32") for n in (1, 2) for workers in (0, 1, 2)] + [(1, 1, "16")]
    for processes, workers, bits in runs:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        settings = [str(options.batches), options.threads, str(workers), bits]
        run(*(launcher if processes > 1 else []), __file__, "--measure", "training", *settings)
    print(f"\n{'hours':>6}{'files':>8}{'listing, s':>12}{'index, MB':>11}{'after drawing, MB':>19}"
          f"{'if loaded, MB':>15}", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for hours in HOURS:
            run(__file__, "--measure", "memory", folder, str(hours))


def run(*command: str) -> None:
    """Run this program again in another process and let it print its line."""
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}  # or torchrun explains at length that it sets it
    subprocess.run([sys.executable, *command], check=True, env=quiet)


def measure_training(batches: str, most_threads: str, workers: str, bits: str) -> None:
    """Train for a few batches and print pairs a second, and the share of time that mixing takes."""
    with joined("cpu"):
        n_pairs, n = int(batches) * BATCH_SIZE, num_processes()
        seed_everything(0)
        threads = min(share_cores(int(workers), processes=n), int(most_threads))
        torch.set_num_threads(threads)
        dataset, _ = make_datasets(size=n_pairs, augmentation=Augmentation())
        loader = DataLoader(
            dataset, BATCH_SIZE // n, sampler=share_of(dataset), num_workers=int(workers)
        )
        model = share_model(Denoiser(MaskNet()).to(memory_format=torch.channels_last))
        optimizer = torch.optim.AdamW(model.parameters())
        steps: list[float] = []
        train_one_epoch(
            model, loader, optimizer, denoising_loss, mixed_precision=bits == "16",
            on_step=lambda step, loss: steps.append(time.perf_counter()),
        )  # fmt: skip
        skipped = 4  # starting the workers and the first steps are no throughput
        seconds = steps[-1] - steps[skipped - 1]
        rate = (len(steps) - skipped) * BATCH_SIZE / seconds
        start = time.perf_counter()
        for index in range(24):
            dataset[index]
        mixing = (time.perf_counter() - start) / 24 * BATCH_SIZE / n
        share = mixing / (seconds / (len(steps) - skipped))
        if rank() == 0:
            print(f"{n:>9}{threads:>9}{workers:>9}{bits + ' bits':>11}", end="")
            print(f"{rate:>16.1f}{share:>8.0%}", flush=True)


def measure_memory(folder: str, hours: str) -> None:
    """List so many hours of files, draw pairs from them, and print how the process grew."""
    n_files = int(hours) * 3600 // FILE_SECONDS
    root = make_up(Path(folder) / hours, n_files)
    before, start = resident_mb(), time.perf_counter()
    index = list_audio(root)
    seconds, listed = time.perf_counter() - start, resident_mb()
    files = all_files(index)
    dataset = MixtureDataset(
        list(index.values()), files, segment_length=SEGMENT_LENGTH, size=DRAWS,
        augmentation=replace(Augmentation(), formula_noise=0.0),
    )  # fmt: skip
    for pair in range(DRAWS):
        dataset[pair]
    loaded = n_files * FILE_SECONDS * SAMPLE_RATE * 4 / 1e6
    print(
        f"{hours:>6}{n_files:>8}{seconds:>12.1f}{listed - before:>11.1f}"
        f"{resident_mb() - before:>19.1f}{loaded:>15.0f}",
        flush=True,
    )


def make_up(folder: Path, n_files: int) -> Path:
    """Write one file and give it many names, a hundred to a voice."""
    folder.mkdir()
    first = folder / "first.flac"
    save_audio(first, 0.1 * torch.randn(1, FILE_SECONDS * SAMPLE_RATE), SAMPLE_RATE)
    for k in range(n_files):
        voice = folder / "voices" / f"speaker_{k // 100:04d}"
        voice.mkdir(parents=True, exist_ok=True)
        os.link(first, voice / f"sentence_{k:06d}.flac")
    return folder / "voices"


def resident_mb() -> float:
    """Give the memory that this process uses, in MB; where Linux does not tell, its peak so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
