"""The command `python -m course_utils.evaluate`: score denoisers on voices they never heard."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path

from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.commands import command_line
from course_utils.evaluate.pairs import BASELINES, make_test_pairs, read_pairs, score_pairs
from course_utils.evaluate.tables import format_table, write_csv
from course_utils.metrics import SCORES
from course_utils.targets import reserved
from course_utils.validate import existing_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind the command; None takes it from the shell.

    Returns:
        The exit code: 0 after the tables, 1 when some pairs could not be scored (they are listed,
        and the tables hold the others), 2 after a sentence about what is wrong, 130 when stopped.

    Notebook: 06
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.evaluate",
        description="Score a checkpoint beside three baselines on the test split.",
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", help="a denoiser (.pt); may be repeated"
    )
    parser.add_argument("--noisy", type=Path, help="folder of noisy recordings, with --clean")
    parser.add_argument("--clean", type=Path, help="folder of clean recordings, same names")
    parser.add_argument("--csv", type=Path, help="also write every clip's scores to this file")
    parser.add_argument("--force", action="store_true", help="replace a --csv that exists")
    parser.add_argument("--quick", action="store_true", help="a few pairs only: half a minute")
    options = parser.parse_args(arguments)
    try:
        with command_line(), _target(options):
            return _run(options)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: nothing is written.", file=sys.stderr)
        return 130


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[None]:
    """Keep the name of the CSV for this program, unless that would cost another file."""
    if options.csv is None:
        yield
        return
    existing_folder(options.csv.parent, "the folder of --csv")
    if options.csv.is_dir():
        raise ValueError(f"--csv must be a file, got the folder {str(options.csv)!r}; name one.")
    if options.csv.suffix.lower() != ".csv":
        raise ValueError(f"--csv must end in .csv, got {str(options.csv)!r}; rename it.")
    with reserved(options.csv):
        if options.csv.exists() and not options.force:
            raise ValueError(
                f"--csv must be a new file, got {str(options.csv)!r}, which exists; choose another "
                "name, or replace it with --force."
            )
        yield


def _run(options: argparse.Namespace) -> int:
    """Score and print; everything that can be wrong is checked before the long part."""
    if (options.noisy is None) != (options.clean is None):
        raise ValueError("--noisy and --clean belong together, got only one; pass both folders.")
    methods = dict(BASELINES)
    for path in options.checkpoint or [DEFAULT_CHECKPOINT]:
        methods[str(path.stem if path == DEFAULT_CHECKPOINT else path)] = load_checkpoint(path)
    failed: list[Exception] = []
    if options.noisy is not None:
        at_most = 20 if options.quick else None
        pairs = read_pairs(options.noisy, options.clean, at_most=at_most, on_failure=failed.append)
    elif options.quick:
        pairs = make_test_pairs(snrs_db=(0, 10), sentences_per_noise=1, noises_per_kind=1)
    else:
        pairs = make_test_pairs()
    started = time.perf_counter()
    show = _show_progress if sys.stderr.isatty() else None
    rows = score_pairs(pairs, methods, on_pair=show, on_failure=failed.append)
    if rows:
        _print_tables(rows, time.perf_counter() - started, recorded=options.noisy is not None)
        if options.csv is not None:
            write_csv(options.csv, rows)
    if failed:
        n_scored = len(rows) // len(methods)
        print(f"error: {_count(failed)} not scored, {n_scored} scored:", file=sys.stderr)
        print(*(f"  {error}" for error in failed), sep="\n", file=sys.stderr)
    if not rows:
        return 2
    return 1 if failed else 0


def _print_tables(rows: list[dict], seconds: float, *, recorded: bool) -> None:
    """Print a table of every score, for recorded pairs or for the test split."""
    print(f"{_count({row['name'] for row in rows})}, {seconds:.0f} s")
    for score in SCORES:
        title = score.upper().replace("_", "-")
        if recorded:
            print(f"\n{title}\n{format_table(rows, score=score, by=None, unit='name')}")
            continue
        print(f"\n{title} by SNR\n{format_table(rows, score=score, by='snr_db')}")
        by_kind = format_table(rows, score=score, by="method", lines="kind", overall=False)
        print(f"\n{title} by kind of noise\n{by_kind}")


def _count(pairs: Sized) -> str:
    """Count pairs in words."""
    return f"{len(pairs)} pair{'s' * (len(pairs) != 1)}"


def _show_progress(done: int, total: int) -> None:
    """Count on one line of the terminal."""
    print(f"\r{done} of {total} pairs", end="\n" if done == total else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
