r"""Train a denoiser from the command line: the lesson's run, your own data, several GPUs.

The course's clips, four minutes; the same for an hour, with the full set of clips::

    python -m course_utils.train --output denoiser.pt
    python -m course_utils.train --output denoiser.pt --data data/full --minutes 60

Folders of your own, any size: only lengths are kept in memory, and sound is read when drawn::

    python -m course_utils.train --output denoiser.pt --speech VOICES --noise NOISES --epochs 300
    python -m course_utils.train --output denoiser.pt --noisy NOISY --clean CLEAN --epochs 300

Fine-tuning: begin with a checkpoint, and take smaller steps than from random weights::

    python -m course_utils.train --output mine.pt --weights data/pretrained/denoiser.pt \
        --learning-rate 0.001 --minutes 10 --speech VOICES --noise NOISES

Several GPUs, or several processes on one processor; the batch is shared between them::

    torchrun --nproc-per-node=2 -m course_utils.train --output denoiser.pt --batch-size 16

After a stop, the same command with --resume goes on after the last finished epoch. A budget in
epochs then gives the same model as a run without the stop, bit for bit on one processor; with a
budget in minutes the learning rate follows the clock, and no run repeats another exactly.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from course_utils.commands import command_line
from course_utils.train.job import read_job
from course_utils.train.run import last_sentence, train


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the command; None takes those of the process.

    Returns:
        0; 2 after an error, which is printed in one sentence; 130 after a stop by Ctrl-C, 143 and
        129 after one by SIGTERM or SIGHUP, each with the last finished epoch kept.

    Notebook: 05
    """
    job = None
    try:
        with command_line(), one_line_warnings():
            job = read_job(arguments, description=__doc__)
            train(job)
    except KeyboardInterrupt as stop:
        _say_stop(str(stop))
        return 130
    except SystemExit as stop:
        if job is None:  # after --help, or a word that is no option
            raise
        _say_stop("".join(getattr(stop, "__notes__", [])))
        return stop.code if isinstance(stop.code, int) else 1
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {last_sentence(error)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        print(
            f"error: a worker was lost ({last_sentence(error)}); the same command with --resume "
            "goes on after the last finished epoch.",
            file=sys.stderr,
        )
        return 2
    return 0


def _say_stop(sentence: str) -> None:
    """Say what a stop leaves behind."""
    sentence = sentence or "Stopped before the training began."
    print("\n" + sentence.replace("resume=True", "--resume"), file=sys.stderr)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print a warning as a sentence, without the line of code that it comes from.

    Yields:
        Nothing, while warnings are printed so.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        yield


if __name__ == "__main__":
    sys.exit(main())
