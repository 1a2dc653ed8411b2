"""Figures of the course: fixed colours, fixed ranges, units on every axis.

Every function draws on the Axes it is given (or on a new figure) and returns that Axes; none
calls ``show()``. Spectrograms share one colour scale, so two pictures can be compared by eye.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from torch import Tensor

from course_utils.features import STFTConfig, decibels, window_tensor
from course_utils.validate import validate_number, validate_waveform

# Okabe and Ito's palette: tellable apart with any kind of colour vision.
COLORS = {
    "noisy": "#D55E00",
    "clean": "#0072B2",
    "estimate": "#009E73",
    "noise": "#CC79A7",
    "other": "#E69F00",
    "grey": "#666666",
}
SPECTROGRAM_MAP = "magma"
MASK_MAP = "cividis"
# Speech at a usual level peaks near -25 dB in its strongest bins; 80 dB below that is silence.
VMIN, VMAX = -90.0, -10.0
DPI = 80
_LABEL_SIZE = 11
_TICK_SIZE = 10


def use_course_style() -> None:
    """Give every figure of a notebook the course's size, sharpness and file size.

    Figures made afterwards, also directly with ``plt.subplots``, are 9 inches wide at 80 dots
    per inch, lay themselves out and use the colours above. Inside a notebook they are stored
    with 256 colours, which nobody sees on these pictures and which makes a spectrogram three
    times lighter.

    Notebook: all
    """
    plt.rcParams.update(
        {
            "figure.figsize": (9, 3),
            "figure.dpi": DPI,
            "figure.constrained_layout.use": True,
            "axes.labelsize": _LABEL_SIZE,
            "axes.titlesize": _LABEL_SIZE + 1,
            "xtick.labelsize": _TICK_SIZE,
            "ytick.labelsize": _TICK_SIZE,
            "legend.fontsize": _TICK_SIZE,
            "axes.prop_cycle": plt.cycler(color=list(COLORS.values())),
        }
    )
    plt.close(plt.figure())  # lets the notebook choose its backend before we add to it
    shell = get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.formatters["image/png"]
        formatter.for_type(Figure, _light_png)


def plot_waveform(
    waveform: Tensor,
    sample_rate: int,
    *,
    title: str = "",
    ax: Axes | None = None,
    color: str = COLORS["clean"],
    label: str | None = None,
) -> Axes:
    """Draw samples over time.

    Long clips are drawn as their outline (smallest and largest sample of each small stretch),
    which looks the same and is quick.

    Args:
        waveform: Samples, shape ``(time,)`` or ``(1, time)``.
        sample_rate: Samples per second, in Hz.
        title: Text above the picture.
        ax: Where to draw; a new figure without it.
        color: Colour of the line.
        label: Name of the line in a legend.

    Returns:
        The Axes with time in seconds and amplitude from -1 to 1 (full scale).

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor or ``sample_rate`` not a number.
        ValueError: If ``waveform`` is empty, not finite, or holds more than one clip, or
            ``sample_rate`` is not above 0.

    Notebook: all
    """
    samples = _one_clip(waveform, "waveform")
    validate_number(sample_rate, "sample_rate", above=0)
    ax = _new_axes(2.4) if ax is None else ax
    times, values = outline(samples, sample_rate)
    ax.plot(times, values, color=color, linewidth=0.8, label=label)
    ax.set_xlim(0, samples.numel() / sample_rate)
    label_axes(ax, title, "Time (s)", "Amplitude")
    return ax


def plot_spectrogram(
    spectrogram: Tensor,
    config: STFTConfig,
    *,
    title: str = "",
    ax: Axes | None = None,
    vmin: float = VMIN,
    vmax: float = VMAX,
    reference: float | Tensor | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw a spectrogram in decibels, on a colour scale that does not depend on the clip.

    Args:
        spectrogram: Complex spectrogram or its magnitude, shape ``(freq, frame)``; leading
            dimensions of size 1 are fine.
        config: The settings that made it.
        title: Text above the picture.
        ax: Where to draw; a new figure without it.
        vmin: Level of the darkest colour, in dB.
        vmax: Level of the brightest colour, in dB.
        reference: The magnitude of 0 dB. Without it, the peak of a sine at full scale; pass one
            number (say, the largest magnitude of the noisy clip) to several pictures to compare.
        colorbar: Whether to draw the scale beside the picture.

    Returns:
        The Axes with time in seconds and frequency in kHz.

    Raises:
        TypeError: If ``spectrogram`` does not hold numbers, or ``vmax`` is not one.
        ValueError: If the shape does not fit ``config``, a number is not finite, or ``vmax`` is
            not above ``vmin``.

    Notebook: all
    """
    magnitude = _one_clip(torch.as_tensor(spectrogram).abs(), "spectrogram", config.n_freqs)
    validate_number(vmax, "vmax", above=vmin)
    if reference is None:
        reference = full_scale_reference(config)
    levels = decibels(magnitude, top_db=200.0, reference=reference)
    ax = _new_axes(3.2) if ax is None else ax
    _image(ax, levels, config, SPECTROGRAM_MAP, vmin, vmax, "Level (dB)" if colorbar else None)
    label_axes(ax, title, "Time (s)", "Frequency (kHz)")
    return ax


def plot_mask(
    mask: Tensor,
    config: STFTConfig,
    *,
    title: str = "",
    ax: Axes | None = None,
    colorbar: bool = True,
) -> Axes:
    """Draw a mask: bright bins are kept, dark bins are turned down.

    Args:
        mask: Factors between 0 and 1, ``(freq, frame)`` or ``(1, freq, frame)``.
        config: The settings of the spectrogram that it belongs to.
        title: Text above the picture.
        ax: Where to draw; a new figure without it.
        colorbar: Whether to draw the scale beside the picture.

    Returns:
        The Axes with time in seconds and frequency in kHz.

    Raises:
        TypeError: If ``mask`` is complex or does not hold numbers.
        ValueError: If the shape does not fit ``config``, or a number is not finite.

    Notebook: 03, 04
    """
    if isinstance(mask, Tensor) and mask.is_complex():
        raise TypeError(f"mask must be real, got {mask.dtype}; use plot_spectrogram.")
    picture = _one_clip(torch.as_tensor(mask, dtype=torch.float32), "mask", config.n_freqs)
    ax = _new_axes(3.2) if ax is None else ax
    _image(ax, picture, config, MASK_MAP, 0.0, 1.0, "Mask (share kept)" if colorbar else None)
    label_axes(ax, title, "Time (s)", "Frequency (kHz)")
    return ax


def plot_training(
    history: Sequence[Mapping[str, float]],
    baselines: Mapping[str, float] | None = None,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the losses of a training run, with lines for what is to be beaten.

    Args:
        history: One entry per epoch with ``epoch`` (from 0, drawn as 1), ``train_loss`` and
            ``validation_loss``.
        baselines: Name to loss, such as the loss of doing nothing; each becomes a dashed line.
        title: Text above the picture.
        ax: Where to draw; a new figure without it.

    Returns:
        The Axes with the epoch below and the loss at the side.

    Raises:
        ValueError: If ``history`` is empty, an entry lacks a key, or a loss is not finite.

    Notebook: 05
    """
    keys = ("epoch", "train_loss", "validation_loss")
    if not history or not all(set(keys) <= entry.keys() for entry in history):
        raise ValueError(
            f"history must hold {keys} for each epoch, got {list(history)[:1]}; train first."
        )
    epochs = [entry["epoch"] + 1 for entry in history]  # the first round is epoch 1
    training = [float(entry["train_loss"]) for entry in history]
    validation = [float(entry["validation_loss"]) for entry in history]
    for key, losses in (("train_loss", training), ("validation_loss", validation)):
        for loss in losses:
            validate_number(loss, f"history[{key!r}]")
    for name, value in (baselines or {}).items():
        validate_number(float(value), f"baselines[{name!r}]")
    ax = _new_axes(3.6) if ax is None else ax
    ax.plot(epochs, training, "o-", color=COLORS["noisy"], label="training")
    ax.plot(epochs, validation, "s-", color=COLORS["clean"], label="validation")
    styles = ["--", ":", "-."]
    for number, (name, value) in enumerate((baselines or {}).items()):
        ax.axhline(value, color=COLORS["grey"], linestyle=styles[number % 3], label=name)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    label_axes(ax, title, "Epoch", "Loss")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=_TICK_SIZE)
    return ax


def full_scale_reference(config: STFTConfig) -> float:
    """Compute the magnitude that a sine at full scale reaches: half the sum of the window.

    Args:
        config: The settings of the transform.

    Returns:
        The magnitude, to be used as the 0 dB of several pictures.

    Notebook: 03
    """
    return float(window_tensor(config, dtype=torch.float64).sum()) / 2.0


def outline(
    samples: Tensor, sample_rate: float, *, num_stretches: int = 700
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce samples to what a picture can show: smallest and largest of each stretch.

    Args:
        samples: Shape ``(time,)``.
        sample_rate: Samples per second, in Hz.
        num_stretches: How many stretches to keep; shorter clips are kept whole.

    Returns:
        Two NumPy arrays of one length: times in seconds, and values.

    Notebook: all
    """
    samples = samples.detach().cpu()
    if samples.numel() <= 2 * num_stretches:
        times = torch.arange(samples.numel(), dtype=torch.float64) / sample_rate
        return times.numpy(), samples.numpy()
    stretch = math.ceil(samples.numel() / num_stretches)
    missing = -samples.numel() % stretch
    rows = torch.cat([samples, samples[-1:].expand(missing)]).view(-1, stretch)
    values = torch.stack([rows.amin(1), rows.amax(1)], dim=1).flatten()
    starts = torch.arange(rows.shape[0], dtype=torch.float64)[:, None]
    times = (starts + torch.tensor([[0.25, 0.75]])) * stretch / sample_rate
    return times.flatten().clamp(max=samples.numel() / sample_rate).numpy(), values.numpy()


def extent(config: STFTConfig, num_frames: int) -> tuple[float, float, float, float]:
    """Compute the edges of a spectrogram picture: left, right (s), bottom, top (kHz).

    Each bin and frame is drawn around its own frequency and time.

    Args:
        config: The settings of the transform.
        num_frames: Number of frames in the picture.

    Returns:
        What matplotlib's ``imshow(extent=...)`` expects.

    Notebook: 03
    """
    first = 0.0 if config.center else config.n_fft / 2
    left = (first - config.hop_length / 2) / config.sample_rate
    right = left + num_frames * config.hop_length / config.sample_rate
    half_bin = config.hz_per_bin / 2000
    return left, right, -half_bin, (2 * config.n_freqs - 1) * half_bin


def label_axes(ax: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Write title and axis labels in sizes that stay readable at 80 dots per inch.

    Args:
        ax: The Axes to label.
        title: Text above the picture; empty for none.
        xlabel: Name and unit of what runs to the right.
        ylabel: Name and unit of what runs upwards.

    Notebook: all
    """
    if title:
        ax.set_title(title, fontsize=_LABEL_SIZE + 1)
    ax.set_xlabel(xlabel, fontsize=_LABEL_SIZE)
    ax.set_ylabel(ylabel, fontsize=_LABEL_SIZE)
    ax.tick_params(labelsize=_TICK_SIZE)


def describe(figure: Figure) -> str:
    """Say in words what a figure shows, for those who hear the page instead of seeing it.

    Args:
        figure: Any figure; colour bars are left out.

    Returns:
        For every panel its title, its axes and its labelled curves.

    Notebook: all
    """
    panels = []
    for ax in figure.axes:
        if ax.get_label() == "<colorbar>":
            continue
        title = f"{ax.get_title()}: " if ax.get_title() else ""
        axes = f"{ax.get_ylabel() or 'the same'} over {ax.get_xlabel() or 'the same'}"
        curves = ", ".join(ax.get_legend_handles_labels()[1])
        panels.append(f"{title}{axes}" + (f"; curves: {curves}" if curves else ""))
    return "Figure. " + ". ".join(panels) + "."


def _light_png(figure: Figure) -> tuple[str, dict] | None:
    """Encode a figure as PNG with 256 colours, in base64 as notebooks store it, and describe it."""
    plain = print_figure(figure, fmt="png")
    if plain is None:  # nothing was drawn
        return None
    picture = Image.open(io.BytesIO(plain)).convert("RGB")
    light = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    light.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii"), {"alt": describe(figure)}


def _image(
    ax: Axes,
    picture: Tensor,
    config: STFTConfig,
    color_map: str,
    vmin: float,
    vmax: float,
    bar_label: str | None,
) -> None:
    """Draw a (freq, frame) picture with low frequencies at the bottom."""
    edges = extent(config, picture.shape[1])
    image = ax.imshow(
        picture.detach().cpu().float().numpy(),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=edges,
        cmap=color_map,
        vmin=vmin,
        vmax=vmax,
    )
    ax.set_xlim(max(0.0, edges[0]), edges[1])
    ax.set_ylim(0, config.sample_rate / 2000)
    if bar_label:
        bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
        bar.set_label(bar_label, fontsize=_TICK_SIZE)
        bar.ax.tick_params(labelsize=_TICK_SIZE)


def _new_axes(height: float) -> Axes:
    """Make a figure of the course's width and return its only Axes."""
    _, ax = plt.subplots(figsize=(9, height), dpi=DPI, layout="constrained")
    return ax


def _one_clip(values: Tensor, name: str, *n_freqs: int) -> Tensor:
    """Return (time,) or (n_freqs, frame) without leading dimensions, or refuse in a sentence."""
    validate_waveform(values, name=name)
    shape = (*n_freqs, values.shape[-1])
    if values.shape[-len(shape) :] != shape or values.numel() != math.prod(shape):
        raise ValueError(
            f"{name} must be one mono clip of shape {shape}, got {tuple(values.shape)}; pick one."
        )
    return values.detach().reshape(shape)
