"""Train the course's model from the command line: the lesson's run, or the long one.

The checkpoint that lesson 5 makes, and the one in data/pretrained, come from this one script::

    python -m course_utils.train --output denoiser.pt
    python -m course_utils.train --data data/full --minutes 120 --output data/pretrained/denoiser.pt
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from course_utils.audio import SAMPLE_RATE
from course_utils.corpus import DATA_DIR, select
from course_utils.datasets import Augmentation, MixtureDataset, Remixed
from course_utils.evaluate import make_test_pairs, score_pairs
from course_utils.losses import denoising_loss
from course_utils.metrics import summarize
from course_utils.models import Denoiser, MaskNet, count_parameters
from course_utils.training import (
    TrainConfig,
    fit,
    save_checkpoint,
    seed_everything,
    share_cores,
)

SEGMENT_LENGTH = 2 * SAMPLE_RATE
BATCH_SIZE = 8
BATCHES_PER_EPOCH = 100
# A little below what the test asks for: a network is poor at the edges of what it has met.
TRAIN_SNR_DB = (-8.0, 20.0)
VALIDATION_CLIPS = 40
SCORES = ("pesq", "estoi", "si_sdr")


def make_datasets(
    data_dir: str | os.PathLike = DATA_DIR,
    *,
    size: int = BATCH_SIZE * BATCHES_PER_EPOCH,
    segment_length: int = SEGMENT_LENGTH,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> tuple[MixtureDataset, MixtureDataset]:
    """Load the clips of the training and validation split and mix pairs from them.

    Args:
        data_dir: Folder with a manifest.csv.
        size: Pairs in an epoch of training.
        segment_length: Length of each pair, in samples.
        augmentation: How often each change is made to training pairs; None makes none.
        seed: Seed of the training mixtures; the validation pairs are the same for every seed.

    Returns:
        The training set, other pairs in every epoch, and the validation set, always the same
        40 pairs, without augmentation.

    Raises:
        ValueError: If the folder has no manifest or a split is empty.

    Notebook: 05
    """
    sets = []
    for split, n_pairs, snr_db, changes in (
        ("train", size, TRAIN_SNR_DB, augmentation),
        ("validation", VALIDATION_CLIPS, (-5.0, 20.0), None),
    ):
        voices: dict[str, list] = {}
        for clip in select(role="speech", split=split, data_dir=data_dir):
            voices.setdefault(clip.kind, []).append(clip.load())
        sets.append(
            MixtureDataset(
                list(voices.values()),
                [clip.load() for clip in select(role="noise", split=split, data_dir=data_dir)],
                rooms=[clip.load() for clip in select(role="room", split=split, data_dir=data_dir)],
                segment_length=segment_length,
                snr_db=snr_db,
                size=n_pairs,
                seed=seed if split == "train" else 0,  # runs with other seeds stay comparable
                augmentation=changes,
            )
        )
    return sets[0], sets[1]


def train(
    output: str | os.PathLike,
    *,
    data_dir: str | os.PathLike = DATA_DIR,
    minutes: float = 4.0,
    learning_rate: float = 3e-3,
    seed: int = 0,
    resume: bool = False,
) -> list[dict]:
    """Train one denoiser for so many minutes and write it, with a JSON that says how and how well.

    Args:
        output: Checkpoint to write; the JSON goes beside it.
        data_dir: Folder with a manifest.csv: data/, or the full set.
        minutes: Time limit; the learning rate falls in step with it.
        learning_rate: The highest step size.
        seed: Of the weights and of the mixtures.
        resume: Go on with a run that was stopped.

    Returns:
        The history of the run, one dict an epoch.

    Raises:
        ValueError: If the data or a setting cannot be used.

    Notebook: 05
    """
    seed_everything(seed)
    share_cores(num_workers=1)
    train_set, validation_set = make_datasets(
        data_dir,
        size=BATCH_SIZE * BATCHES_PER_EPOCH,
        segment_length=SEGMENT_LENGTH,
        augmentation=Augmentation(),
        seed=seed,
    )
    train_loader = Remixed(DataLoader(train_set, BATCH_SIZE, num_workers=1))
    validation_loader = DataLoader(validation_set, BATCH_SIZE)
    # This order of the weights in memory makes the convolutions a tenth quicker.
    model = Denoiser(MaskNet()).to(memory_format=torch.channels_last)
    config = TrainConfig(
        epochs=100_000, learning_rate=learning_rate, max_minutes=minutes, seed=seed
    )
    history = fit(
        model, train_loader, validation_loader, denoising_loss, config,
        checkpoint_path=output, resume=resume, on_epoch=_print_epoch,
    )  # fmt: skip
    steps = len(history) * len(train_loader)
    hours = steps * BATCH_SIZE * SEGMENT_LENGTH / SAMPLE_RATE / 3600
    report = {
        "command": " ".join(["python -m course_utils.train", *sys.argv[1:]]),
        "data": _describe(data_dir),
        "parameters": count_parameters(model),
        "steps": steps,
        "hours_of_mixtures": round(hours, 1),  # half of them with the noises exchanged
        "minutes": round(history[-1]["seconds"] / 60, 1),
        "best_validation_loss": min(row["validation_loss"] for row in history),
        "config": asdict(config),
        "augmentation": asdict(Augmentation()),
        "commit": _commit(),
        "torch": str(torch.__version__),
    }
    report["test_scores"] = score(model)
    save_checkpoint(output, model, metadata=report)
    Path(output).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    return history


def score(model: Denoiser) -> dict[str, float]:
    """Measure a denoiser on the test split of data/: one sentence in every noise, at every SNR.

    Args:
        model: The denoiser.

    Returns:
        Mean PESQ, ESTOI and SI-SDR (dB) of what it gives, and of the noisy clips as input_pesq
        and so on.

    Notebook: 05
    """
    rows = score_pairs(make_test_pairs(sentences_per_noise=1), {"": model}, scores=SCORES)
    names = [prefix + name for name in SCORES for prefix in ("input_", "")]
    means = summarize(rows, scores=names, num_resamples=1)[0]
    return {name: round(means[name], 3) for name in names}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the command; None takes those of the process.

    Returns:
        0, or 2 after an error, which is printed in one sentence.

    Notebook: 05
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write (.pt)")
    parser.add_argument("--data", type=Path, default=DATA_DIR, help="folder with a manifest.csv")
    parser.add_argument("--minutes", type=float, default=4.0, help="time limit (default 4)")
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on with a stopped run")
    options = parser.parse_args(arguments)
    try:
        train(
            options.output,
            data_dir=options.data,
            minutes=options.minutes,
            learning_rate=options.learning_rate,
            seed=options.seed,
            resume=options.resume,
        )
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _print_epoch(history: list[dict]) -> None:
    """Print the newest line of the history."""
    row = history[-1]
    print(
        f"epoch {row['epoch'] + 1:4d}  {row['seconds'] / 60:6.1f} min"
        f"  train {row['train_loss']:.4f}  validation {row['validation_loss']:.4f}"
        f"  lr {row['lr']:.1e}",
        flush=True,
    )


def _describe(data_dir: str | os.PathLike) -> str:
    """Say how much a run could learn from: minutes of speech and noise in the training split."""
    minutes = {
        role: sum(c.duration for c in select(role=role, split="train", data_dir=data_dir)) / 60
        for role in ("speech", "noise")
    }
    return f"{minutes['speech']:.0f} min of speech, {minutes['noise']:.0f} min of recorded noise"


def _commit() -> str:
    """Name the commit of the code, or say that there is none."""
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent,
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
