"""Print how long one move of a slider takes: python tests/benchmarks/benchmark_widgets.py.

The aim is a median below 0.1 s for every control, so that a slider feels connected to its
picture. Times depend on the machine and on what else runs there; that is why no test asserts
them.
"""

import statistics
import time

import torch

from course_utils.features import STFTConfig
from course_utils.mixing import mix_at_snr
from course_utils.models import Denoiser, MaskNet
from course_utils.widgets import (
    alignment_explorer,
    denoise_explorer,
    mask_explorer,
    sampling_explorer,
    snr_explorer,
    stft_explorer,
)
from course_utils.widgets.frame import Explorer

SAMPLE_RATE = 16_000
REPEATS = 3


def main() -> None:
    """Move every control of every explorer through all its values and print medians."""
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(3 * SAMPLE_RATE) / SAMPLE_RATE
    tone = torch.sin(2 * torch.pi * 180 * times) + 0.5 * torch.sin(2 * torch.pi * 720 * times)
    clean = (0.1 * tone * torch.sin(2 * torch.pi * times).clamp(min=0))[None]
    noise = 0.1 * torch.randn(clean.shape, generator=generator)
    denoiser = Denoiser(MaskNet()).eval()
    explorers = {
        "snr_explorer": snr_explorer(clean, noise, SAMPLE_RATE),
        "alignment_explorer": alignment_explorer(clean + noise, clean, SAMPLE_RATE),
        "sampling_explorer": sampling_explorer(clean + noise, SAMPLE_RATE),
        "stft_explorer": stft_explorer(clean + noise, SAMPLE_RATE),
        "mask_explorer": mask_explorer(mix_at_snr(clean, noise, 0.0), clean, STFTConfig()),
        "denoise_explorer": denoise_explorer({"tone": clean}, {"hiss": noise}, denoiser),
    }
    print(f"{'explorer':<20}{'control':<12}{'moves':>6}{'median ms':>11}{'slowest ms':>12}")
    for name, explorer in explorers.items():
        for control_name, control in explorer.controls.items():
            taken = move_through(explorer, control)
            median, slowest = statistics.median(taken), max(taken)
            print(f"{name:<20}{control_name:<12}{len(taken):>6}{median:>11.0f}{slowest:>12.0f}")


def move_through(explorer: Explorer, control) -> list[float]:
    """Set a control to each of its values; returns the milliseconds of each accepted move."""
    start = control.value
    if hasattr(control, "options"):
        values = list(control.options)
    elif isinstance(start, bool):
        values = [not start, start]
    else:
        num_steps = round((control.max - control.min) / control.step)
        every = max(1, num_steps // 40)
        values = [control.min + step * control.step for step in range(0, num_steps + 1, every)]
    taken = []
    for value in values * REPEATS:
        before = time.perf_counter()
        control.value = value
        elapsed = 1000 * (time.perf_counter() - before)
        if not explorer.message.value:  # a refused combination draws nothing
            taken.append(elapsed)
    control.value = start
    return taken


if __name__ == "__main__":
    main()
