"""The learner's own blind test: can I hear it (ABX), and which do I like better (preference)?"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Literal

import ipywidgets
import scipy.stats
import torch
from torch import Tensor

from course_utils.levels import audible_rms
from course_utils.listening import compare_audio
from course_utils.validate import (
    validate_channels,
    validate_choice,
    validate_integer,
    validate_not_empty,
    validate_number,
    validate_one_channel,
    validate_same_shape,
    validate_waveform,
)
from course_utils.widgets.frame import LivePlayer

_EXPLAINED = {
    "abx": "X is one of the two. Switch as often as you like, then say which.",
    "preference": "Switch as often as you like, then say which one you would rather listen to.",
}
_QUESTIONS = {"abx": ("X is A", "X is B"), "preference": ("I prefer A", "I prefer B")}


class ListeningTest(ipywidgets.VBox):
    """A blind test on the learner's own ears, with an exact interval at the end.

    Each trial plays one sentence in two versions, as A and B in an order that is drawn anew. In
    an ABX test, X is one of them, and the learner says which: half of the answers are right by
    guessing. In a preference test the learner says which version is better. Both are played at
    one level, for the louder one would win; names, pictures and levels are shown at the end.

    Args:
        sentences: Pairs of one sentence in two versions, each ``(1, time)``; take whole
            sentences in a language that you know, of four seconds or more. They take turns.
        sample_rate: Samples per second, in Hz.
        names: What the two versions are called, such as ``("noisy", "denoised")``.
        kind: ``"abx"`` or ``"preference"``.
        num_trials: How many answers are asked for; ten right of ten leave no doubt, and of
            fewer than six not even all right would tell anything.
        generator: Source of randomness; PyTorch's own without it.

    Attributes:
        answers: For each trial so far, in an ABX test whether it was right, in a preference
            test whether the second version was preferred.

    Raises:
        TypeError: If a clip is not a floating-point tensor or ``num_trials`` not an int.
        ValueError: If there is no sentence, two versions differ in shape, a clip is silent or
            not finite, ``kind`` is unknown, or ``num_trials`` is below 1.

    Notebook: 06
    """

    def __init__(
        self,
        sentences: Sequence[tuple[Tensor, Tensor]],
        sample_rate: int,
        *,
        names: tuple[str, str],
        kind: Literal["abx", "preference"] = "abx",
        num_trials: int = 10,
        generator: torch.Generator | None = None,
    ) -> None:
        """Check the sentences and begin with the first trial."""
        validate_choice(kind, "kind", _QUESTIONS)
        validate_integer(num_trials, "num_trials", minimum=1)
        validate_not_empty(sentences, "sentences")
        self._sentences = [_at_one_level(*pair) for pair in sentences]
        self._sample_rate = sample_rate
        self._names = names
        self._kind = kind
        self._num_trials = num_trials
        self._generator = generator
        self.answers: list[bool] = []
        self.player = LivePlayer()
        self.buttons = [ipywidgets.Button(description=text) for text in _QUESTIONS[kind]]
        for button in self.buttons:
            button.on_click(self._on_answer)
        self.message = ipywidgets.HTML()
        self._ask()
        super().__init__([self.message, self.player, ipywidgets.HBox(self.buttons)])

    def __repr__(self) -> str:
        """Say how far the test is; the inherited text would spell out the sound."""
        return f"ListeningTest({len(self.answers)} of {self._num_trials} answers)"

    def _repr_mimebundle_(self, **options: object) -> dict:
        """Add what a page shows that was opened and not yet run."""
        bundle = super()._repr_mimebundle_(**options)
        bundle["text/plain"] = "ListeningTest: run this cell, and your own blind test appears here."
        return bundle

    def _ask(self) -> None:
        """Draw who is A and who is X, and show the next trial."""
        trial = len(self.answers)
        self._swapped, self._x_is_b = self._toss(), self._toss()
        first, second = self._sentences[trial % len(self._sentences)]
        clips = {"A": second, "B": first} if self._swapped else {"A": first, "B": second}
        if self._kind == "abx":
            clips["X"] = clips["B"] if self._x_is_b else clips["A"]
        row = compare_audio(clips, self._sample_rate, seconds=None, picture=None, show_levels=False)
        self.player.value = ""  # what plays stops: the next sentence is another one
        self.player.value = row.data
        self.message.value = f"{trial + 1} of {self._num_trials}: {_EXPLAINED[self._kind]}"

    def _on_answer(self, button: ipywidgets.Button) -> None:
        """Take an answer, and ask again or show the result."""
        chose_b = button is self.buttons[1]
        if self._kind == "abx":
            self.answers.append(chose_b == self._x_is_b)
        else:
            self.answers.append(chose_b != self._swapped)
        if len(self.answers) < self._num_trials:
            return self._ask()
        for each in self.buttons:
            each.disabled = True
        self.message.value = f'<div role="status"><b>{html.escape(self.result())}</b></div>'
        first, second = self._sentences[-1]
        row = compare_audio(
            dict(zip(self._names, (first, second), strict=True)), self._sample_rate, seconds=None
        )
        self.player.value = row.data

    def result(self) -> str:
        """Put the answers so far into words.

        Returns:
            The count, its share with a 95 % interval, and what follows from it.

        Raises:
            ValueError: If nothing was answered yet.
        """
        validate_not_empty(self.answers, "answers")
        count, total = sum(self.answers), len(self.answers)
        low, high = binomial_interval(count, total)
        share = f"{count} of {total}: {count / total:.0%}, 95 % interval [{low:.0%}, {high:.0%}]"
        if self._kind == "abx":
            means = "you hear a difference" if low > 0.5 else "this may be guessing"
            return f"You were right in {share}. {means.capitalize()}."
        first, second = self._names
        winner = second if low > 0.5 else first if high < 0.5 else None
        means = f"You prefer {winner}" if winner else "Neither is clearly ahead"
        return f"You preferred {second} in {share}. {means}."

    def _toss(self) -> bool:
        """Throw a coin."""
        return bool(torch.randint(2, (1,), generator=self._generator))


def binomial_interval(
    successes: int, trials: int, *, confidence: float = 0.95
) -> tuple[float, float]:
    """Compute the exact interval of a share that was counted (Clopper and Pearson, 1934).

    A share inside it would give a count as far out as this one, on either side, at least once in
    ``2 / (1 - confidence)`` tests; a share outside it would not.

    Args:
        successes: How many counted.
        trials: Of how many.
        confidence: How often such intervals hold the true share, at least.

    Returns:
        The lower and the upper end, from 0 to 1.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If ``trials`` is below 1, ``successes`` not from 0 to ``trials``, or
            ``confidence`` not from 0 to 1.

    Notebook: 06
    """
    validate_integer(trials, "trials", minimum=1)
    validate_integer(successes, "successes", minimum=0, maximum=trials)
    validate_number(confidence, "confidence", minimum=0, maximum=1)
    found = scipy.stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


def _at_one_level(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the louder of two versions down to the level of the other."""
    validate_waveform(first, name="the first version")
    validate_waveform(second, name="the second version")
    validate_channels(first, name="the first version")
    validate_one_channel(first, name="the first version")
    validate_same_shape(second, first, ("the second version", "the first version"))
    levels = [audible_rms(first, "the first version"), audible_rms(second, "the second version")]
    quieter = torch.minimum(*levels)
    return first * (quieter / levels[0])[:, None], second * (quieter / levels[1])[:, None]
