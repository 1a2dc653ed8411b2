"""Take the README's pictures again: `make screenshots`.

Lesson 3's explorer comes from a real JupyterLab, and the picture of before and after from the
shipped denoiser on a voice and a noise that it never trained on.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))
from lab import ROOT, chromium, jupyterlab, open_notebook, run_all

from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.corpus import select
from course_utils.features import STFTConfig, stft
from course_utils.mixing import fit_noise, mix_at_snr
from course_utils.plotting import plot_spectrogram

IMAGES = ROOT / "notebooks" / "images"
SNR_DB = 5.0
SECONDS = 3


def photograph_explorer(file: Path) -> None:
    """Run lesson 3 in Chromium and save its explorer."""
    with tempfile.TemporaryDirectory() as folder:
        with jupyterlab(Path(folder)) as url, chromium() as browser:
            page = browser.new_page(viewport={"width": 1180, "height": 1000})
            open_notebook(page, url, "03_extract_spectrogram_features.ipynb")
            run_all(page)
            explorer = page.locator(".widget-vbox", has=page.locator("img.widget-image")).first
            explorer.scroll_into_view_if_needed()
            page.wait_for_timeout(1000)
            explorer.screenshot(path=file)


def draw_before_and_after(file: Path) -> None:
    """Save the spectrograms of one test clip: noisy, denoised, clean."""
    config = STFTConfig()
    speech = select(role="speech", split="test")
    clip = next(clip for clip in speech if clip.duration >= SECONDS)
    clean = clip.load()[:, : SECONDS * config.sample_rate]
    tools = select(role="noise", split="test", kind="tools")
    saw = next(clip for clip in tools if "sawmill" in clip.file)
    generator = torch.Generator().manual_seed(0)
    disturbance = fit_noise(saw.load(), clean.shape[-1], generator=generator)
    noisy = mix_at_snr(clean, disturbance, SNR_DB)
    denoiser = load_checkpoint(DEFAULT_CHECKPOINT)
    with torch.inference_mode():
        denoised = denoiser(noisy)
    sounds = {
        f"before: a circular saw at {SNR_DB:g} dB": noisy,
        "after the denoiser": denoised,
        "the clean recording": clean,
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained", sharey=True)
    for ax, (title, sound) in zip(axes, sounds.items(), strict=True):
        plot_spectrogram(
            stft(sound, config)[0], config, title=title, ax=ax, colorbar=ax is axes[-1]
        )
    figure.savefig(file, dpi=80)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    draw_before_and_after(IMAGES / "before_after.png")
    photograph_explorer(IMAGES / "lesson_03_explorer.png")
