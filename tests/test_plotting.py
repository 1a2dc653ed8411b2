"""Figures: what is drawn, where, on which scale, and the refusals."""

import base64
import io
import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure
from PIL import Image

from course_utils.features import STFTConfig, magnitude, stft
from course_utils.plotting import (
    COLORS,
    VMAX,
    VMIN,
    describe,
    extent,
    full_scale_reference,
    outline,
    plot_mask,
    plot_spectrogram,
    plot_training,
    plot_waveform,
    use_course_style,
)

RATE = 16_000
CONFIG = STFTConfig()
HISTORY = [
    {"epoch": 0, "train_loss": 0.9, "validation_loss": 1.0, "lr": 1e-3},
    {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.6, "lr": 1e-3},
]


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def sine(frequency=1000.0, amplitude=1.0, num_samples=RATE):
    times = torch.arange(num_samples, dtype=torch.float64) / RATE
    return (amplitude * torch.sin(2 * math.pi * frequency * times)).float()[None]


def labels(ax):
    return ax.get_title(), ax.get_xlabel(), ax.get_ylabel()


@pytest.fixture
def own_style():
    with matplotlib.rc_context():
        yield


ALL = {
    "waveform": lambda **options: plot_waveform(sine(), RATE, **options),
    "spectrogram": lambda **options: plot_spectrogram(stft(sine(), CONFIG), CONFIG, **options),
    "mask": lambda **options: plot_mask(torch.rand(1, 257, 9), CONFIG, **options),
    "training": lambda **options: plot_training(HISTORY, **options),
}


@pytest.mark.parametrize("name", ALL)
def test_every_plot_returns_the_axes_it_was_given_and_shows_nothing(name, monkeypatch):
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("show() was called"))
    _, ax = plt.subplots()
    assert ALL[name](ax=ax, title="a title") is ax
    assert ax.get_title() == "a title"
    fresh = ALL[name]()
    assert fresh is not ax and fresh.figure.dpi <= 80
    fresh.figure.canvas.draw()  # fonts, colour maps and layout all work


@pytest.mark.parametrize("name", ALL)
def test_every_axis_has_a_name_and_readable_lettering(name):
    ax = ALL[name]()
    _, xlabel, ylabel = labels(ax)
    assert xlabel and ylabel
    texts = [ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), *ax.get_yticklabels()]
    assert min(text.get_fontsize() for text in texts) >= 10


def test_axes_carry_units():
    assert labels(ALL["waveform"]())[1:] == ("Time (s)", "Amplitude")
    assert labels(ALL["spectrogram"]())[1:] == ("Time (s)", "Frequency (kHz)")
    assert labels(ALL["mask"]())[1:] == ("Time (s)", "Frequency (kHz)")
    assert labels(ALL["training"]())[1:] == ("Epoch", "Loss")


def test_waveform_is_drawn_sample_by_sample_when_short():
    ax = plot_waveform(sine(num_samples=160), RATE, color=COLORS["noisy"], label="noisy")
    times, values = ax.lines[0].get_data()
    np.testing.assert_allclose(times, np.arange(160) / RATE)
    np.testing.assert_allclose(values, sine(num_samples=160)[0].numpy())
    assert ax.get_xlim() == (0, 0.01)
    assert ax.lines[0].get_color() == COLORS["noisy"] and ax.lines[0].get_label() == "noisy"


def test_outline_keeps_every_peak():
    clip = torch.zeros(50_001)
    clip[12_345], clip[40_000], clip[50_000] = 1.0, -1.0, 0.5
    times, values = outline(clip, RATE)
    assert len(times) == len(values) <= 1402
    assert (values.max(), values.min()) == (1.0, -1.0)
    assert times[values.argmax()] == pytest.approx(12_345 / RATE, abs=50_001 / 700 / RATE)
    assert 0.5 in values
    assert (np.diff(times) >= 0).all() and times[-1] <= 50_001 / RATE


def test_spectrogram_shows_a_tone_at_its_frequency_and_level():
    """A full-scale sine lies at 0 dB, one of a tenth at -20 dB, both at their frequency."""
    for amplitude, level in [(1.0, 0.0), (0.1, -20.0)]:
        ax = plot_spectrogram(stft(sine(1000.0, amplitude), CONFIG), CONFIG)
        image = ax.images[0]
        column = np.asarray(image.get_array())[:, 30]
        assert column.max() == pytest.approx(level, abs=0.01)
        left, right, bottom, top = image.get_extent()
        height = (top - bottom) / 257
        assert bottom + (column.argmax() + 0.5) * height == pytest.approx(1.0)  # kHz


def test_noisy_and_clean_share_one_scale_whatever_their_level():
    quiet, loud = (stft(sine(amplitude=a), CONFIG) for a in (0.01, 0.9))
    for spectrogram in (quiet, loud, magnitude(loud)):
        image = plot_spectrogram(spectrogram, CONFIG).images[0]
        assert image.get_clim() == (VMIN, VMAX)
        assert image.get_cmap().name == "magma"
    wide = plot_spectrogram(loud, CONFIG, vmin=-40, vmax=3).images[0]
    assert wide.get_clim() == (-40, 3)


def test_reference_moves_the_levels():
    spectrogram = stft(sine(), CONFIG)
    half = full_scale_reference(CONFIG) * 10  # 20 dB above full scale
    image = plot_spectrogram(spectrogram, CONFIG, reference=half).images[0]
    assert np.asarray(image.get_array())[:, 30].max() == pytest.approx(-20.0, abs=0.01)


def test_silence_is_drawn_dark():
    image = plot_spectrogram(torch.zeros(257, 5), CONFIG).images[0]
    assert float(np.asarray(image.get_array()).max()) < VMIN
    assert np.isfinite(np.asarray(image.get_array())).all()


def test_colour_bar_can_be_left_out():
    with_bar = plot_spectrogram(torch.ones(257, 5), CONFIG)
    assert [ax.get_ylabel() for ax in with_bar.figure.axes] == ["Frequency (kHz)", "Level (dB)"]
    without = plot_mask(torch.ones(257, 5), CONFIG, colorbar=False)
    assert len(without.figure.axes) == 1


def test_each_frame_is_drawn_around_its_own_time():
    left, right, bottom, top = extent(CONFIG, 64)
    assert (left, right) == pytest.approx((-0.008, 64 * 0.016 - 0.008))
    assert (bottom, top) == pytest.approx((-0.015625, 8.015625))
    assert extent(STFTConfig(center=False), 1)[:2] == pytest.approx((0.008, 0.024))


def test_mask_scale_is_zero_to_one():
    image = plot_mask(torch.full((257, 5), 0.5), CONFIG).images[0]
    assert image.get_clim() == (0.0, 1.0)
    assert image.get_cmap().name == "cividis"
    assert np.asarray(image.get_array()).shape == (257, 5)


def test_training_curves_and_what_is_to_be_beaten():
    ax = plot_training(HISTORY, {"doing nothing": 0.8, "silence": 1.2})
    curves = {line.get_label(): line for line in ax.lines}
    assert list(curves["training"].get_ydata()) == [0.9, 0.5]
    assert list(curves["validation"].get_ydata()) == [1.0, 0.6]
    assert list(curves["training"].get_xdata()) == [1, 2]
    assert set(curves["doing nothing"].get_ydata()) == {0.8}
    assert set(curves["silence"].get_ydata()) == {1.2}
    assert curves["doing nothing"].get_linestyle() != curves["silence"].get_linestyle()
    shown = {text.get_text() for text in ax.get_legend().get_texts()}
    assert shown == {"training", "validation", "doing nothing", "silence"}


def test_one_epoch_is_enough():
    assert plot_training(HISTORY[:1]).lines[0].get_marker() == "o"


def test_inputs_may_carry_gradients_and_are_not_changed():
    clip = sine(num_samples=5000).requires_grad_()
    kept = clip.detach().clone()
    plot_waveform(clip, RATE)
    plot_spectrogram(stft(clip, CONFIG), CONFIG)
    assert torch.equal(clip.detach(), kept)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plot_waveform([0.0], RATE), TypeError, "waveform.*got list"),
        (lambda: plot_waveform(torch.ones(9).int(), RATE), TypeError, "got torch.int32"),
        (lambda: plot_waveform(torch.ones(1, 0), RATE), ValueError, r"waveform.*\(1, 0\)"),
        (
            lambda: plot_waveform(torch.ones(2, 9), RATE),
            ValueError,
            r"mono.*\(2, 9\)",
        ),
        (lambda: plot_waveform(torch.tensor([math.nan]), RATE), ValueError, "finite"),
        (
            lambda: plot_waveform(torch.ones(9), 0),
            ValueError,
            "sample_rate.*got 0",
        ),
        (lambda: plot_spectrogram(torch.ones(129, 4), CONFIG), ValueError, "257.*129"),
        (lambda: plot_spectrogram(torch.ones(257), CONFIG), ValueError, "mono"),
        (lambda: plot_spectrogram(torch.ones(257, 4), CONFIG, vmin=0), ValueError, "vmax.*-10"),
        (lambda: plot_mask(torch.ones(129, 4), CONFIG), ValueError, "mask.*257"),
        (lambda: plot_mask(torch.ones(257, 4) * 1j, CONFIG), TypeError, "mask.*real"),
        (lambda: plot_training([]), ValueError, "history"),
        (lambda: plot_training([{"epoch": 1}]), ValueError, "history.*'train_loss'"),
        (
            lambda: plot_training([{**HISTORY[0], "train_loss": math.nan}]),
            ValueError,
            r"history\['train_loss'\].*got nan",
        ),
        (lambda: plot_training(HISTORY, {"x": math.inf}), ValueError, r"baselines\['x'\]"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
    assert plt.get_fignums() == []  # nothing half drawn is left behind


def test_course_style_sets_size_and_sharpness(own_style):
    use_course_style()
    figure = plt.figure()
    assert figure.dpi == 80 and tuple(figure.get_size_inches()) == (9, 3)
    assert figure.get_layout_engine() is not None
    assert figure.subplots().plot([0, 1])[0].get_color() == COLORS["noisy"]
    assert plt.get_fignums() == [figure.number], "the figure that woke the backend is gone"


def test_describe_tells_every_panel_its_axes_and_its_curves(own_style):
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1], label="noisy")
    left.plot([1, 0], label="_helper line")
    left.legend()
    left.set(title="one moment", xlabel="Time (ms)", ylabel="Amplitude")
    right.set(xlabel="Level")
    figure.colorbar(plt.cm.ScalarMappable(), ax=right)
    assert describe(figure) == (
        "Figure. one moment: Amplitude over Time (ms); curves: noisy. the same over Level."
    )


def test_course_style_makes_light_pictures_that_look_the_same(own_style):
    shell = InteractiveShell.instance()
    try:
        use_course_style()
        generator = torch.Generator().manual_seed(0)
        clip = 0.1 * torch.randn(1, 2 * RATE, generator=generator)
        figure = plot_spectrogram(stft(clip, CONFIG), CONFIG).figure
        show = shell.display_formatter.formatters["image/png"].lookup_by_type(Figure)
        encoded, metadata = show(figure)
        light = base64.b64decode(encoded)
        assert metadata == {"alt": describe(figure)}
        plain = print_figure(figure, fmt="png")
        assert len(light) < 0.5 * len(plain)
        pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in (light, plain)]
        first, second = (np.asarray(picture).astype(float) for picture in pictures)
        assert first.shape == second.shape
        assert np.abs(first - second).mean() < 4  # of 255
        assert show(plt.figure()) is None  # an empty figure is not shown at all
    finally:
        InteractiveShell.clear_instance()
