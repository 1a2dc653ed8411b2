"""The frame of every explorer: controls, a picture that is kept, facts and a player.

An explorer keeps one figure for its whole life. Axes and lettering are drawn once; a move
exchanges the data and paints only the parts that changed over them, which takes a fifth of the
time of a new figure. The picture reaches the page as PNG bytes in an Image
widget and not through an Output widget, so that an error in a handler is seen and not swallowed.
A setting that cannot work leaves the last picture in place and shows a sentence.
"""

from __future__ import annotations

import html
import io
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import anywidget
import ipywidgets
import numpy
import torch
import traitlets
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image
from torch import Tensor

from course_utils.features import STFTConfig, decibels, magnitude, stft
from course_utils.listening import PLAYER_CODE
from course_utils.plotting import COLORS, DPI, extent, full_scale_reference, label_axes
from course_utils.validate import validate_channels, validate_one_channel, validate_waveform

WHEN_RELEASED: dict[str, Any] = {
    "continuous_update": False,
    "style": {"description_width": "initial"},
}
"""Options of a slider: it reports when it is let go, not on the way; its name is not cut off."""

_SECONDS = 3.0
_MAX_ROWS, _MAX_COLUMNS = 400, 900  # more cells than the picture has dots cost time, not detail


class View(NamedTuple):
    """What one change of a slider leads to: a line of facts, and a player or nothing."""

    facts: str
    player: str = ""


class LivePlayer(anywidget.AnyWidget):
    """A player whose clips can be exchanged while it plays: it goes on at its position.

    Attributes:
        value: What `listening.compare_audio` writes; empty for no player.

    Notebook: 01, 02, 03, 04, 06
    """

    _esm = PLAYER_CODE
    value = traitlets.Unicode().tag(sync=True)


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

    Notebook: 01, 02, 03, 04, 06
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
        self.player = LivePlayer()
        self._figure = figure
        self._canvas = FigureCanvasAgg(figure)
        self._moving = moving
        self._update = update
        for artist in moving:
            artist.set_animated(True)  # left out of the drawing that is kept
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(figure.bbox)
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
            self._figure.draw_artist(artist)
        self.image.value = as_png(self._canvas)
        self.facts.value = f'<div style="line-height:1.5">{view.facts}</div>'
        self.player.value = view.player


def make_figure(num_rows: int, num_columns: int, *, height: float) -> tuple[Figure, list[Axes]]:
    """Make a figure outside pyplot, so that no cell displays it a second time.

    Args:
        num_rows: Rows of panels.
        num_columns: Columns of panels.
        height: In inches; the width is 9.

    Returns:
        The figure and its panels, row by row.
    """
    figure = Figure(figsize=(9, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(num_rows, num_columns, squeeze=False).flat)


def empty_picture(
    axes: Axes, config: STFTConfig, duration: float, color_map: str, vmin: float, vmax: float
) -> AxesImage:
    """Prepare a time-frequency picture whose data come later.

    Args:
        axes: Where to draw it.
        config: The settings of the transform.
        duration: In seconds.
        color_map: Name of a colour map.
        vmin: The value that gets the darkest colour.
        vmax: The value that gets the brightest.

    Returns:
        The image artist.
    """
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


def levels_db(spectrogram: Tensor, config: STFTConfig) -> Tensor:
    """Compute levels in dB below a sine at full scale.

    Args:
        spectrogram: Complex, shape ``(..., freq, frame)``.
        config: The settings it was made with.

    Returns:
        Levels, same shape.
    """
    return decibels(magnitude(spectrogram), top_db=120, reference=full_scale_reference(config))


def set_spectrogram(picture: AxesImage, waveform: Tensor, config: STFTConfig) -> tuple[int, int]:
    """Put the spectrogram of a mono waveform into a picture.

    Args:
        picture: From `empty_picture`.
        waveform: Shape ``(1, time)``.
        config: The settings of the transform.

    Returns:
        The shape of the spectrogram, (freq, frame).
    """
    spectrogram = stft(waveform[0], config)
    set_picture(picture, levels_db(spectrogram, config), config)
    num_freqs, num_frames = spectrogram.shape
    return num_freqs, num_frames


def set_picture(picture: AxesImage, values: Tensor, config: STFTConfig) -> None:
    """Put values into a picture, with no more cells than it has dots.

    Args:
        picture: From `empty_picture`.
        values: Shape ``(freq, frame)``.
        config: The settings of the transform, which place them in time and frequency.
    """
    num_freqs, num_frames = values.shape
    step = (math.ceil(num_freqs / _MAX_ROWS), math.ceil(num_frames / _MAX_COLUMNS))
    if max(step) > 1:  # the largest value of each group stays, so thin lines do not vanish
        values = torch.nn.functional.max_pool2d(values[None], step, ceil_mode=True)[0]
    left, _, bottom, _ = extent(config, num_frames)
    right = left + values.shape[1] * step[1] * config.hop_length / config.sample_rate
    top = bottom + values.shape[0] * step[0] * config.hz_per_bin / 1000
    times = picture.axes.get_xlim()
    frequencies = picture.axes.get_ylim()
    picture.set_data(values.detach().cpu().numpy())
    picture.set_extent((left, right, bottom, top))
    picture.axes.set(xlim=times, ylim=frequencies)


def as_png(canvas: FigureCanvasBase) -> bytes:
    """Encode what is on a canvas: 256 colours and little compression are quick and small.

    Args:
        canvas: The canvas of a drawn figure that `make_figure` made.

    Returns:
        The bytes of a PNG file.
    """
    assert isinstance(canvas, FigureCanvasAgg)  # the one that make_figure puts there
    pixels = numpy.asarray(canvas.buffer_rgba())[..., :3]  # (height, width, RGB)
    picture = Image.fromarray(numpy.ascontiguousarray(pixels))
    picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def first_seconds(waveform: Tensor, name: str, sample_rate: int) -> Tensor:
    """Take the beginning of a mono clip.

    Args:
        waveform: Samples, shape ``(1, time)``.
        name: What a complaint calls it.
        sample_rate: Samples per second, in Hz.

    Returns:
        At most three seconds, float32, on the CPU.

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor.
        ValueError: If ``waveform`` is empty, not mono or not finite.
    """
    validate_waveform(waveform, name=name)
    validate_channels(waveform, name=name)
    validate_one_channel(waveform, name=name)
    return waveform[:, : round(_SECONDS * sample_rate)].detach().to("cpu", torch.float32)
