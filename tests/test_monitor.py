"""The monitor of a training run: its bar follows steps or clock, its curve every epoch."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from course_utils.losses import waveform_mse
from course_utils.models import Denoiser, MaskNet
from course_utils.training import TrainConfig, fit
from course_utils.widgets.monitor import TrainingMonitor


def entry(epoch, loss, seconds):
    return {
        "epoch": epoch,
        "train_loss": loss,
        "validation_loss": loss + 0.1,
        "lr": 1e-3,
        "seconds": seconds,
    }


def make_monitor(now=(0.0,), *, epochs=4, max_minutes=None):
    times = iter(now)
    last = [0.0]

    def clock():
        last[0] = next(times, last[0])
        return last[0]

    config = TrainConfig(epochs=epochs, max_minutes=max_minutes)
    return TrainingMonitor(config, steps_per_epoch=5, baselines={"nothing": 0.9}, clock=clock)


def test_bar_follows_the_steps():
    monitor = make_monitor()
    assert monitor.bar.value == 0
    monitor.on_step(0, 0.5)
    assert monitor.bar.value == 50
    monitor.on_step(6, 0.25)
    assert monitor.bar.value == 350
    assert "epoch 2, step 2 of 5, loss 0.250" in monitor.facts.value
    monitor.on_step(19, 0.25)
    assert monitor.bar.value == monitor.bar.max
    assert repr(monitor) == "TrainingMonitor(100%)"


def test_bar_follows_the_clock_where_that_is_further():
    monitor = make_monitor([0.0, 0.0, 60.0, 500.0], epochs=1000, max_minutes=4)
    monitor.on_step(0, 0.5)  # asks twice: when it started, and what time it is
    assert monitor.bar.value == 0
    monitor.on_step(1, 0.5)
    assert monitor.bar.value == 250 and "1.0 of 4 minutes" in monitor.facts.value
    monitor.on_step(2, 0.5)
    assert monitor.bar.value == 1000


@pytest.mark.parametrize(
    ("step", "seconds", "settings", "left"),
    [
        (4, 30.0, {"epochs": 4}, "1:30"),  # a quarter of 20 steps in half a minute
        (4, 30.0, {"epochs": 4, "max_minutes": 1}, "0:30"),  # the clock ends the run first
        (4, 30.0, {"epochs": 4, "max_minutes": 60}, "1:30"),  # the steps do
        (19, 125.0, {"epochs": 4}, "0:00"),
        (500, 300.0, {"epochs": 1000, "max_minutes": 4}, "0:00"),  # the last epoch runs over
    ],
)
def test_the_time_left_is_told(step, seconds, settings, left):
    monitor = make_monitor([0.0, 0.0, seconds], **settings)
    monitor.on_step(0, 0.5)
    assert "left" not in monitor.facts.value  # nothing is known yet
    monitor.on_step(step, 0.5)
    assert monitor.facts.value.endswith(f"minutes, about {left} left")


def test_a_run_from_the_start_begins_its_clock_anew():
    monitor = make_monitor([0.0, 0.0, 500.0, 500.0, 530.0], epochs=4)
    monitor.on_step(0, 0.5)
    monitor.on_step(0, 0.5)
    monitor.on_step(4, 0.5)
    assert "0.5 minutes, about 1:30 left" in monitor.facts.value


def test_a_resumed_run_counts_the_minutes_before_the_stop():
    monitor = make_monitor([100.0, 100.0, 100.0, 130.0], epochs=1000, max_minutes=4)
    monitor.on_step(0, 0.5)
    monitor.on_epoch([entry(0, 0.5, 90.0)])
    monitor.on_step(5, 0.5)
    assert monitor.bar.value == round(1000 * 120 / 240)


def test_curve_grows_on_one_kept_figure():
    monitor = make_monitor()
    figure = monitor._axes.figure
    pictures = [monitor.image.value]
    history = []
    for epoch in range(3):
        history.append(entry(epoch, 0.8 / (epoch + 1), float(epoch)))
        monitor.on_epoch(history)
        pictures.append(monitor.image.value)
    assert len(set(pictures)) == 4
    assert monitor._axes.figure is figure and len(figure.axes) == 1
    lines = {line.get_label(): line.get_ydata() for line in monitor._axes.lines}
    np.testing.assert_allclose(lines["training"], [0.8, 0.4, 0.8 / 3])
    np.testing.assert_allclose(lines["validation"], [0.9, 0.5, 0.8 / 3 + 0.1])
    assert "nothing" in lines
    assert np.asarray(Image.open(io.BytesIO(monitor.image.value))).shape[:2] == (288, 720)


def test_monitor_follows_a_real_run_without_a_word(capfd):
    pairs = 0.1 * torch.randn(2, 1, 1600)
    loader = [(pairs, 0.5 * pairs)] * 5
    model = Denoiser(MaskNet(channels=(2, 2, 2), hidden_size=4))
    config = TrainConfig(epochs=2)
    monitor = TrainingMonitor(config, steps_per_epoch=5)

    class Loader(list):
        dataset = None

    fit(
        model,
        Loader(loader),
        Loader(loader[:1]),
        waveform_mse,
        config,
        on_step=monitor.on_step,
        on_epoch=monitor.on_epoch,
    )
    assert monitor.bar.value == monitor.bar.max
    assert len(monitor._axes.lines[0].get_ydata()) == 2
    assert [row["epoch"] for row in monitor.history] == [0, 1]
    assert "epoch 2, step 5 of 5" in monitor.facts.value
    assert capfd.readouterr() == ("", "")
    bundle = monitor._repr_mimebundle_()
    assert bundle["text/plain"].endswith("run this cell, and bar and curve appear here.")


def test_monitor_needs_a_step():
    with pytest.raises(ValueError, match="steps_per_epoch.*got 0"):
        TrainingMonitor(TrainConfig(), steps_per_epoch=0)
