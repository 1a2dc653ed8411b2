"""Settings for all tests: no windows pop up, no test depends on the clock or on its order."""

import os
import re
from pathlib import Path

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what the browser showed when a test failed, in build/screenshots."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if browser is not None and report.failed:
        folder = Path(__file__).parents[1] / "build" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        pages = [page for context in browser.contexts for page in context.pages]
        for number, page in enumerate(pages):
            name = re.sub(r"\W+", "_", f"{item.name}_{call.when}_{number}")
            page.screenshot(path=folder / f"{name}.png")
    return report
