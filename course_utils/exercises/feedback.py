"""What every exercise check gives back: passed or not yet, and one helpful sentence."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, repr=False)
class Feedback:
    """The answer of a check.

    Args:
        passed: True when the exercise is solved.
        message: What is right, or what is still wrong and where to look.

    Raises:
        TypeError: If ``passed`` is not a bool or ``message`` not a string.
        ValueError: If ``message`` is empty: a check must always say something.

    Notebook: all
    """

    passed: bool
    message: str

    def __post_init__(self) -> None:
        """Refuse a verdict without words."""
        if not isinstance(self.passed, bool):
            raise TypeError(f"passed must be True or False, got {self.passed!r}; use bool(...).")
        if not isinstance(self.message, str):
            raise TypeError(f"message must be a string, got {self.message!r}; write a sentence.")
        if not self.message.strip():
            raise ValueError(f"message must not be empty, got {self.message!r}; write a sentence.")

    def __repr__(self) -> str:
        """Show the verdict as one line of text."""
        return f"{'Solved' if self.passed else 'Not yet'}: {self.message}"

    def _repr_html_(self) -> str:
        """Show the verdict with a coloured edge, readable on light and dark pages."""
        verdict, sign, colour = (
            ("Solved", "&#10003;", "#009E73") if self.passed else ("Not yet", "&#8594;", "#D55E00")
        )
        return (
            f'<div style="border-left:4px solid {colour};padding:0.4em 0.8em;margin:0.3em 0">'
            f"<b>{sign} {verdict}:</b> {html.escape(self.message)}</div>"
        )


class NotYetError(Exception):
    """Carries the sentence of a check that has found something wrong."""


def call_answer(function: Callable, *arguments: Any) -> Any:
    """Call a learner's function on copies of the arguments.

    Args:
        function: What the learner wrote.
        *arguments: What it is called with; tensors are cloned first.

    Returns:
        What the function returns, never None.

    Raises:
        NotYetError: If it is not a function, raises anything, changes an input or returns None.

    Notebook: all
    """
    if not callable(function):
        raise NotYetError(
            f"the check needs the function itself, got {type(function).__name__}; write its name "
            "without brackets."
        )
    copies = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
    try:
        result = function(*copies)
    except Exception as error:  # the learner's code may raise anything
        raise NotYetError(f"your function stopped with {type(error).__name__}: {error}") from error
    for copy, original in zip(copies, arguments, strict=True):
        if isinstance(original, Tensor) and not torch.equal(copy, original):
            raise NotYetError(
                "your function changed one of its inputs; write x = x * gain instead of x *= gain."
            )
    if result is None:
        raise NotYetError("your function gives back None; end it with a return.")
    return result
