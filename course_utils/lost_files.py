"""Files that turn out damaged or gone while a run is on its way: named once, and left out."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import TypeVar

import torch

Key = TypeVar("Key", bound=Hashable)


class LostFile(Exception):
    """A file could not be read; it is noted, and something else can be drawn."""


class LostFiles:
    """Which files of a list cannot be read; the workers of a DataLoader know it from each other.

    One damaged file in a thousand is no reason to lose a night of training, half of them are: the
    disk is gone, or the path is wrong. So many may fail: a tenth of the files, or one of a few.

    Args:
        files: All of them.
        name: What they are, used in the messages.

    Notebook: 05
    """

    def __init__(self, files: Sequence[Hashable], name: str) -> None:
        self._numbers = {file: number for number, file in enumerate(files)}
        self._name = name
        # In shared memory: what one process of a DataLoader writes there, all the others see.
        self._flags = torch.zeros(len(self._numbers), dtype=torch.bool).share_memory_()

    def note(self, file: Hashable, error: Exception) -> None:
        """Leave a file out from now on, and say so unless it was said before.

        Args:
            file: One of the list.
            error: Why it cannot be read.

        Raises:
            ValueError: If too many are lost.
        """
        if self._flags[self._numbers[file]]:
            return
        self._flags[self._numbers[file]] = True
        n_lost, n_files = int(self._flags.sum()), len(self._flags)
        if n_lost == n_files or n_lost > max(1, n_files // 10):
            raise ValueError(
                f"{self._name} must hold files that can be read, got {n_lost} of {n_files} that "
                f"cannot; mend or remove them. The last one: {error}"
            ) from error
        warnings.warn(f"left out of {self._name}: {error}", stacklevel=3)

    def __contains__(self, file: Hashable) -> bool:
        """Tell whether a file is lost."""
        number = self._numbers.get(file)
        return number is not None and bool(self._flags[number])

    def left(self, items: Sequence[Key]) -> list[Key]:
        """Take away what is lost.

        Args:
            items: Files of the list, or anything else, which stays.

        Returns:
            The others, in their order.
        """
        return [item for item in items if item not in self]

    def found(self) -> list:
        """List what is lost.

        Returns:
            The files, in the order of the list.
        """
        return [file for file, number in self._numbers.items() if self._flags[number]]
