"""Explorers: move a slider, and the picture, the numbers and the sound follow.

Each explorer keeps one figure for its whole life. Axes and lettering are drawn once; a move
exchanges the data and paints only the parts that changed over them, which takes a fifth of the
time of a new figure. The picture reaches the page as PNG bytes in an Image
widget and not through an Output widget, so that an error in a handler is seen and not swallowed.
A setting that cannot work leaves the last picture in place and shows a sentence.

`TrainingMonitor` has no sliders: it follows a training run.
"""

from __future__ import annotations

import html
import io
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import ipywidgets
import numpy
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from course_utils.features import (
    WINDOW_NAMES,
    STFTConfig,
    apply_mask,
    decibels,
    ideal_ratio_mask,
    istft,
    magnitude,
    stft,
)
from course_utils.listening import compare_audio
from course_utils.mixing import mix_at_snr
from course_utils.plotting import (
    COLORS,
    DPI,
    MASK_MAP,
    SPECTROGRAM_MAP,
    VMAX,
    VMIN,
    extent,
    full_scale_reference,
    label_axes,
    outline,
    plot_training,
)
from course_utils.training import TrainConfig

# The handler runs when the slider is let go, not at every step on the way.
_CALM = {"continuous_update": False}
_SECONDS = 3.0
_SNR_RANGE = (-10.0, 30.0)
_MAX_ROWS, _MAX_COLUMNS = 400, 900  # more cells than the picture has dots cost time, not detail


class View(NamedTuple):
    """What one change of a slider leads to: a line of facts, and a player or nothing."""

    facts: str
    player: str = ""


class Explorer(ipywidgets.VBox):
    """A box of controls, a picture, a line of facts and a player that follow each other.

    Args:
        controls: Name to ipywidgets control; the names are the arguments of ``update``.
        figure: The figure to keep, with its axes as they will stay.
        moving: The artists in it whose data ``update`` exchanges, from back to front.
        update: Called with the values of all controls. Returns a `View`, or raises ValueError
            or TypeError with a sentence before it changes anything.

    Raises:
        ValueError: If the first call of ``update`` fails: then the material itself is at fault.

    Notebook: 01, 03, 04
    """

    def __init__(
        self,
        controls: dict[str, ipywidgets.Widget],
        figure: Figure,
        moving: list[Artist],
        update: Callable[..., View],
    ) -> None:
        """Draw the first picture and listen to the controls."""
        self.controls = controls
        size = {"width": f"{figure.bbox.width:.0f}px", "max_width": "100%", "height": "auto"}
        self.image = ipywidgets.Image(format="png", layout=size)
        self.message = ipywidgets.HTML()
        self.facts = ipywidgets.HTML()
        self.player = ipywidgets.HTML()
        self._canvas, self._moving, self._update = figure.canvas, moving, update
        for artist in moving:
            artist.set_animated(True)  # left out of the drawing that is kept
        figure.canvas.draw()
        self._background = figure.canvas.copy_from_bbox(figure.bbox)
        self._show(self._call())
        for control in controls.values():
            control.observe(self._on_change, names="value")
        row = ipywidgets.HBox(list(controls.values()), layout={"flex_flow": "row wrap"})
        super().__init__([row, self.message, self.image, self.facts, self.player])

    def __repr__(self) -> str:
        """Name the controls and their values; the inherited text would spell out the picture."""
        values = ", ".join(f"{name}={control.value!r}" for name, control in self.controls.items())
        return f"Explorer({values})"

    def _repr_mimebundle_(self, **options: object) -> dict:
        """Add what a page shows that was opened and not yet run."""
        bundle = super()._repr_mimebundle_(**options)
        bundle["text/plain"] = f"{self!r}: run this cell, and the sliders appear here."
        return bundle

    def _call(self) -> View:
        """Ask for the view that belongs to the present values of the controls."""
        return self._update(**{name: control.value for name, control in self.controls.items()})

    def _on_change(self, _change: object) -> None:
        """Follow a control, or say in a sentence why that is impossible."""
        try:
            view = self._call()
        except (TypeError, ValueError) as error:
            self.message.value = (
                f'<div role="alert" style="border-left:4px solid {COLORS["noisy"]};'
                f'padding:0.3em 0.8em">This combination cannot work, so the picture stays as it '
                f"was: {html.escape(str(error))}</div>"
            )
            return
        self._show(view)
        self.message.value = ""

    def _show(self, view: View) -> None:
        """Send picture, facts and player to the page, each only if it changed."""
        self._canvas.restore_region(self._background)
        for artist in self._moving:
            artist.axes.draw_artist(artist)
        self.image.value = _png(self._canvas)
        self.facts.value = f'<div style="line-height:1.5">{view.facts}</div>'
        self.player.value = view.player


class TrainingMonitor(ipywidgets.VBox):
    """A progress bar and a loss curve that follow a run of `training.fit`.

    Hand its two methods to the run: ``fit(..., on_step=monitor.on_step,
    on_epoch=monitor.on_epoch)``. The bar follows the epochs or the minutes of ``config``,
    whichever is further; the curve gets a point after every epoch.

    Args:
        config: The settings of the run.
        steps_per_epoch: ``len(train_loader)``.
        baselines: Name to loss, for `plot_training`.
        clock: Gives the time in seconds.

    Raises:
        ValueError: If ``steps_per_epoch`` is below 1.

    Notebook: 05
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        steps_per_epoch: int,
        baselines: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Draw an empty curve and a bar at zero."""
        if steps_per_epoch < 1:
            raise ValueError(
                f"steps_per_epoch must be at least 1, got {steps_per_epoch}; use len(train_loader)."
            )
        self._config, self._steps_per_epoch = config, steps_per_epoch
        self._baselines, self._clock, self._start = dict(baselines or {}), clock, None
        figure, self._axes = _figure(1, 1, height=3.6)
        self._canvas = figure.canvas
        size = {"width": f"{figure.bbox.width:.0f}px", "max_width": "100%", "height": "auto"}
        self.bar = ipywidgets.IntProgress(max=1000, description="training", layout={"width": "60%"})
        self.facts = ipywidgets.HTML("waiting for the first step")
        self.image = ipywidgets.Image(format="png", layout=size)
        label_axes(self._axes, "", "Epoch", "Loss")
        self._draw()
        super().__init__([ipywidgets.HBox([self.bar, self.facts]), self.image])

    def __repr__(self) -> str:
        """Say how far the run is; the inherited text would spell out the picture."""
        return f"TrainingMonitor({self.bar.value / self.bar.max:.0%})"

    def _repr_mimebundle_(self, **options: object) -> dict:
        """Add what a page shows that was opened and not yet run."""
        bundle = super()._repr_mimebundle_(**options)
        bundle["text/plain"] = "TrainingMonitor: run this cell, and bar and curve appear here."
        return bundle

    def on_step(self, step: int, loss: float) -> None:
        """Move the bar.

        Args:
            step: Number of the step in the run, from 0.
            loss: Its training loss.
        """
        self._start = self._clock() if self._start is None else self._start
        minutes = (self._clock() - self._start) / 60
        done = (step + 1) / (self._config.epochs * self._steps_per_epoch)
        limit = self._config.max_minutes
        if limit is not None:
            done = max(done, minutes / limit)
        self.bar.value = min(self.bar.max, round(self.bar.max * done))
        epoch, in_epoch = divmod(step, self._steps_per_epoch)
        self.facts.value = (
            f"epoch {epoch}, step {in_epoch + 1} of {self._steps_per_epoch}, loss {loss:.3f}, "
            f"{minutes:.1f} {'' if limit is None else f'of {limit:g} '}minutes"
        )

    def on_epoch(self, history: list[dict]) -> None:
        """Add the newest point to the curve.

        Args:
            history: As `fit` gives it, one entry per epoch so far.
        """
        if "seconds" in history[-1]:  # a run that goes on after a stop has a past
            self._start = self._clock() - history[-1]["seconds"]
        self._axes.clear()
        plot_training(history, self._baselines, ax=self._axes)
        self._draw()

    def _draw(self) -> None:
        """Send the kept figure to the page."""
        self._canvas.draw()
        self.image.value = _png(self._canvas)


def snr_explorer(clean: Tensor, noise: Tensor, sample_rate: int) -> Explorer:
    """Mix speech and noise at the SNR of a slider; see and hear the mixture.

    Args:
        clean: Speech, shape ``(1, time)``; its first three seconds are used.
        noise: Noise of the same shape.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the control ``snr_db`` from -10 to 30 dB.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ or a clip is empty, silent or not finite.

    Notebook: 01
    """
    config = STFTConfig(sample_rate=sample_rate)
    clean = _first_seconds(clean, "clean", sample_rate)
    noise = _first_seconds(noise, "noise", sample_rate)
    figure, (wave_axes, picture_axes) = _figure(2, 1, height=5.0)
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
    picture = _empty_picture(picture_axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    figure.colorbar(picture, ax=picture_axes, label="Level (dB)", pad=0.02)

    def update(snr_db: float) -> View:
        noisy = mix_at_snr(clean, noise, float(snr_db))
        added = noisy - clean
        measured = 10 * math.log10(float(clean.square().mean() / added.square().mean()))
        measured = round(measured, 2) + 0.0  # and never "-0.00"
        lines["noisy"].set_ydata(outline(noisy[0], sample_rate)[1])
        _set_spectrogram(picture, noisy, config)
        facts = f"slider: {snr_db:g} dB, measured on this mixture: <b>{measured:.2f} dB</b>"
        return View(facts, compare_audio({"noisy": noisy}, sample_rate, seconds=None).data)

    controls = {
        "snr_db": ipywidgets.FloatSlider(
            value=5.0,
            min=_SNR_RANGE[0],
            max=_SNR_RANGE[1],
            step=1.0,
            description="SNR (dB)",
            **_CALM,
        )
    }
    moving = [*lines.values(), legend, picture]
    return Explorer(controls, figure, moving, update)


def stft_explorer(waveform: Tensor, sample_rate: int) -> Explorer:
    """Look at one clip through windows of different lengths, steps and shapes.

    Args:
        waveform: Samples, shape ``(1, time)``; the first three seconds are used.
        sample_rate: Samples per second, in Hz.

    Returns:
        The explorer, with the controls ``n_fft``, ``hop_length``, ``win_length``, ``window``.

    Raises:
        TypeError: If ``waveform`` is no floating-point tensor.
        ValueError: If ``waveform`` is empty, not mono or not finite.

    Notebook: 03
    """
    waveform = _first_seconds(waveform, "waveform", sample_rate)
    num_samples = waveform.shape[-1]
    figure, axes = _figure(1, 1, height=3.4)
    start = STFTConfig(sample_rate=sample_rate)
    duration = num_samples / sample_rate
    picture = _empty_picture(axes, start, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    figure.colorbar(picture, ax=axes, label="Level (dB)", pad=0.02)

    def update(n_fft: int, hop_length: int, win_length: int, window: str) -> View:
        config = STFTConfig(sample_rate, n_fft, win_length, hop_length, window)
        num_freqs, num_frames = _set_spectrogram(picture, waveform, config)
        numbers = num_freqs * num_frames
        inverse = (
            "<b>invertible</b>: the sound can be rebuilt exactly"
            if config.invertible
            else "<b>not invertible</b>: some samples fall into gaps between the windows"
        )
        return View(
            f"shape (freq, frame) = <b>({num_freqs}, {num_frames})</b> &middot; "
            f"{config.hz_per_bin:.1f} Hz per bin &middot; {config.ms_per_frame:.1f} ms per frame "
            f"&middot; window of {1000 * win_length / sample_rate:.1f} ms &middot; {numbers:,} "
            f"complex numbers for {num_samples:,} samples<br>{inverse}"
        )

    def steps(name: str, value: int, low: int, high: int) -> ipywidgets.SelectionSlider:
        options = [2**power for power in range(low, high + 1)]
        return ipywidgets.SelectionSlider(options=options, value=value, description=name, **_CALM)

    controls = {
        "n_fft": steps("n_fft", start.n_fft, 6, 12),
        "hop_length": steps("hop_length", start.hop_length, 5, 10),
        "win_length": steps("win_length", start.win_length, 6, 12),
        "window": ipywidgets.Dropdown(
            options=WINDOW_NAMES, value=start.window, description="window"
        ),
    }
    return Explorer(controls, figure, [picture], update)


def mask_explorer(noisy: Tensor, clean: Tensor, config: STFTConfig) -> Explorer:
    """Go from no mask at all to the ideal ratio mask and beyond; see and hear what is left.

    The mask is ``max(ideal ** strength, floor)``: at strength 0 it is 1 everywhere (nothing is
    removed), at 1 it is the ideal ratio mask, above 1 it bites harder. The floor is the least
    that every bin keeps.

    Args:
        noisy: Noisy speech, shape ``(1, time)``; the first three seconds are used.
        clean: The same speech without noise, same shape.
        config: The settings of the transform.

    Returns:
        The explorer, with the controls ``strength`` and ``floor_db``.

    Raises:
        TypeError: If an input is no floating-point tensor.
        ValueError: If the shapes differ, a clip is empty, not mono or not finite, or ``config``
            cannot be inverted.

    Notebook: 04
    """
    noisy = _first_seconds(noisy, "noisy", config.sample_rate)
    clean = _first_seconds(clean, "clean", config.sample_rate)
    if noisy.shape != clean.shape:
        raise ValueError(
            f"clean must have the shape {tuple(noisy.shape)} of noisy, got {tuple(clean.shape)}; "
            "use the two members of one pair."
        )
    num_samples = noisy.shape[-1]
    spectrogram = stft(noisy, config)  # (1, freq, frame)
    ideal = ideal_ratio_mask(stft(clean, config), stft(noisy - clean, config))
    figure, (mask_axes, picture_axes) = _figure(1, 2, height=3.2)
    duration = num_samples / config.sample_rate
    mask_picture = _empty_picture(mask_axes, config, duration, MASK_MAP, 0.0, 1.0)
    picture = _empty_picture(picture_axes, config, duration, SPECTROGRAM_MAP, VMIN, VMAX)
    mask_axes.set_title("mask", fontsize=12)
    picture_axes.set_title("noisy times mask", fontsize=12)
    figure.colorbar(mask_picture, ax=mask_axes, label="Share kept", pad=0.02)
    figure.colorbar(picture, ax=picture_axes, label="Level (dB)", pad=0.02)

    def update(strength: float, floor_db: float) -> View:
        mask = (ideal**strength).clamp(min=10 ** (floor_db / 20))
        masked = apply_mask(spectrogram, mask)
        estimate = istft(masked, config, length=num_samples)
        _set_picture(mask_picture, mask[0], config)
        _set_picture(picture, _levels(masked[0], config), config)
        error = float((estimate - clean).square().mean())
        before = float((noisy - clean).square().mean())
        change = 10 * math.log10(before / error) if before > 0 and error > 0 else 0.0
        clips = {"noisy": noisy, "masked": estimate, "clean": clean}
        row = compare_audio(clips, config.sample_rate, removed=("noisy", "masked"), seconds=None)
        facts = (
            f"on average the mask keeps <b>{float(mask.mean()):.0%}</b> of a bin; the error "
            f"against the clean clip changes by <b>{-change:+.1f} dB</b>"
        )
        return View(facts, row.data)

    controls = {
        "strength": ipywidgets.FloatSlider(
            value=1.0, min=0.0, max=2.0, step=0.1, description="strength", **_CALM
        ),
        "floor_db": ipywidgets.FloatSlider(
            value=-60.0, min=-60.0, max=0.0, step=3.0, description="floor (dB)", **_CALM
        ),
    }
    return Explorer(controls, figure, [mask_picture, picture], update)


def _figure(num_rows: int, num_columns: int, *, height: float) -> tuple[Figure, Axes]:
    """Make a figure outside pyplot, so that no cell displays it a second time."""
    figure = Figure(figsize=(9, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(num_rows, num_columns)


def _empty_picture(axes, config, duration, color_map, vmin, vmax):
    """Prepare a time-frequency picture whose data come later."""
    label_axes(axes, "", "Time (s)", "Frequency (kHz)")
    image = axes.imshow(
        torch.zeros(2, 2).numpy(),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=color_map,
        vmin=vmin,
        vmax=vmax,
    )
    image.set_extent((0, duration, 0, config.sample_rate / 2000))
    axes.set_autoscale_on(False)
    return image


def _levels(spectrogram: Tensor, config: STFTConfig) -> Tensor:
    """Compute levels in dB below a sine at full scale."""
    return decibels(magnitude(spectrogram), top_db=120, reference=full_scale_reference(config))


def _set_spectrogram(picture, waveform: Tensor, config: STFTConfig) -> tuple[int, int]:
    """Put the spectrogram of a mono waveform into a picture; returns its (freq, frame)."""
    spectrogram = stft(waveform[0], config)
    _set_picture(picture, _levels(spectrogram, config), config)
    return tuple(spectrogram.shape)


def _set_picture(picture, values: Tensor, config: STFTConfig) -> None:
    """Put (freq, frame) values into a picture, with no more cells than it has dots."""
    num_freqs, num_frames = values.shape
    step = (math.ceil(num_freqs / _MAX_ROWS), math.ceil(num_frames / _MAX_COLUMNS))
    if max(step) > 1:  # the largest value of each group stays, so thin lines do not vanish
        values = torch.nn.functional.max_pool2d(values[None], step, ceil_mode=True)[0]
    left, _, bottom, _ = extent(config, num_frames)
    right = left + values.shape[1] * step[1] * config.hop_length / config.sample_rate
    top = bottom + values.shape[0] * step[0] * config.hz_per_bin / 1000
    limits = picture.axes.get_xlim(), picture.axes.get_ylim()
    picture.set_data(values.detach().cpu().numpy())
    picture.set_extent((left, right, bottom, top))
    picture.axes.set(xlim=limits[0], ylim=limits[1])


def _png(canvas: FigureCanvasAgg) -> bytes:
    """Encode what is on the canvas: 256 colours and little compression are quick and small."""
    pixels = numpy.asarray(canvas.buffer_rgba())[..., :3]  # (height, width, RGB)
    picture = Image.fromarray(numpy.ascontiguousarray(pixels))
    picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _first_seconds(waveform: Tensor, name: str, sample_rate: int) -> Tensor:
    """Return the beginning of a mono clip as float32 (1, time), or raise a sentence."""
    if not isinstance(waveform, Tensor) or not waveform.is_floating_point():
        got = waveform.dtype if isinstance(waveform, Tensor) else type(waveform).__name__
        raise TypeError(f"{name} must be a floating-point tensor, got {got}; use load_audio.")
    if waveform.dim() != 2 or waveform.shape[0] != 1 or waveform.shape[1] == 0:
        raise ValueError(
            f"{name} must be one mono clip of shape (1, time), got {tuple(waveform.shape)}; "
            "fold it down with to_mono, or pick one clip of the batch."
        )
    if not bool(torch.isfinite(waveform).all()):
        raise ValueError(f"{name} must be finite, got NaN or infinity; find the step that made it.")
    return waveform[:, : round(_SECONDS * sample_rate)].detach().to("cpu", torch.float32)
