"""The command `python -m course_utils.corpus`: list the public sets, or fetch one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from course_utils.commands import command_line
from course_utils.public_sets.catalogue import CATALOGUE, table
from course_utils.public_sets.fetching import fetch, free_space
from course_utils.validate import validate_choice

PUBLIC_DIR = Path(__file__).resolve().parents[2] / "data" / "public"  # not in Git


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: list the public sets, or fetch one.

    Args:
        arguments: What stands behind the command; None takes it from the shell.

    Returns:
        0 after a list or when the set is there, 1 if nothing was fetched for want of ``--yes``, 2
        after an error, which is printed in one sentence, 130 after a stop by Ctrl-C.

    Notebook: 01
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.corpus",
        description="Fetch a public set: its size and licence first, and with --yes the set.",
    )
    parser.add_argument("set", nargs="?", help="name of the set; without one, all are listed")
    parser.add_argument("--list", action="store_true", help="list the sets and the free room")
    parser.add_argument(
        "--folder", type=Path, default=PUBLIC_DIR, help="where to put it (default data/public)"
    )
    parser.add_argument(
        "--archive", type=Path, action="append", default=[],
        help="an archive that you have already, instead of a download; may be repeated",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="fetch it")
    options = parser.parse_args(arguments)
    try:
        with command_line():
            return _run(options)
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    """Say size, licence and source; fetch only what was agreed to."""
    print(f"{free_space(options.folder) / 1e9:.1f} GB free in {options.folder}\n")
    if options.list or options.set is None:
        print(table())
        return 0
    validate_choice(options.set, "set", CATALOGUE)
    chosen = CATALOGUE[options.set]
    print(f"{chosen.name}: {chosen.holds}\nlicence: {chosen.licence}\nsource: {chosen.page}")
    print(f"size: {chosen.size / 1e9:.1f} GB to fetch, {chosen.unpacked / 1e9:.1f} GB unpacked\n")
    if not options.yes and not (options.folder / chosen.name).is_dir():
        print("Nothing was fetched. To fetch it, repeat the command with --yes.")
        return 1
    show = _show_progress if sys.stderr.isatty() else None
    folder = fetch(chosen, options.folder, archives=options.archive, progress=show)
    print(f"{chosen.name} is in {folder}: {chosen.count(folder)} recordings or pairs")
    print(f"the other commands take it as {chosen.options(folder)}")
    return 0


def _show_progress(done: int, total: int) -> None:
    """Count on one line of the terminal."""
    end = "\n" if done >= total else ""
    print(f"\r{done / 1e6:,.0f} of {total / 1e6:,.0f} MB", end=end, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
