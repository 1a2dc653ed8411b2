"""A real JupyterLab in a real Chromium, for the browser tests and the README's pictures."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Nothing but the page itself: no updates, no sync, no first-run questions.
CHROMIUM_OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# All cells stay in the page, also those far from the screen; no question about news.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": '{"windowingMode": "none"}',
    "@jupyterlab/apputils-extension/notification": '{"fetchNews": "false"}',
}
# What the page shows in red: errors, warnings, and widgets that could not be drawn.
RED = ", ".join(
    (
        '[data-mime-type="application/vnd.jupyter.error"]',
        '[data-mime-type="application/vnd.jupyter.stderr"]',
        ".jupyter-widgets-error-widget",
    )
)


class SamplesLost(AssertionError):
    """A busy machine had no time for the page that records what a player gives."""


def find_chromium() -> str | None:
    """Path of an installed Chromium, or None."""
    found = os.environ.get("COURSE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    with sync_playwright() as playwright:  # the one that `playwright install` fetches
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


@contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """A headless Chromium, with more options for its command line if need be."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*CHROMIUM_OPTIONS, *options], headless=True
        )
        yield browser
        browser.close()


@contextmanager
def new_page(browser: Browser) -> Iterator[Page]:
    """An empty page; its `faults` are the errors of the page's own scripts."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    yield page
    page.close()


@contextmanager
def jupyterlab(folder: Path, *, source: Path = ROOT / "notebooks") -> Iterator[str]:
    """JupyterLab on copies of the notebooks, apart from the learner's own settings.

    Those in notebooks/ carry no outputs: whatever the browser shows was made there and then.
    Those in as_committed/ are as they are in the repository.
    """
    shutil.copytree(source, folder / "as_committed", ignore=shutil.ignore_patterns("output"))
    shutil.copytree(folder / "as_committed", folder / "notebooks")
    for file in (folder / "notebooks").glob("*.ipynb"):
        nbformat.write(without_outputs(file), file)
    for name, text in SETTINGS.items():
        setting = folder / "settings" / f"{name}.jupyterlab-settings"
        setting.parent.mkdir(parents=True, exist_ok=True)
        setting.write_text(text)
    with serve([sys.executable, "-m", "jupyterlab", f"--notebook-dir={folder}"], folder) as url:
        yield url


@contextmanager
def serve(command: list[str], folder: Path) -> Iterator[str]:
    """Run a command that starts JupyterLab, with its settings in a folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        *("--no-browser", "--allow-root", "--IdentityProvider.token="),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
    ]
    own = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    # Without MPLBACKEND (the tests set it) a kernel draws into the page, as a learner's does.
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment |= {name: str(folder / place) for name, place in own.items()}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command + options, env=environment, cwd=ROOT, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, server, folder / "server.log")
            yield url
        finally:
            server.terminate()
            server.wait(30)


def without_outputs(file: Path) -> nbformat.NotebookNode:
    """The notebook as if it had never been run."""
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def wait_for(url: str, server: subprocess.Popen, log: Path, *, seconds: float = 60) -> None:
    """Return once the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/api", timeout=5).read()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()}")


def open_notebook(page: Page, url: str, name: str, *, folder: str = "notebooks") -> None:
    """Show a notebook and wait for its kernel."""
    page.goto(f"{url}/lab/tree/{folder}/{name}?reset")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
    wait_until_idle(page)


def wait_until_idle(page: Page) -> None:
    """Return when the status bar says that the kernel is there and has nothing to do."""
    page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=60_000)


def menu(page: Page, name: str, entry: str) -> None:
    """Click an entry of the menu bar."""
    page.locator(".lm-MenuBar-itemLabel", has_text=name).click()
    page.locator(".lm-Menu-itemLabel", has_text=entry).first.click()


def run_all(page: Page, *, seconds: float = 600) -> None:
    """Click Run > Run All Cells, as a learner does, and wait for the last cell."""
    menu(page, "Run", "Run All Cells")
    finish(page, seconds=seconds)


def finish(page: Page, *, seconds: float = 600) -> None:
    """Wait until every cell has run; nothing may be red."""
    page.wait_for_function(
        """red => {
            const prompts = [...document.querySelectorAll(
                '.jp-Notebook .jp-CodeCell .jp-InputPrompt')].map(p => p.textContent.trim());
            const done = prompts.length && prompts.every(p => /^\\[\\d+\\]:$/.test(p));
            return done || document.querySelector(red);
        }""",
        arg=RED,
        timeout=seconds * 1000,
    )
    wait_until_idle(page)
    red = errors(page)
    assert not red, "\n".join(red)


def errors(page: Page) -> list[str]:
    """What the page shows in red."""
    return page.locator(RED).all_inner_texts()
