"""What every exercise check gives back: passed or not yet, and one helpful sentence."""

from __future__ import annotations

import html
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Feedback:
    """The answer of a check.

    Args:
        passed: True when the exercise is solved.
        message: What is right, or what is still wrong and where to look.

    Raises:
        TypeError: If ``passed`` is no bool or ``message`` no string.
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
