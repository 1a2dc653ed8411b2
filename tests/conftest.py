"""Settings for all tests: no windows pop up, one thread, no test depends on the clock or its order.

The settings for the browser are in browser/conftest.py; no other test loads a browser.
"""

import itertools
import os
import signal

os.environ["MPLBACKEND"] = "Agg"
# Before PyTorch is loaded, and for every process that a test starts. Networks as small as these
# gain nothing from a second thread, and beside a busy core the two wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"

# A shell that runs the tests in the background lets Ctrl-C be ignored, by every program below it
# too, and some tests stop a program that way.
signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

# A slow machine is no defect, and the same examples every time make a failure repeatable.
hypothesis.settings.register_profile("course", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("course")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Say which tests stay in one process with their fixtures: a file, or a lesson in a browser."""
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        group = parameters.get("lesson", item.path.stem)
        item.add_marker(pytest.mark.xdist_group(str(group)))


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def one_thread():
    """A test that chooses its number of threads leaves the next one alone."""
    yield
    torch.set_num_threads(1)


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by half a second whenever somebody looks at it."""
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: 0.5 * next(ticks))
