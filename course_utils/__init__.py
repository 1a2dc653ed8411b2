"""Small, tested helpers for the six lessons of the noise cancellation course.

One module for each noun of the field: ``course_utils.audio``, ``course_utils.mixing``,
``course_utils.features`` and so on. Import the module or the function that you need;
nothing is imported here, so that a lesson loads only what it uses.
"""

import sys


def _quiet_stop(kind, error, traceback) -> None:
    """Say in a word that Ctrl-C came while a command was still loading its libraries."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nStopped before anything was done.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[:1] == ["-m"]:  # python -m course_utils.train, which loads PyTorch for seconds
    sys.excepthook = _quiet_stop

__version__ = "1.0.0"
