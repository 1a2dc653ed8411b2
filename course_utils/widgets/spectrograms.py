"""Explorers of spectrograms: what too few samples do, and what windows and scales show."""

from __future__ import annotations

import math
import warnings

import ipywidgets
import torch
import torchaudio.functional as AF
from matplotlib.colorbar import Colorbar
from matplotlib.image import AxesImage
from torch import Tensor

from course_utils.audio import resample
from course_utils.features import WINDOW_NAMES, STFTConfig, decibels, istft, magnitude, stft
from course_utils.listening import compare_audio
from course_utils.plotting import SPECTROGRAM_MAP, VMAX, VMIN, full_scale_reference
from course_utils.widgets.frame import (
    WHEN_RELEASED,
    Explorer,
    View,
    empty_picture,
    first_seconds,
    make_figure,
    set_picture,
    set_spectrogram,
)

_SCALES = ("dB", "linear", "mel, dB")
_N_MELS = 64


def sampling_explorer(waveform: Tensor, sample_rate: int) -> Explorer:
    """Keep every second, third, ... sample, with or without a filter before; see what folds.

    Args:
        waveform: Samples, shape ``(1, time)``; the first three seconds are used.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the controls ``keep_every`` (1 to 8) and ``low_pass``.

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor.
        ValueError: If ``waveform`` is empty, not mono or not finite.

    Notebook: 02
    """
    waveform = first_seconds(waveform, "waveform", sample_rate)
    config = STFTConfig(sample_rate=sample_rate)
    figure, (axes,) = make_figure(1, 1, height=3.4)
    duration = waveform.shape[-1] / sample_rate
    picture = empty_picture(axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    figure.colorbar(picture, ax=axes, label="Level (dB)", pad=0.02)
    line = axes.axhline(0, color="white", linestyle="--")

    def update(keep_every: int, low_pass: bool) -> View:
        few = waveform[:, ::keep_every]
        if low_pass and keep_every > 1:
            few = resample(waveform, keep_every, 1)
        # The browser plays at the old rate. A steep filter adds nothing above the new Nyquist.
        heard = AF.resample(few, 1, keep_every, lowpass_filter_width=64)[:, : waveform.shape[-1]]
        set_spectrogram(picture, heard, config)
        nyquist = sample_rate / keep_every / 2
        line.set_ydata([nyquist / 1000] * 2)
        facts = (
            f"{sample_rate / keep_every:,.0f} samples a second &middot; Nyquist frequency "
            f"<b>{nyquist:,.0f} Hz</b> (dashed) &middot; {few.shape[-1]:,} samples instead of "
            f"{waveform.shape[-1]:,}<br>"
        )
        facts += (
            "what lay above the line was <b>removed first</b>"
            if low_pass
            else "what lay above the line has <b>folded down</b> below it"
        )
        row = compare_audio({"what is left": heard}, sample_rate, seconds=None, picture=None)
        return View(facts, row.data)

    controls = {
        "keep_every": ipywidgets.IntSlider(
            value=4, min=1, max=8, description="keep every", **WHEN_RELEASED
        ),
        "low_pass": ipywidgets.Checkbox(value=False, description="low-pass filter first"),
    }
    return Explorer(controls, figure, [picture, line], update)


def stft_explorer(waveform: Tensor, sample_rate: int) -> Explorer:
    """Look at one clip through windows of different lengths, steps and shapes, on three scales.

    The player rebuilds the clip from what the picture shows: from the complex spectrogram, or,
    on the mel scale, from 64 bands spread over their bins again, with the right phase.

    Args:
        waveform: Samples, shape ``(1, time)``; the first three seconds are used.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the controls ``n_fft``, ``hop_length``, ``win_length``, ``window`` and
        ``scale``.

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor.
        ValueError: If ``waveform`` is empty, not mono or not finite.

    Notebook: 03
    """
    waveform = first_seconds(waveform, "waveform", sample_rate)
    num_samples = waveform.shape[-1]
    figure, (axes,) = make_figure(1, 1, height=3.4)
    start = STFTConfig(sample_rate=sample_rate)
    picture = empty_picture(axes, start, num_samples / sample_rate, SPECTROGRAM_MAP, VMIN, VMAX)
    bar = figure.colorbar(picture, ax=axes, label="Level (dB)", pad=0.02)
    axes.yaxis.set_label_coords(-0.06, 0.5)  # where it stays, however wide the numbers are

    def update(n_fft: int, hop_length: int, win_length: int, window: str, scale: str) -> View:
        config = STFTConfig(sample_rate, n_fft, win_length, hop_length, window)
        triangles = _mel_triangles(config) if scale == "mel, dB" else None
        spectrogram = stft(waveform[0], config)  # (freq, frame)
        numbers = spectrogram.numel()
        shape = f"shape (freq, frame) = <b>{tuple(spectrogram.shape)}</b>"
        contents = f"{numbers:,} complex numbers for {num_samples:,} samples"
        if triangles is not None:
            size = triangles @ magnitude(spectrogram)  # (mel, frame)
            shape = f"shape (mel, frame) = <b>{tuple(size.shape)}</b>"
            contents = f"{size.numel():,} of {numbers:,} numbers are left"
            spread = (torch.linalg.pinv(triangles) @ size).clamp(min=0)
            spectrogram = torch.polar(spread, spectrogram.angle())
            size = size / triangles.sum(dim=1, keepdim=True).clamp(min=1)  # so that levels compare
        else:
            size = magnitude(spectrogram)
        bright = _show_on_scale(picture, bar, size, config, scale)
        inverse = (
            "<b>invertible</b>: the sound can be rebuilt exactly"
            if config.invertible and triangles is None
            else "<b>invertible</b>, but what lay inside a mel band is gone: listen"
            if config.invertible
            else "<b>not invertible</b>: some samples fall into gaps between the windows"
        )
        facts = (
            f"{shape} &middot; {config.hz_per_bin:.1f} Hz per bin &middot; "
            f"{config.ms_per_frame:.1f} ms per frame &middot; window of "
            f"{1000 * win_length / sample_rate:.1f} ms &middot; {contents}<br>{inverse} "
            f"&middot; {bright:.1%} of the picture is in the upper half of the colours"
        )
        if not config.invertible:
            return View(facts)
        rebuilt = istft(spectrogram[None], config, length=num_samples)
        row = compare_audio(
            {"rebuilt from the picture": rebuilt}, sample_rate, seconds=None, picture=None
        )
        return View(facts, row.data)

    def steps(name: str, value: int, low: int, high: int) -> ipywidgets.SelectionSlider:
        options = [2**power for power in range(low, high + 1)]
        return ipywidgets.SelectionSlider(
            options=options, value=value, description=name, **WHEN_RELEASED
        )

    controls = {
        "n_fft": steps("n_fft", start.n_fft, 6, 12),
        "hop_length": steps("hop_length", start.hop_length, 5, 10),
        "win_length": steps("win_length", start.win_length, 6, 12),
        "window": ipywidgets.Dropdown(
            options=WINDOW_NAMES, value=start.window, description="window"
        ),
        "scale": ipywidgets.Dropdown(options=_SCALES, value="dB", description="scale"),
    }
    return Explorer(controls, figure, [picture, axes.yaxis, bar.ax], update)


def _mel_triangles(config: STFTConfig) -> Tensor:
    """Make the mel filters, (mel, freq), or say that the bins are too wide for them."""
    with warnings.catch_warnings(action="ignore"):  # the sentence below says it better
        triangles = AF.melscale_fbanks(
            config.n_freqs, 0.0, config.sample_rate / 2, _N_MELS, config.sample_rate
        ).T  # (mel, freq)
    empty = int((triangles.amax(dim=1) == 0).sum())
    if empty:
        raise ValueError(
            f"n_fft must be larger, got {config.n_fft}, with {empty} of {_N_MELS} mel bands empty; "
            "move its slider, or choose another scale."
        )
    return triangles


def _show_on_scale(
    picture: AxesImage, bar: Colorbar, size: Tensor, config: STFTConfig, scale: str
) -> float:
    """Put magnitudes into the picture, in dB or as they are, over Hz or over mel.

    Returns the share of them that lies in the upper half of the colours.
    """
    axes = picture.axes
    top = config.sample_rate / 2
    places = [hz for hz in (0, 500, 1000, 2000, 4000, 8000) if hz <= top]
    reference = full_scale_reference(config)
    if scale == "linear":
        values = size / reference
        limits = (0.0, float(size.max()) / reference or 1.0)
        bar.set_label("Magnitude (1: a full-scale sine)")
    else:
        values = decibels(size, top_db=120, reference=reference)
        limits = (VMIN, VMAX)
        bar.set_label("Level (dB)")
    picture.set_clim(*limits)
    set_picture(picture, values, config)
    if scale == "mel, dB":  # the bands are even steps in mel
        left, right, _, _ = picture.get_extent()
        picture.set_extent((left, right, 0, _mel(top)))
        axes.set_yticks([_mel(hz) for hz in places], [f"{hz / 1000:g}" for hz in places])
        axes.set_ylim(0, _mel(top))
    else:
        axes.set_yticks([hz / 1000 for hz in range(0, int(top) + 1, 1000)])
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylim(0, top / 1000)
    return float((values > sum(limits) / 2).float().mean())


def _mel(hz: float) -> float:
    """Convert Hz to mel, as torchaudio's filters do."""
    return 2595 * math.log10(1 + hz / 700)
