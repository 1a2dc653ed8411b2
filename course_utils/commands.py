"""What every command does alike: names on any console, and stops that leave nothing half done."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def command_line() -> Iterator[None]:
    """Run a command: it prints any name on any console, and a stop lets it tidy up.

    A name that the console has no letters for is printed with backslashes; it would be an error
    otherwise, after the work is done. The signals that end a program, TERM from the system and
    HUP from a closed terminal, become SystemExit, so that what is half-written is removed.

    Yields:
        Nothing.
    """
    for console in (sys.stdout, sys.stderr):
        if hasattr(console, "reconfigure"):
            console.reconfigure(errors="backslashreplace")
    names = ("SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {}
    for number in numbers:
        try:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants to be left alone
                before[number] = signal.signal(number, _stop)
        except ValueError:
            break  # not the main thread: signals are not ours
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: object) -> None:
    """End the program as the shell expects it: 128 and the number of the signal."""
    raise SystemExit(128 + number)
