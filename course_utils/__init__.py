"""Small, tested helpers for the six lessons of the noise cancellation course.

One module for each noun of the field: ``course_utils.audio``, ``course_utils.mixing``,
``course_utils.features`` and so on. Import the module or the function that you need;
nothing is imported here, so that a lesson loads only what it uses.
"""

import os
import signal
import sys


def _stop(number: int, frame: object) -> None:
    """Handle Ctrl-C: while a command still loads its libraries, it ends without a traceback.

    An exception would not do: some library or other, trying whether there is a third one, takes
    it for the answer.
    """
    if hasattr(sys.modules["__main__"], "main"):  # loaded
        raise KeyboardInterrupt
    print("\nStopped before anything was done.", file=sys.stderr, flush=True)
    os._exit(130)


# For seconds, python -m course_utils.train loads PyTorch: until then its name is "-m".
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _stop)

__version__ = "1.0.0"
