"""What the training command can be asked to do: its options, and which of them fit together."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from course_utils.checkpoints import last_path
from course_utils.training import TrainConfig
from course_utils.validate import validate_integer, validate_number

BATCH_SIZE = 8
DEFAULT_MINUTES = 4.0


@dataclass(frozen=True)
class Job:
    """What the command is asked to do; each field is one of its options.

    Args:
        output: Checkpoint to write (.pt); a JSON that says how it was made goes beside it.
        data: Folder with a manifest.csv, such as data/ or data/full.
        speech: Folder of clean voices, in place of ``data``; best one subfolder for each voice.
        noise: Folder of noises, with ``speech``.
        noisy: Folder of noisy recordings, in place of ``data``.
        clean: Folder of their clean versions, files of the same names.
        validation: Folder with speech/ and noise/, or noisy/ and clean/, to validate with; None
            holds out a tenth of the training folders.
        weights: Checkpoint whose weights to begin with (fine-tuning), in place of random ones.
        minutes: Time limit; None is 4 minutes, or no limit where ``epochs`` is given.
        epochs: End after so many rounds of 100 batches; None: the time limit alone.
        batch_size: Pairs in a batch, over all processes together.
        accumulate: Batches whose gradients make one step.
        learning_rate: The highest step size.
        workers: Processes that mix or read pairs, for each process that trains.
        device: "auto", "cpu", "cuda" or "mps".
        mixed_precision: Let the network work in bfloat16.
        seed: Of the weights and of the training pairs.
        tensorboard: Folder for TensorBoard's logs.
        resume: Go on with a run that was stopped.
        force: Replace a checkpoint that is there.

    Raises:
        ValueError: If the options do not fit together, or a number is out of range.

    Notebook: 05
    """

    output: Path
    data: Path | None = None
    speech: Path | None = None
    noise: Path | None = None
    noisy: Path | None = None
    clean: Path | None = None
    validation: Path | None = None
    weights: Path | None = None
    minutes: float | None = None
    epochs: int | None = None
    batch_size: int = BATCH_SIZE
    accumulate: int = 1
    learning_rate: float = 3e-3
    workers: int = 1
    device: str = "auto"
    mixed_precision: bool = False
    seed: int = 0
    tensorboard: Path | None = None
    resume: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be done before anything is loaded."""
        for one, other in (("speech", "noise"), ("noisy", "clean")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(
                    f"{one} and {other} must be given together, got {one} "
                    f"{getattr(self, one)} and {other} {getattr(self, other)}; add the other."
                )
        given = [name for name in ("data", "speech", "noisy") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} exclude each other; give one of them.")
        if self.validation is not None and not {"speech", "noisy"} & set(given):
            raise ValueError(
                f"validation {str(self.validation)!r} needs speech and noise, or noisy and clean; "
                "a manifest.csv has a split of its own."
            )
        validate_integer(self.batch_size, "batch_size", minimum=1)
        validate_integer(self.workers, "workers", minimum=0)
        validate_integer(self.seed, "seed", minimum=0)
        if self.minutes is not None:
            validate_number(self.minutes, "minutes", above=0)
        self.config()  # checks the rest
        self.refuse_targets()

    def refuse_targets(self) -> None:
        """Refuse to write over what nobody said could go: the checkpoint, and what goes beside it.

        Raises:
            ValueError: If a file is there that is not part of a run to go on with.
        """
        output = Path(self.output)
        if output.suffix == ".json" or output.is_dir():
            raise ValueError(
                f"output must be a file that does not end in .json, got {str(output)!r}; the "
                "report goes to a .json beside it, so name it denoiser.pt."
            )
        if self.force:
            return
        report = report_path(output)
        if report.exists() and not (self.resume and _is_report(report)):
            raise ValueError(
                f"output {str(output)!r} has its report in {str(report)!r}, and there is such a "
                "file already; add --force to replace it, or choose another name."
            )
        there = [path for path in (output, last_path(output)) if path.exists()]
        if there and not self.resume:
            raise ValueError(
                f"output {str(there[0])!r} exists already; add --resume to go on with it, "
                "--force to replace it, or choose another name."
            )

    def config(self) -> TrainConfig:
        """Translate into the settings of the training loop."""
        minutes = self.minutes
        if minutes is None and self.epochs is None:
            minutes = DEFAULT_MINUTES
        return TrainConfig(
            epochs=100_000 if self.epochs is None else self.epochs,
            learning_rate=self.learning_rate,
            max_minutes=minutes,
            seed=self.seed,
            accumulate=self.accumulate,
            mixed_precision=self.mixed_precision,
        )


def report_path(output: str | os.PathLike) -> Path:
    """Name the report of a checkpoint.

    Args:
        output: The checkpoint.

    Returns:
        The .json beside it.

    Notebook: 05
    """
    return Path(output).with_suffix(".json")


def _is_report(path: Path) -> bool:
    """Tell whether a file is a report of this command."""
    try:
        return "data_fingerprint" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def read_job(arguments: Sequence[str] | None = None, *, description: str = "") -> Job:
    """Read a command line; what is not given keeps the value it has in `Job`.

    Args:
        arguments: Words after the command; None takes those of the process.
        description: What ``--help`` says first.

    Returns:
        The job.

    Raises:
        SystemExit: If a word is no option, or after ``--help``.
        ValueError: If the options do not fit together, or a number is out of range.

    Notebook: 05
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.train",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="FILE", help="checkpoint to write (.pt)")
    add("--resume", action="store_true", help="go on with a stopped run; begin if there is none")
    add("--force", action="store_true", help="begin anew, and replace a checkpoint that is there")

    add = parser.add_argument_group("what to learn from (default: the course's clips)").add_argument
    add("--data", type=Path, metavar="DIR", help="folder with a manifest.csv, such as data/full")
    add("--speech", type=Path, metavar="DIR", help="clean voices, best a subfolder for each")
    add("--noise", type=Path, metavar="DIR", help="noises to mix with them")
    add("--noisy", type=Path, metavar="DIR", help="noisy recordings, and with the same names in")
    add("--clean", type=Path, metavar="DIR", help="this folder their clean versions")
    add("--validation", type=Path, metavar="DIR", help="folder with speech/ and noise/, or noisy/ "
        "and clean/, to validate with (default: a tenth of the above: whole speakers, recordings "
        "or places of a public set, otherwise by subfolder where there are at least five, or by "
        "file)")  # fmt: skip

    add = parser.add_argument_group("how long").add_argument
    add("--minutes", type=float, metavar="M", help="time limit (default: 4, or none with --epochs)")
    add("--epochs", type=int, metavar="N", help="end after N epochs of 100 batches each")

    add = parser.add_argument_group("how").add_argument
    add("--weights", type=Path, metavar="FILE", help="checkpoint to begin with, for fine-tuning; "
        "a third of the learning rate suits it (default: random weights)")  # fmt: skip
    add("--batch-size", type=int, metavar="N", help="pairs in a batch, all processes together "
        "(default: 8)")  # fmt: skip
    add("--accumulate", type=int, metavar="N", help="batches that make one step (default: 1)")
    add("--learning-rate", type=float, metavar="R", help="highest step size (default: 0.003)")
    add("--workers", type=int, metavar="N", help="processes that mix, for each process that trains "
        "(default: 1)")  # fmt: skip
    add("--device", metavar="D", help="auto, cpu, cuda or mps (default: auto, the NVIDIA GPU if "
        "there is one)")  # fmt: skip
    add("--mixed-precision", action="store_true", help="16 bits inside the network: quicker on "
        "GPUs that have bfloat16")  # fmt: skip
    add("--seed", type=int, metavar="N", help="of weights and mixtures (default: 0)")
    add("--tensorboard", type=Path, metavar="DIR", help="write TensorBoard logs there")
    return Job(**vars(parser.parse_args(arguments)))
