"""One training run: material, model and loop put together, and a report of how it was made."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from course_utils import __version__
from course_utils.audio import SAMPLE_RATE
from course_utils.augmentation import Augmentation
from course_utils.checkpoints import (
    is_of_run,
    load_checkpoint,
    save_checkpoint,
    save_run,
    stopped_run,
)
from course_utils.corpus import DATA_DIR
from course_utils.distributed import gathered, joined, num_processes, rank, share_of
from course_utils.evaluate.pairs import make_test_pairs, score_pairs
from course_utils.losses import denoising_loss
from course_utils.metrics import summarize
from course_utils.models import Denoiser, MaskNet, count_parameters
from course_utils.targets import reserved, write_whole
from course_utils.train.job import BATCH_SIZE, Job, report_path
from course_utils.train.material import (
    PAIRS_PER_EPOCH,
    SEGMENT_LENGTH,
    Material,
    from_folders,
    from_manifest,
    from_pairs,
)
from course_utils.train.sittings import describe, find_stopped, go_on
from course_utils.training import fit, seed_everything, share_cores

BATCHES_PER_EPOCH = PAIRS_PER_EPOCH // BATCH_SIZE
SCORES = ("pesq", "estoi", "si_sdr")


def train(job: Job) -> list[dict]:
    """Train one denoiser and write it, with a JSON that says how and how well.

    Args:
        job: What to do.

    Returns:
        The history of the run, one dict an epoch.

    Raises:
        ValueError: If the data or a setting cannot be used.

    Notebook: 05
    """
    with ExitStack() as stack:
        with joined(job.device) as device:
            is_first = rank() == 0
            if is_first:
                stack.enter_context(reserved(job.output))
                job.refuse_targets()  # once more: another program may have been quicker
            model, report, history = _train_together(job, device)
        if is_first:  # the others are done
            _finish(job, model, report)
    return history


def _finish(job: Job, model: Denoiser, report: dict) -> None:
    """Score a trained model, and write it with its report."""
    try:
        report["test_scores"] = score(model.cpu())
    except ImportError as error:  # PESQ is built from C, and not every machine can
        print(f"not scored: {error}")
        report["test_scores"] = None
    except (KeyboardInterrupt, SystemExit) as stop:
        sentence = (
            f"Stopped while the test clips were scored: {str(job.output)!r} is trained, but has "
            "no scores and no report yet. The same command with resume=True writes them."
        )
        if isinstance(stop, KeyboardInterrupt):
            raise KeyboardInterrupt(sentence) from None
        stop.add_note(sentence)
        raise
    save_checkpoint(job.output, model, metadata=report)
    write_whole(report_path(job.output), json.dumps(report, indent=2) + "\n")


def _train_together(job: Job, device: torch.device) -> tuple[Denoiser, dict, list[dict]]:
    """Train in one of the processes that share the work; only the first one speaks and writes."""
    board = _open_board(job.tensorboard) if rank() == 0 else None
    processes, batch_size = num_processes(), job.batch_size
    if batch_size % processes:
        raise ValueError(
            f"batch_size must be a multiple of the number of processes, {processes}, got "
            f"{batch_size}; try {processes * math.ceil(batch_size / processes)}."
        )
    if job.mixed_precision:
        _check_precision(device)
    seed_everything(job.seed)
    share_cores(job.workers, processes=int(os.environ.get("LOCAL_WORLD_SIZE", 1)))
    saved = find_stopped(job)
    material = _find_material(job, saved["metadata"].get("held_out") if saved else None)
    train_loader = DataLoader(
        material.train_set, batch_size // processes, sampler=share_of(material.train_set),
        num_workers=job.workers, pin_memory=device.type == "cuda",
    )  # fmt: skip
    validation_loader = DataLoader(material.validation_set, batch_size)
    model = Denoiser(MaskNet()) if job.weights is None else load_checkpoint(job.weights)
    # This order of the weights in memory makes the convolutions a tenth quicker.
    model.to(device)
    model.to(memory_format=torch.channels_last)
    report: dict = {
        "run": uuid.uuid4().hex[:12],
        "command": " ".join(["python -m course_utils.train", *sys.argv[1:]]),
        "data": material.about,
        "data_fingerprint": material.fingerprint,
        "held_out": material.held_out,
        "left_out": [],
        "parameters": count_parameters(model),
        "batch_size": batch_size,
        "processes": processes,
        "device": str(device),
        "augmentation": asdict(Augmentation()) if job.noisy is None else None,
        "started_from": model.metadata if job.weights is not None else None,
        "version": __version__,
        "commit": _commit(),
        "torch": str(torch.__version__),
        "config": asdict(job.config()),
    }
    if saved is not None:
        go_on(saved, report)
    if rank() == 0:
        print(_plan(job, report, len(train_loader), saved), flush=True)
    tell = _reporter(board, report) if rank() == 0 else None

    def after_epoch(history: list[dict]) -> None:
        lost = [*material.train_set.left_out(), *material.validation_set.left_out()]
        known = sorted({*report["left_out"], *gathered(lost)})
        if known != report["left_out"]:
            report["left_out"][:] = known
            state = stopped_run(job.output) if rank() == 0 else None
            if state is not None:  # the epoch was saved before this was known
                state["metadata"]["left_out"] = known
                save_run(job.output, state)
        if tell is not None:
            tell(history)

    history = fit(
        model, train_loader, validation_loader, denoising_loss, job.config(),
        checkpoint_path=job.output, resume=job.resume, metadata=report, on_epoch=after_epoch,
    )  # fmt: skip
    steps = len(history) * len(train_loader)
    hours = steps * batch_size * SEGMENT_LENGTH / SAMPLE_RATE / 3600
    report |= {
        "steps": steps,
        "hours_of_mixtures": round(hours, 1),
        "minutes": round(history[-1]["seconds"] / 60, 1),
        "best_validation_loss": min(row["validation_loss"] for row in history),
    }
    return model, report, history


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


def _find_material(job: Job, held_out: dict | None) -> Material:
    """Read or list the data that the job names."""
    size = job.batch_size * BATCHES_PER_EPOCH
    if job.speech is not None and job.noise is not None:
        return from_folders(
            job.speech, job.noise, validation=job.validation, held_out=held_out,
            size=size, segment_length=SEGMENT_LENGTH, seed=job.seed,
        )  # fmt: skip
    if job.noisy is not None and job.clean is not None:
        return from_pairs(
            job.noisy, job.clean, validation=job.validation, held_out=held_out,
            size=size, segment_length=SEGMENT_LENGTH, seed=job.seed,
        )  # fmt: skip
    return from_manifest(
        job.data or DATA_DIR, size=size, segment_length=SEGMENT_LENGTH, seed=job.seed
    )


def _check_precision(device: torch.device) -> None:
    """Refuse mixed precision where the GPU would only pretend to have it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError(
            "mixed_precision needs a GPU with bfloat16 (NVIDIA's of 2020 and later), got "
            f"{torch.cuda.get_device_name(device)!r}; leave it out."
        )


def _plan(job: Job, report: dict, batches: int, saved: dict | None) -> str:
    """Say in a few lines what the command is about to do."""
    config, processes = job.config(), report["processes"]
    ends = [f"{config.max_minutes:g} minutes"] if config.max_minutes is not None else []
    ends += [f"{config.epochs} epochs"] if job.epochs is not None else []
    precision = ", mixed precision" if job.mixed_precision else ""
    sharing = f", {job.batch_size // processes} in each process" if processes > 1 else ""
    each = " in each" if processes > 1 else ""
    step = f"every {job.accumulate} batches" if job.accumulate > 1 else "every batch"
    lines = {
        "learns from": report["data"],
        "works on": f"{report['device']}{precision}, processes: {processes}, threads{each}: "
        f"{torch.get_num_threads()}, workers{each}: {job.workers}",
        "batch": f"{job.batch_size} pairs of {SEGMENT_LENGTH / SAMPLE_RATE:g} s{sharing}; a step "
        f"{step}; {batches} batches an epoch",
        "ends after": " or ".join(ends),
        "writes": f"{job.output}, after every epoch that is the best so far",
    }
    if not is_of_run(job.output, report["run"]):
        lines["writes"] = f"{job.output}, at the end: until then the older one stays there"
    if saved is not None:
        lines["goes on"] = f"\n{'':<12} ".join(describe(saved, report, batches))
    else:
        lines["begins with"] = "random weights" if job.weights is None else str(job.weights)
        if job.resume:
            lines["goes on"] = "from the beginning: there is no stopped run"
    return "\n".join(f"{name:<12} {text}" for name, text in lines.items())


def _open_board(folder: Path | None):
    """Open TensorBoard's log, or say what is missing."""
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ValueError(
            f"tensorboard {str(folder)!r} needs a package that is not installed; run "
            "`python -m pip install tensorboard`."
        ) from error
    return SummaryWriter(str(folder))


def _reporter(board, report: dict) -> Callable[[list[dict]], None]:
    """Make the function that tells of every epoch, on the screen and in TensorBoard's log."""
    if board is not None:
        board.add_text("run", f"```\n{json.dumps(report, indent=2)}\n```")

    def tell(history: list[dict]) -> None:
        row = history[-1]
        print(
            f"epoch {row['epoch'] + 1:4d}  {row['seconds'] / 60:6.1f} min"
            f"  train {row['train_loss']:.4f}  validation {row['validation_loss']:.4f}"
            f"  lr {row['lr']:.1e}",
            flush=True,
        )
        if board is not None:
            for name in ("train_loss", "validation_loss", "lr"):
                board.add_scalar(name, row[name], row["epoch"] + 1)
            board.flush()

    return tell


def last_sentence(error: Exception) -> str:
    """Take what counts from an error; one from a worker of the loader brings its whole past.

    Args:
        error: The error.

    Returns:
        Its last line.
    """
    return str(error).strip().splitlines()[-1].removeprefix(f"{type(error).__name__}: ")


def _commit() -> str:
    """Name the commit of the code, or say that there is none."""
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent,
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
