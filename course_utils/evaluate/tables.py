"""Lay out scores as text, and keep them in a file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from course_utils.metrics import summarize
from course_utils.targets import write_whole
from course_utils.validate import existing_folder, validate_not_empty

DECIMALS = {"pesq": 2, "stoi": 3, "estoi": 3, "si_sdr": 1}


def format_table(
    rows: Iterable[Mapping],
    *,
    score: str,
    by: str | None,
    lines: str = "method",
    unit: str | None = "noise",
    overall: bool = True,
) -> str:
    """Lay out one score as text: a line for each method, a column for each value of `by`.

    Args:
        rows: What `score_pairs` returned.
        score: The key to average, such as "pesq" or "si_sdr_improvement".
        by: Key of the columns, such as "snr_db" or "kind"; None for none.
        lines: Key of the lines; lines="kind" and by="method" turn a wide table on its side.
        unit: Passed on to `metrics.summarize`: rows that are drawn together for the interval.
        overall: Add a last column, the mean of the line with its 95 % interval.

    Returns:
        The table, ready to print in a fixed-width font.

    Raises:
        ValueError: No rows, or a key that they lack.

    Notebook: 06
    """
    rows = list(rows)
    means = summarize(rows, by=lines, scores=score, unit=unit)
    cells = summarize(rows, by=(lines, by), scores=score, num_resamples=1) if by else []
    values = {(cell[lines], cell[by]): cell[score] for cell in cells}
    name = score.removeprefix("input_").removesuffix("_improvement")
    places = DECIMALS.get(name, 2)
    columns = list(dict.fromkeys(column for _, column in values))
    table = [["", *map(_title, columns)]]
    for mean in means:
        found = (values.get((mean[lines], column)) for column in columns)
        texts = ["" if value is None else f"{value:z.{places}f}" for value in found]
        table.append([_title(mean[lines]), *texts])
    if overall:
        table[0].append("all clips [95 % interval]")
        for text, mean in zip(table[1:], means, strict=True):
            low, high = (f"{mean[score + end]:z.{places}f}" for end in ("_low", "_high"))
            text.append(f"{mean[score]:z.{places}f} [{low}, {high}]")
    return _align(table)


def write_csv(path: str | os.PathLike, rows: Sequence[Mapping]) -> None:
    """Write rows to a CSV file, whole or not at all.

    Args:
        path: The file; one that exists is replaced.
        rows: Mappings with the same keys.

    Raises:
        FileNotFoundError: The folder of `path` does not exist.
        OSError: The file cannot be written.
        ValueError: No rows, rows with other keys than the first, or `path` is a folder.

    Notebook: 06
    """
    target = Path(path)
    validate_not_empty(rows, "rows")
    existing_folder(target.parent, "the folder of path")
    if target.is_dir():
        raise ValueError(f"path must be a file, got the folder {str(target)!r}; add a name.")
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(target, table.getvalue())


def _title(value: object) -> str:
    """Write a number of dB as "-5 dB", anything else as it is."""
    return f"{value:g} dB" if isinstance(value, int | float) else str(value)


def _align(table: list[list[str]]) -> str:
    """Pad cells to columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        line[:] = [cell.rjust(width) for cell, width in zip(line, widths, strict=True)]
        line[0] = line[0].strip().ljust(widths[0])
    return "\n".join("  ".join(line).rstrip() for line in table)
