"""Explorers of masks: how much of every bin to keep, and what a denoiser takes away."""

from __future__ import annotations

import math
from collections.abc import Mapping

import ipywidgets
import torch
from torch import Tensor

from course_utils.features import (
    STFTConfig,
    apply_mask,
    ideal_ratio_mask,
    istft,
    magnitude,
    stft,
)
from course_utils.listening import compare_audio
from course_utils.metrics import si_sdr
from course_utils.mixing import fit_noise, mix_at_snr
from course_utils.models import Denoiser
from course_utils.plotting import MASK_MAP, SPECTROGRAM_MAP, VMAX, VMIN
from course_utils.validate import validate_not_empty, validate_same_shape
from course_utils.widgets.frame import (
    WHEN_RELEASED,
    Explorer,
    View,
    empty_picture,
    first_seconds,
    levels_db,
    make_figure,
    set_picture,
    set_spectrogram,
)


def mask_explorer(
    noisy: Tensor, clean: Tensor, config: STFTConfig, *, denoiser: Denoiser | None = None
) -> Explorer:
    """Go from no mask at all to a whole mask and beyond; see and hear what is left.

    The mask is ``max(mask ** strength, floor)``: at strength 0 it is 1 everywhere (nothing is
    removed), at 1 it is the mask of the menu, above 1 it bites harder. The floor is the least
    that every bin keeps. The menu has the ideal ratio mask, a threshold (keep the bins in which
    speech is louder than noise), and the mask of a denoiser if there is one.

    Args:
        noisy: Noisy speech, shape ``(1, time)``; the first three seconds are used.
        clean: The same speech without noise, same shape.
        config: The settings of the transform.
        denoiser: Its mask joins the menu; ``config`` must then be its own.

    Returns:
        The explorer, with the controls ``kind``, ``strength`` and ``floor_db``.

    Raises:
        TypeError: If an input is not a floating-point tensor.
        ValueError: If the shapes differ, a clip is empty, not mono or not finite, or ``config``
            cannot be inverted.

    Notebook: 04
    """
    noisy = first_seconds(noisy, "noisy", config.sample_rate)
    clean = first_seconds(clean, "clean", config.sample_rate)
    validate_same_shape(clean, noisy, ("clean", "noisy"))
    num_samples = noisy.shape[-1]
    spectrogram = stft(noisy, config)  # (1, freq, frame)
    ideal = ideal_ratio_mask(stft(clean, config), stft(noisy - clean, config))
    masks = {"ideal ratio": ideal, "threshold": (ideal > 0.5**0.5).to(ideal.dtype)}
    if denoiser is not None:
        masks["model"] = _estimate_mask(denoiser, noisy, config)
    figure, (mask_axes, picture_axes) = make_figure(1, 2, height=3.2)
    duration = num_samples / config.sample_rate
    mask_picture = empty_picture(mask_axes, config, duration, MASK_MAP, 0.0, 1.0)
    picture = empty_picture(picture_axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    mask_axes.set_title("mask", fontsize=12)
    picture_axes.set_title("noisy times mask", fontsize=12)
    figure.colorbar(mask_picture, ax=mask_axes, label="Share kept", pad=0.02)
    figure.colorbar(picture, ax=picture_axes, label="Level (dB)", pad=0.02)

    def update(kind: str, strength: float, floor_db: float) -> View:
        mask = (masks[kind] ** strength).clamp(min=10 ** (floor_db / 20))
        masked = apply_mask(spectrogram, mask)
        estimate = istft(masked, config, length=num_samples)
        set_picture(mask_picture, mask[0], config)
        set_picture(picture, levels_db(masked[0], config), config)
        error = float((estimate - clean).square().mean())
        before = float((noisy - clean).square().mean())
        change = 10 * math.log10(before / error) if before > 0 and error > 0 else 0.0
        clips = {"noisy": noisy, "masked": estimate, "clean": clean}
        row = compare_audio(
            clips, config.sample_rate, removed=("noisy", "masked"), seconds=None, picture=None
        )
        facts = (
            f"on average the mask keeps <b>{float(mask.mean()):.0%}</b> of a bin; the error "
            f"against the clean clip changes by <b>{-change:+.1f} dB</b>"
        )
        return View(facts, row.data)

    controls = {
        "kind": ipywidgets.Dropdown(options=list(masks), description="mask"),
        "strength": ipywidgets.FloatSlider(
            value=1.0, min=0.0, max=2.0, step=0.1, description="strength", **WHEN_RELEASED
        ),
        "floor_db": ipywidgets.FloatSlider(
            value=-60.0, min=-60.0, max=0.0, step=3.0, description="floor (dB)", **WHEN_RELEASED
        ),
    }
    return Explorer(controls, figure, [mask_picture, picture], update)


def denoise_explorer(
    clips: Mapping[str, Tensor],
    noises: Mapping[str, Tensor],
    denoiser: Denoiser,
) -> Explorer:
    """Choose a voice, a noise and an SNR; see and hear before, after, and what was removed.

    Args:
        clips: Name to clean speech, each ``(1, time)``; the first three seconds are used.
        noises: Name to noise, each ``(1, time)``, of any length.
        denoiser: What is tried.

    Returns:
        The explorer, with the controls ``clip``, ``noise`` and ``snr_db``.

    Raises:
        TypeError: If an input is not a floating-point tensor.
        ValueError: If there is no clip or no noise, or one of them is silent, empty, not mono or
            not finite.

    Notebook: 06
    """
    validate_not_empty(clips, "clips")
    validate_not_empty(noises, "noises")
    config = denoiser.config
    rate = config.sample_rate
    voices = {name: first_seconds(clip, name, rate) for name, clip in clips.items()}
    longest = max(clip.shape[-1] for clip in voices.values())
    sounds = {
        name: fit_noise(first_seconds(clip, name, rate), longest, generator=_fixed_generator())
        for name, clip in noises.items()
    }
    figure, panels = make_figure(1, 3, height=3.0)
    pictures = {}
    for axes, title in zip(panels, ("before", "after", "removed"), strict=True):
        pictures[title] = empty_picture(axes, config, longest / rate, SPECTROGRAM_MAP, VMIN, VMAX)
        axes.set_title(title, fontsize=12)
    for axes in panels[1:]:
        axes.set(ylabel="", yticklabels=[])

    def update(clip: str, noise: str, snr_db: float) -> View:
        clean = voices[clip]
        noisy = mix_at_snr(clean, sounds[noise][:, : clean.shape[-1]], float(snr_db))
        with torch.inference_mode():
            estimate = denoiser(noisy)
        shown = {"before": noisy, "after": estimate, "removed": noisy - estimate}
        for name, picture in pictures.items():
            set_spectrogram(picture, shown[name], config)
            picture.axes.set_xlim(0, longest / rate)
        scores = [float(si_sdr(estimate=x, reference=clean)) for x in (noisy, estimate)]
        row = compare_audio(
            {"noisy": noisy, "estimate": estimate, "clean": clean},
            rate,
            removed=("noisy", "estimate"),
            seconds=None,
            picture=None,
        )
        facts = (
            f"SI-SDR <b>{scores[0]:.1f} dB</b> before, <b>{scores[1]:.1f} dB</b> after: "
            f"{scores[1] - scores[0]:+.1f} dB"
        )
        return View(facts, row.data)

    controls = {
        "clip": ipywidgets.Dropdown(options=list(voices), description="voice"),
        "noise": ipywidgets.Dropdown(options=list(sounds), description="noise"),
        "snr_db": ipywidgets.FloatSlider(
            value=5.0, min=-10.0, max=30.0, step=1.0, description="SNR (dB)", **WHEN_RELEASED
        ),
    }
    return Explorer(controls, figure, list(pictures.values()), update)


def _estimate_mask(denoiser: Denoiser, noisy: Tensor, config: STFTConfig) -> Tensor:
    """Ask a denoiser for its mask."""
    if denoiser.config != config:
        raise ValueError(f"config must be denoiser.config, got {config}; pass that one.")
    with torch.inference_mode():
        return denoiser.estimate_mask(magnitude(stft(noisy, config)))


def _fixed_generator() -> torch.Generator:
    """Draw the same piece of a noise every time, so that only what was moved changes."""
    return torch.Generator().manual_seed(0)
