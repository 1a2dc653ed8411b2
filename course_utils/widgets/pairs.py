"""Explorers of a pair: mix speech and noise at a chosen ratio, and let the target slip."""

from __future__ import annotations

import math

import ipywidgets
import torch
from torch import Tensor

from course_utils.features import STFTConfig
from course_utils.listening import compare_audio
from course_utils.metrics import si_sdr
from course_utils.mixing import mix_at_snr
from course_utils.plotting import (
    COLORS,
    SPECTROGRAM_MAP,
    VMAX,
    VMIN,
    label_axes,
    outline,
)
from course_utils.validate import validate_number, validate_same_shape
from course_utils.widgets.frame import (
    WHEN_RELEASED,
    Explorer,
    View,
    empty_picture,
    first_seconds,
    make_figure,
    set_spectrogram,
)

_SNR_RANGE = (-10.0, 30.0)
_MAX_SLIP = 320  # samples: 20 ms at 16 kHz


def snr_explorer(clean: Tensor, noise: Tensor, sample_rate: int) -> Explorer:
    """Mix speech and noise at the SNR of a slider; see and hear the mixture.

    Args:
        clean: Speech, shape ``(1, time)``; its first three seconds are used.
        noise: Noise of the same shape.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the control ``snr_db`` from -10 to 30 dB.

    Raises:
        TypeError: If an input is not a floating-point tensor.
        ValueError: If the shapes differ or a clip is empty, silent or not finite.

    Notebook: 01
    """
    config = STFTConfig(sample_rate=sample_rate)
    clean = first_seconds(clean, "clean", sample_rate)
    noise = first_seconds(noise, "noise", sample_rate)
    figure, (wave_axes, picture_axes) = make_figure(2, 1, height=5.0)
    duration = clean.shape[-1] / sample_rate
    lines = {}
    for name in ("noisy", "clean"):  # the clean line lies on top of the noisy one
        times, values = outline(clean[0], sample_rate)
        lines[name] = wave_axes.plot(times, values, color=COLORS[name], lw=0.7, label=name)[0]
    loudest = mix_at_snr(clean, noise, _SNR_RANGE[0]).abs().max()
    limit = 1.1 * float(max(loudest, clean.abs().max()))
    wave_axes.set(xlim=(0, duration), ylim=(-limit, limit))
    legend = wave_axes.legend(loc="upper right", fontsize=10)
    label_axes(wave_axes, "", "", "Amplitude")
    picture = empty_picture(picture_axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    figure.colorbar(picture, ax=picture_axes, label="Level (dB)", pad=0.02)

    def update(snr_db: float) -> View:
        noisy = mix_at_snr(clean, noise, float(snr_db))
        added = noisy - clean
        measured = 10 * math.log10(float(clean.square().mean() / added.square().mean()))
        measured = round(measured, 2) + 0.0  # and never "-0.00"
        lines["noisy"].set_ydata(outline(noisy[0], sample_rate)[1])
        set_spectrogram(picture, noisy, config)
        facts = f"slider: {snr_db:g} dB, measured on this mixture: <b>{measured:.2f} dB</b>"
        return View(
            facts, compare_audio({"noisy": noisy}, sample_rate, seconds=None, picture=None).data
        )

    controls = {
        "snr_db": ipywidgets.FloatSlider(
            value=5.0,
            min=_SNR_RANGE[0],
            max=_SNR_RANGE[1],
            step=1.0,
            description="SNR (dB)",
            **WHEN_RELEASED,
        )
    }
    moving = [*lines.values(), legend, picture]
    return Explorer(controls, figure, moving, update)


def alignment_explorer(noisy: Tensor, clean: Tensor, sample_rate: int) -> Explorer:
    """Let the target slip by some samples; see the score of a perfect output fall, and find it.

    The upper panel shows 20 ms of the perfect output and of the target, the lower one the
    cross-correlation of the *noisy* clip with the target: its peak tells the slip.

    Args:
        noisy: Noisy speech, shape ``(1, time)``; its first three seconds are used.
        clean: The same speech without noise, same shape.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the control ``slip`` from -320 to 320 samples.

    Raises:
        TypeError: If an input is not a floating-point tensor.
        ValueError: If the shapes differ, or a clip is shorter than 0.1 s, silent or not finite.

    Notebook: 01
    """
    noisy = first_seconds(noisy, "noisy", sample_rate)
    clean = first_seconds(clean, "clean", sample_rate)
    validate_same_shape(clean, noisy, ("clean", "noisy"))
    length = clean.shape[-1]
    validate_number(length / sample_rate, "the length of clean in seconds", minimum=0.1)
    middle = slice(_MAX_SLIP, length - _MAX_SLIP)
    perfect = clean[:, middle]
    start = int(perfect[0].abs().argmax().clamp(max=perfect.shape[-1] - sample_rate // 50))
    shown = slice(start, start + sample_rate // 50)
    figure, (wave_axes, sum_axes) = make_figure(2, 1, height=4.4)
    milliseconds = torch.arange(sample_rate // 50) * 1000 / sample_rate
    lines = {}
    for name, label in (("estimate", "perfect output"), ("clean", "target")):
        (lines[name],) = wave_axes.plot(
            milliseconds, perfect[0, shown], color=COLORS[name], label=label
        )
    limit = 1.2 * float(perfect[0, shown].abs().max())
    wave_axes.set(ylim=(-limit, limit), xlim=(0, 20))
    legend = wave_axes.legend(loc="upper right", fontsize=10)
    label_axes(wave_axes, "", "Time (ms)", "Amplitude")
    lags = torch.arange(-_MAX_SLIP, _MAX_SLIP + 1)
    (curve,) = sum_axes.plot(lags, torch.zeros(len(lags)), color=COLORS["grey"])
    peak = sum_axes.axvline(0, color=COLORS["other"], linestyle="--")
    sum_axes.set(ylim=(-1.1, 1.1), xlim=(-_MAX_SLIP, _MAX_SLIP))
    label_axes(sum_axes, "", "Lag (samples)", "Sum of products")

    def update(slip: int) -> View:
        target = clean.roll(slip, dims=-1)
        lines["clean"].set_ydata(target[:, middle][0, shown])
        sums = torch.nn.functional.conv1d(target[None], noisy[None, :, middle])[0, 0]
        sums = sums / sums.abs().max()  # (lag,): the sum at every shift of the target
        curve.set_ydata(sums)
        found = int(lags[sums.argmax()])
        peak.set_xdata([found, found])
        score = si_sdr(estimate=perfect, reference=target[:, middle])
        error = float((perfect - target[:, middle]).square().mean())
        facts = (
            f"slip: {slip} samples = {1000 * slip / sample_rate:.1f} ms &middot; the peak is at "
            f"<b>{found}</b> &middot; a perfect output scores SI-SDR <b>{float(score):.1f} dB</b> "
            f"(100 is the most we count), MSE x 1000 <b>{1000 * error:.2f}</b>"
        )
        row = compare_audio({"the target": target}, sample_rate, seconds=None, picture=None)
        return View(facts, row.data)

    slider = ipywidgets.IntSlider(
        value=16, min=-_MAX_SLIP, max=_MAX_SLIP, description="slip (samples)", **WHEN_RELEASED
    )
    return Explorer({"slip": slider}, figure, [*lines.values(), legend, curve, peak], update)
