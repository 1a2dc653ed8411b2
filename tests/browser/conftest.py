"""The browser tests find their Chromium and their JupyterLab here."""

import os
import re

import pytest
from lab import ROOT, SamplesLost, chromium, find_chromium, jupyterlab, new_page


@pytest.fixture(scope="module")
def chromium_options():
    """More words for Chromium's command line; a test file may say its own."""
    return []


@pytest.fixture(scope="module")
def browser(chromium_options):
    """Chromium. Where there is none, the test is skipped, unless COURSE_REQUIRE_BROWSER is set."""
    if find_chromium() is None:
        missing = pytest.fail if os.environ.get("COURSE_REQUIRE_BROWSER") else pytest.skip
        missing("no Chromium: install Debian's chromium, or run `playwright install chromium`")
    with chromium(*chromium_options) as running:
        yield running


@pytest.fixture
def fresh_page(browser):
    """A page for one test; when the test fails, it is still open for its picture."""
    with new_page(browser) as page:
        yield page


@pytest.fixture(scope="module")
def lab_source():
    """The notebooks that JupyterLab gets copies of; a test file may have its own."""
    return ROOT / "notebooks"


@pytest.fixture(scope="module")
def lab_folder(tmp_path_factory):
    """Where JupyterLab and its kernels work."""
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="module")
def lab(browser, lab_source, lab_folder):
    """Address of a JupyterLab that runs; it starts only where there is a browser to look at it."""
    with jupyterlab(lab_folder, source=lab_source) as url:
        yield url


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep what the browser showed when a test failed, in build/screenshots."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if browser is not None and report.failed:
        folder = ROOT / "build" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        pages = [page for context in browser.contexts for page in context.pages]
        for number, page in enumerate(pages):
            name = re.sub(r"\W+", "_", f"{item.name}_{call.when}_{number}")
            page.screenshot(path=folder / f"{name}.png")
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test again, twice at most, when the recording it listens to has gaps."""
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for tries_left in (2, 1, 0):
        try:
            pyfuncitem.obj(**arguments)
        except SamplesLost:
            if not tries_left:
                raise
        else:
            return True
