"""A training run to look at while it works: how far it is, and its curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import ipywidgets
from matplotlib.backends.backend_agg import FigureCanvasAgg

from course_utils.plotting import label_axes, plot_training
from course_utils.training import TrainConfig
from course_utils.validate import validate_integer
from course_utils.widgets.frame import as_png, make_figure


class TrainingMonitor(ipywidgets.VBox):
    """A progress bar and a loss curve that follow a run of `training.fit`.

    Hand its two methods to the run: ``fit(..., on_step=monitor.on_step,
    on_epoch=monitor.on_epoch)``. The bar follows the epochs or the minutes of ``config``,
    whichever is further, and beside it stands about how long the run still takes; the curve
    gets a point after every epoch. ``history`` holds what the run has told so far, also after a
    stop.

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
        validate_integer(steps_per_epoch, "steps_per_epoch", minimum=1)
        self._config = config
        self._steps_per_epoch = steps_per_epoch
        self._baselines = dict(baselines or {})
        self._clock = clock
        self._start: float | None = None
        self.history: list[dict] = []
        figure, (self._axes,) = make_figure(1, 1, height=3.6)
        self._canvas = FigureCanvasAgg(figure)
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
        if self._start is None or step == 0:
            self._start = self._clock()
        minutes = (self._clock() - self._start) / 60
        by_steps = (step + 1) / (self._config.epochs * self._steps_per_epoch)
        limit = self._config.max_minutes
        done = max(by_steps, minutes / limit if limit else 0.0)
        self.bar.value = min(self.bar.max, round(self.bar.max * done))
        left = f", about {_clock_face(minutes / done - minutes)} left" if minutes > 0 else ""
        epoch, in_epoch = divmod(step, self._steps_per_epoch)
        self.facts.value = (
            f"epoch {epoch + 1}, step {in_epoch + 1} of {self._steps_per_epoch}, loss {loss:.3f}, "
            f"{minutes:.1f} {'' if limit is None else f'of {limit:g} '}minutes{left}"
        )

    def on_epoch(self, history: list[dict]) -> None:
        """Add the newest point to the curve.

        Args:
            history: As `fit` gives it, one entry per epoch so far.
        """
        self.history = history
        if "seconds" in history[-1]:  # a run that goes on after a stop has a past
            self._start = self._clock() - history[-1]["seconds"]
        self._axes.clear()
        plot_training(history, self._baselines, ax=self._axes)
        self._draw()

    def _draw(self) -> None:
        """Send the kept figure to the page."""
        self._canvas.draw()
        self.image.value = as_png(self._canvas)


def _clock_face(minutes: float) -> str:
    """Write minutes as 2:05."""
    return "{}:{:02}".format(*divmod(max(0, round(60 * minutes)), 60))
