"""Set the course's denoisers beside what people would otherwise install: `make bench`.

Every method cleans the same clips in one run on one core: the test split of data/ (voices,
noises and rooms that training never met) at -5 to 15 dB, or the recorded pairs of two
folders (--noisy and --clean, same file names). Printed: PESQ, STOI, ESTOI and SI-SDR by SNR and
by kind of noise, what each method gained, how far the shipped denoiser lies above it, each with
a 95 % interval, and the real-time factor.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from peers import make_peers
from torch import Tensor

from course_utils.audio import SAMPLE_RATE
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.corpus import DATA_DIR
from course_utils.evaluate import (
    BASELINES,
    format_table,
    make_test_pairs,
    read_pairs,
    score_pairs,
    write_csv,
)
from course_utils.metrics import SCORES, summarize
from course_utils.plotting import COLORS, use_course_style

LESSON_CHECKPOINT = DATA_DIR.parent / "notebooks" / "output" / "denoiser.pt"
SHIPPED, LESSON, NOTHING = "shipped denoiser", "lesson 5's denoiser", "do nothing"


class Timed:
    """A denoiser that remembers how much sound it cleaned and how long that took."""

    def __init__(self, denoiser: Callable[[Tensor], Tensor]) -> None:
        self.denoiser, self.seconds, self.sound = denoiser, 0.0, 0.0

    def __call__(self, noisy: Tensor) -> Tensor:
        """Clean one clip, (1, time) -> the same."""
        start = time.thread_time()  # what else runs on the machine does not count
        estimate = self.denoiser(noisy)
        self.seconds += time.thread_time() - start
        self.sound += noisy.shape[-1] / SAMPLE_RATE
        return estimate


def main() -> int:
    """Run the command line; 0 after the tables, 2 after a sentence about what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--noisy", type=Path, help="folder of noisy recordings, with --clean")
    parser.add_argument("--clean", type=Path, help="folder of clean recordings, same names")
    parser.add_argument("--shipped", type=Path, default=DEFAULT_CHECKPOINT)
    parser.add_argument("--lesson", type=Path, default=LESSON_CHECKPOINT)
    parser.add_argument("--csv", type=Path, help="also write the means to this file")
    parser.add_argument("--picture", type=Path, help="also draw the means by SNR (.png, .svg)")
    parser.add_argument("--quick", action="store_true", help="a few pairs only: a minute")
    options = parser.parse_args()
    try:
        run(options)
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Score every method on every pair and print what came out."""
    if (options.noisy is None) != (options.clean is None):
        raise ValueError("--noisy and --clean belong together, got only one; pass both folders.")
    recorded = options.noisy is not None
    if recorded and options.picture:
        raise ValueError("--picture needs SNRs, which recorded pairs have not; leave one out.")
    for path in filter(None, (options.csv, options.picture)):
        if not path.parent.is_dir():
            raise ValueError(f"{str(path)!r} must lie in a folder that exists; make it first.")
    torch.set_num_threads(1)
    methods = {name: Timed(denoiser) for name, denoiser in load_methods(options).items()}
    if recorded:
        pairs = read_pairs(options.noisy, options.clean)
    else:
        pairs = make_test_pairs(snrs_db=(0, 10)) if options.quick else make_test_pairs()
    pairs = pairs[:: max(1, len(pairs) // 20)] if options.quick else pairs
    rows = score_pairs(pairs, methods)
    unit = "name" if recorded else "noise"
    print_tables(rows, by=None if recorded else "snr_db", unit=unit)
    print(f"\n{len(pairs)} pairs; seconds of one core for a second of sound, and parameters:")
    for name, method in methods.items():
        count = sum(p.numel() for p in getattr(method.denoiser, "parameters", list)())
        print(f"{name:<22}{method.seconds / method.sound:8.4f}{count or '':>10}")
    table = tabulate(rows, methods, () if recorded else ("snr_db", "kind"), unit)
    if options.csv:
        write_csv(options.csv, table)
    if options.picture:
        draw([row for row in table if row["by"] == "snr_db"], options.picture)


def load_methods(options: argparse.Namespace) -> dict[str, Callable[[Tensor], Tensor]]:
    """Gather the classics, the peers and the course's own denoisers."""
    methods = BASELINES | make_peers()
    if options.lesson.exists():
        methods[LESSON] = load_checkpoint(options.lesson)
    else:
        print(f"{LESSON} is left out: there is no {options.lesson.name} yet; run lesson 5.\n")
    return methods | {SHIPPED: load_checkpoint(options.shipped)}


def print_tables(rows: list[dict], *, by: str | None, unit: str) -> None:
    """Print each score by SNR and by kind, its improvement, and the lead of the shipped model."""
    lead = {(row["name"], score): row[score] for row in rows if row["method"] == SHIPPED
            for score in SCORES}  # fmt: skip
    for score in SCORES:
        title = score.upper().replace("_", "-")
        print(f"\n{title}\n{format_table(rows, score=score, by=by, unit=unit)}")
        gain = format_table(rows, score=f"{score}_improvement", by=by, unit=unit)
        print(f"\n{title}, improvement over the noisy clip\n{gain}")
        ahead = [
            {key: row[key] for key in ("method", "name", "snr_db", "kind", "noise")}
            | {score: lead[row["name"], score] - row[score]}
            for row in rows
            if row["method"] != SHIPPED
        ]
        print(
            f"\n{title}, how far the shipped denoiser lies above the others, clip by clip\n"
            f"{format_table(ahead, score=score, by=by, unit=unit)}"
        )
        if by is not None:
            kinds = format_table(rows, score=score, by="method", lines="kind", overall=False)
            print(f"\n{title} by kind of noise\n{kinds}")


def tabulate(rows: list[dict], methods: dict, groups: tuple[str, ...], unit: str) -> list[dict]:
    """Average in groups: one line for each method, and for each SNR and kind where known."""
    names = [f"{score}{end}" for score in SCORES for end in ("", "_improvement")]
    table = []
    for group in ("", *groups):
        by = ("method", group) if group else ("method",)
        for line in summarize(rows, by=by, scores=names, unit=unit):
            timed = methods[line["method"]]
            head = {"method": line.pop("method"), "by": group or "all"}
            head |= {"value": line.pop(group) if group else "", "n": line.pop("n")}
            speed = {"real_time_factor": round(timed.seconds / timed.sound, 5)}
            table.append(head | {key: round(value, 4) for key, value in line.items()} | speed)
    return table


def draw(lines: list[dict], path: Path) -> None:
    """Draw each score over the SNR, a curve for each method, and save the picture."""
    use_course_style()
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
    own = {NOTHING: COLORS["noisy"], SHIPPED: COLORS["estimate"], LESSON: COLORS["estimate"]}
    markers = iter("osv^D*XP<>")
    for method in dict.fromkeys(line["method"] for line in lines):
        mine = [line for line in lines if line["method"] == method]
        style = {"color": own.get(method, "#777777"), "marker": next(markers), "label": method}
        style["linewidth"] = 3 if method == SHIPPED else 1.5
        style["linestyle"] = "--" if method == LESSON else "-"
        for ax, score in zip(axes, ("pesq", "estoi", "si_sdr"), strict=True):
            ax.plot([line["value"] for line in mine], [line[score] for line in mine], **style)
    for ax, label in zip(axes, ("PESQ (1 to 4.6)", "ESTOI", "SI-SDR (dB)"), strict=True):
        ax.set(xlabel="SNR of the noisy clip (dB)", ylabel=label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
