"""Players for the notebooks: before and after at one click, honest about level.

IPython's own player turns every clip up to full scale, which hides exactly what a denoiser did.
The players here leave the level alone; only when a clip goes beyond full scale is the whole row
turned down, by one gain that the page states. The sound travels inside the page as FLAC.

A row of clips is written as plain audio elements, which every page can show. Where scripts run,
`listening.js` makes one player of them: one position, and a button for each clip that switches
while it plays. A notebook holds this code once, in the first output of its kernel that needs it.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import soundfile
import torch
from IPython import get_ipython
from IPython.display import HTML
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from course_utils.features import STFTConfig, stft
from course_utils.levels import rms
from course_utils.plotting import DPI, plot_spectrogram, plot_waveform
from course_utils.validate import (
    validate_integer,
    validate_not_empty,
    validate_number,
    validate_waveform,
)

_FULL_SCALE = 32767 / 32768  # the largest sample that 16 bits can hold
_FADE_SECONDS = 0.01  # a clip cut in mid-word would end in a click
_MIN_RATE = 1_000
_MAX_RATE = 192_000  # what a FLAC player understands
_PICTURE_SIZE = (480, 56)  # dots: enough to see words and noise, a tenth of the sound's bytes
_PICTURE_QUALITY = 30  # of WebP, from 0 to 100

Picture = Literal["spectrogram", "waveform"]

PLAYER_CODE = Path(__file__).with_name("listening.js")
"""The page's half of every player."""


class Player(HTML):
    """A row of clips in a page; the first one that a kernel shows brings the player's code along.

    Attributes:
        data: The row alone, without the code.

    Notebook: all
    """

    _bringer: object = None  # the cell whose output holds the code
    _brought: int | None = None  # the execution that put it there

    def _repr_html_(self) -> str:
        """Write the row, and after it the code if no other output of this kernel holds it."""
        shell = get_ipython()
        if shell is not None:
            parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
            run = shell.execution_count
            cell = parent.get("metadata", {}).get("cellId", run)
            if Player._bringer not in (None, cell) or Player._brought == run:
                return self.data
            Player._bringer, Player._brought = cell, run
        code = PLAYER_CODE.read_text(encoding="utf-8")
        return f'{self.data}<script type="module">{code}</script>'


def audio_player(
    waveform: Tensor,
    sample_rate: int,
    *,
    title: str = "",
    picture: Picture | None = "spectrogram",
) -> Player:
    """Show one player for a clip, with its level.

    Args:
        waveform: Samples, shape ``(time,)`` or ``(channel, time)`` with one or two channels.
        sample_rate: Samples per second, in Hz.
        title: Text above the player.
        picture: What is drawn above the position; None draws nothing.

    Returns:
        The player; it is displayed when it ends a cell.

    Raises:
        TypeError: If ``waveform`` is not a floating-point tensor or ``sample_rate`` not an int.
        ValueError: If ``waveform`` is empty, not finite, or has more than two channels, or
            ``sample_rate`` is one that no FLAC player understands.

    Notebook: all
    """
    clip = _as_clip(waveform, "waveform", sample_rate)
    return Player(_row({str(title): clip}, sample_rate, picture))


def compare_audio(
    clips: Mapping[str, Tensor],
    sample_rate: int,
    *,
    removed: tuple[str, str] | None = None,
    seconds: float | None = 3.0,
    picture: Picture | None = "spectrogram",
    show_levels: bool = True,
) -> Player:
    """Show a player that switches between clips while it plays, at one common gain.

    Each clip has its level in dBFS and its picture, all on one scale. Keys: space plays and
    pauses, 1 to 9 switch, the arrows seek, L repeats. A drag over the picture repeats that part.

    Args:
        clips: Title to samples, each ``(time,)`` or ``(channel, time)``; all of one shape once
            they are cut to ``seconds``.
        sample_rate: Samples per second of every clip, in Hz.
        removed: Titles of two clips, such as ``("noisy", "denoised")``: one more clip is the
            first minus the second, which is what was taken away.
        seconds: How much of the beginning of each clip to play; None plays all. Every second
            adds about 30 kB to the notebook for each clip.
        picture: What is drawn above the position; None draws nothing.
        show_levels: False says nothing about levels, for a blind test.

    Returns:
        The player; it is displayed when it ends a cell.

    Raises:
        TypeError: If a clip is not a floating-point tensor, ``clips`` not a mapping,
            ``sample_rate`` not an int, or ``seconds`` not a number.
        ValueError: If there is no clip, one is empty or not finite, the shapes differ,
            ``removed`` names a clip that is not there, or a number is out of range.

    Notebook: all
    """
    if seconds is not None:
        validate_number(seconds, "seconds", above=0)
    if not isinstance(clips, Mapping):
        raise TypeError(f"clips must be a dict, got {type(clips).__name__}; map titles to tensors.")
    validate_not_empty(clips, "clips")
    cut = {
        str(title): _cut(_as_clip(clip, f"clips[{title!r}]", sample_rate), seconds, sample_rate)
        for title, clip in clips.items()
    }
    shapes = {title: tuple(clip.shape) for title, clip in cut.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(
            f"clips must have one shape, got {shapes}; use to_mono, or shorten seconds."
        )
    if removed is not None:
        if isinstance(removed, str) or len(removed) != 2 or not set(removed) <= set(cut):
            raise ValueError(f"removed must be two of {list(cut)}, got {removed!r}; correct them.")
        before, after = removed
        cut[f"removed: {before} minus {after}"] = cut[before] - cut[after]
    return Player(_row(cut, sample_rate, picture, show_levels))


def _row(
    clips: dict[str, Tensor],
    sample_rate: int,
    picture: Picture | None,
    show_levels: bool = True,
) -> str:
    """Write the HTML of one row; clips are checked and of shape (channel, time)."""
    loudest = max(float(clip.abs().max()) for clip in clips.values())
    gain = _FULL_SCALE / loudest if loudest > 1.0 else 1.0
    many = len(clips) > 1
    note = "One gain for all: 0.0 dB, played as stored." if many else ""
    if gain < 1.0:
        note = (
            f"{'One gain for all' if many else 'Gain'}: {20 * math.log10(gain):.1f} dB, because "
            f"{'a clip' if many else 'the clip'} goes beyond full scale (its peak is "
            f"{20 * math.log10(loudest):+.1f} dBFS)."
        )
    players = "".join(
        _plain_player(title, clip, sample_rate, gain, picture, show_levels)
        for title, clip in clips.items()
    )
    seconds = next(iter(clips.values())).shape[-1] / sample_rate
    # No colours of our own: text inherits the theme's, borders are half-transparent grey.
    return (
        f'<before-after data-rate="{sample_rate}" data-seconds="{seconds}" '
        'style="display:block;margin:0.3em 0">'
        f'<div style="display:flex;flex-wrap:wrap;gap:0.8em">{players}</div>'
        + (
            f'<div class="note" style="font-size:85%;opacity:0.8;margin-top:0.3em">{note}</div>'
            if note and show_levels
            else ""
        )
        + "</before-after>"
    )


def _plain_player(
    title: str,
    clip: Tensor,
    sample_rate: int,
    gain: float,
    picture: Picture | None,
    show_levels: bool,
) -> str:
    """Write the HTML of one clip with its title, its picture and its level before the gain."""
    loudness = float(rms(clip.double()))
    level = f"{20 * math.log10(loudness):.1f} dBFS" if loudness > 0 else "silent"
    name = html.escape(title)
    head = f'<div style="font-weight:600;margin-bottom:0.2em">{name}</div>' if title else ""
    drawn = _picture(clip, sample_rate, picture) if picture else ""
    view = (
        f'<img src="data:image/webp;base64,{drawn}" alt="{picture} of {name or "the clip"}" '
        'style="width:100%;height:56px;display:block">'
        if drawn
        else ""
    )
    return (
        '<div style="flex:1 1 220px;max-width:340px;padding:0.5em;'
        'border:1px solid rgba(128,128,128,0.4);border-radius:6px">'
        + head
        + view
        + f'<audio controls preload="auto" style="width:100%" aria-label="{name or "player"}" '
        + (f'data-level="{level}" ' if show_levels else "")
        + f'src="data:audio/flac;base64,{_flac(clip * gain, sample_rate)}"></audio>'
        + (f'<div style="font-size:85%;opacity:0.8">level {level}</div>' if show_levels else "")
        + "</div>"
    )


def _picture(clip: Tensor, sample_rate: int, kind: Picture) -> str:
    """Draw a clip without axes, on the course's own scales, as WebP in base64."""
    width, height = _PICTURE_SIZE
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    figure.set_layout_engine("none")  # the course's style has one, which would move the picture
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    mono = clip.mean(dim=0)
    if kind == "waveform":
        plot_waveform(mono, sample_rate, ax=axes).set_ylim(-1, 1)
    else:
        # 8 ms: about as many bins as dots, so that no thin line falls between two rows of them.
        window = 2 ** round(math.log2(0.008 * sample_rate))
        config = STFTConfig(sample_rate, window, window, window // 2)
        plot_spectrogram(stft(mono, config), config, ax=axes, colorbar=False)
    axes.set_axis_off()
    canvas.draw()
    pixels = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    buffer = io.BytesIO()
    pixels.convert("RGB").save(buffer, "WEBP", quality=_PICTURE_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _flac(clip: Tensor, sample_rate: int) -> str:
    """Encode (channel, time) samples within full scale as 16-bit FLAC, in base64."""
    buffer = io.BytesIO()
    samples = clip.clamp(-1.0, _FULL_SCALE).T.contiguous().numpy()  # (time, channel)
    soundfile.write(buffer, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _cut(clip: Tensor, seconds: float | None, sample_rate: int) -> Tensor:
    """Keep the beginning of a clip and let the cut end fade out."""
    num_samples = clip.shape[-1] if seconds is None else max(1, round(seconds * sample_rate))
    if clip.shape[-1] <= num_samples:
        return clip
    fade = min(num_samples, max(1, round(_FADE_SECONDS * sample_rate)))
    ramp = torch.ones(num_samples)
    ramp[-fade:] = torch.linspace(1.0, 0.0, fade)
    return clip[:, :num_samples] * ramp


def _as_clip(clip: Tensor, name: str, sample_rate: int) -> Tensor:
    """Return a clip as float32 (channel, time) on the CPU; refuse it or its rate in a sentence."""
    validate_integer(sample_rate, "sample_rate", minimum=_MIN_RATE, maximum=_MAX_RATE)
    validate_waveform(clip, name=name)
    if clip.ndim > 2 or (clip.ndim == 2 and clip.shape[0] > 2):
        raise ValueError(
            f"{name} must have shape (time,) or (channel, time) with at most two channels, got "
            f"{tuple(clip.shape)}; pick one clip of the batch, or transpose it."
        )
    clip = clip.detach().to("cpu", torch.float32)
    return clip[None] if clip.ndim == 1 else clip
