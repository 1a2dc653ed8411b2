"""Print how long a slider takes in the browser: python tests/benchmarks/benchmark_browser.py.

In a real JupyterLab in Chromium, every slider of every explorer is moved by its arrow keys. Each
time counts from the key to the new picture, decoded: the way to the kernel, the computing there,
and the way back. The aim is a median below 0.1 s. Needs Chromium, as the browser tests do.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import nbformat
from playwright.sync_api import Locator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))

from lab import chromium, jupyterlab, open_notebook, run_all

SET_UP = """
from course_utils import checkpoints, corpus, mixing, widgets
from course_utils.features import STFTConfig
clean = corpus.select(role="speech", split="test")[0].load()[:, :48_000]
noise = mixing.fit_noise(corpus.select(role="noise", split="test")[0].load(), clean.shape[-1])
noisy = mixing.mix_at_snr(clean, noise, 5.0)
model = checkpoints.load_checkpoint(checkpoints.DEFAULT_CHECKPOINT)
"""
EXPLORERS = {
    "snr_explorer": "widgets.snr_explorer(clean, noise, 16_000)",
    "alignment_explorer": "widgets.alignment_explorer(noisy, clean, 16_000)",
    "sampling_explorer": "widgets.sampling_explorer(noisy, 16_000)",
    "stft_explorer": "widgets.stft_explorer(noisy, 16_000)",
    "mask_explorer": "widgets.mask_explorer(noisy, clean, STFTConfig(), denoiser=model)",
    "denoise_explorer": "widgets.denoise_explorer({'voice': clean}, {'noise': noise}, model)",
}
MOVES = 10
# Press a key on a slider; give the milliseconds until the new picture could be painted, or null
# where the slider ends or the value cannot be combined with the others.
PRESS = """async (handle, key) => {
    const image = handle.closest(".widget-vbox").querySelector("img.widget-image");
    const changed = new Promise(tell => {
        new MutationObserver(() => tell(true)).observe(image, {attributeFilter: ["src"]});
        setTimeout(() => tell(false), 5_000);
    });
    const start = performance.now();
    handle.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    if (!await changed) return null;
    await image.decode();
    return performance.now() - start;
}"""


def main() -> None:
    """Open a notebook with every explorer and print the medians."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        source = Path(folder) / "source"
        source.mkdir()
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        notebook = nbformat.v4.new_notebook(metadata=kernel)
        notebook.cells = [nbformat.v4.new_code_cell(code) for code in (SET_UP, *EXPLORERS.values())]
        nbformat.write(notebook, source / "explorers.ipynb")
        with jupyterlab(Path(folder) / "lab", source=source) as url:
            page = browser.new_page(viewport={"width": 1400, "height": 1000})
            open_notebook(page, url, "explorers.ipynb")
            run_all(page)
            print(f"{'explorer':<20}{'slider':<18}{'moves':>6}{'median ms':>11}{'slowest ms':>12}")
            boxes = page.locator(".widget-vbox", has=page.locator("img.widget-image")).all()
            for name, box in zip(EXPLORERS, boxes, strict=True):
                for slider in box.locator(".noUi-handle").all():
                    row = slider.locator("xpath=ancestor::*[contains(@class, 'inline-hbox')][1]")
                    label = row.locator(".widget-label").first.inner_text()
                    taken = move(slider)
                    print(
                        f"{name:<20}{label:<18}{len(taken):>6}"
                        f"{statistics.median(taken):>11.0f}{max(taken):>12.0f}",
                        flush=True,
                    )


def move(slider: Locator) -> list[float]:
    """Step to one side and back, some times; the milliseconds of each step."""
    there, back = "ArrowLeft", "ArrowRight"
    if slider.evaluate(PRESS, there) is None:  # the end, or a value that cannot work
        there, back = back, there
        slider.evaluate(PRESS, there)
        slider.evaluate(PRESS, there)
    return [slider.evaluate(PRESS, key) for key in [back, there] * (MOVES // 2)]


if __name__ == "__main__":
    main()
