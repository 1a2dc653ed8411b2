"""Settings for all tests: no windows pop up, no test depends on the clock or on its order."""

import os

os.environ["MPLBACKEND"] = "Agg"

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

# A slow machine is no defect, and the same examples every time make a failure repeatable.
hypothesis.settings.register_profile("course", deadline=None, derandomize=True, print_blob=False)
hypothesis.settings.load_profile("course")


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state, whichever ran before it."""
    torch.manual_seed(0)
