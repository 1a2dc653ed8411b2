"""A judge that the course's loss never asks: python tests/benchmarks/judges.py.

Who trains on an examination shines in it. The loss holds the ideas of ESTOI and PESQ, so this
program asks DNSMOS as well: a network that was taught to guess what listeners say about speech,
about noise and about the whole, without the clean clip. Prints its opinion of every method of
`make bench`, of further checkpoints that are named, and of the clean clips, on 72 of the same
clips. Five minutes.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import torch
from speechmos import dnsmos as guesser
from torch import Tensor

from course_utils.audio import SAMPLE_RATE
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.evaluate.pairs import make_test_pairs
from course_utils.evaluate.tables import write_csv

HEARD_AT_ONCE = 144_160  # samples: it listens to 9.01 s
OPINIONS = {"speech": "sig_mos", "background": "bak_mos", "overall": "ovrl_mos"}


def dnsmos(waveform: Tensor) -> dict[str, float]:
    """Guess what listeners would say of a clip (1, time) at 16 kHz: 1 (bad) to 5 (excellent)."""
    samples = waveform[0].double()
    samples = samples / samples.abs().max().clamp(min=1.0)  # louder than full scale is refused
    if len(samples) < HEARD_AT_ONCE:  # it would repeat a short clip too, and hear it seven times
        samples = samples.repeat(math.ceil(HEARD_AT_ONCE / len(samples)))[:HEARD_AT_ONCE]
    said = guesser.run(samples.numpy(), SAMPLE_RATE)
    return {opinion: float(said[key]) for opinion, key in OPINIONS.items()}


def main() -> None:
    """Ask about every method, and about the clean clips: what the best could reach."""
    from benchmark_denoisers import LESSON_CHECKPOINT, load_methods  # needs the peers installed

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="*", help="further denoisers (.pt)")
    parser.add_argument("--shipped", type=Path, default=DEFAULT_CHECKPOINT)
    parser.add_argument("--lesson", type=Path, default=LESSON_CHECKPOINT)
    parser.add_argument("--csv", type=Path, help="also write the means to this file")
    options = parser.parse_args()
    if options.csv is not None and not options.csv.parent.is_dir():
        parser.error(f"--csv must lie in a folder that exists, got {str(options.csv)!r}")
    methods = load_methods(options)
    methods |= {str(path): load_checkpoint(path) for path in options.checkpoints}
    pairs = make_test_pairs(snrs_db=(-5, 5, 15), sentences_per_noise=1)
    print(f"{'DNSMOS, 1 to 5':<22}" + "".join(f"{opinion:>12}" for opinion in OPINIONS))
    table = []
    for name, denoiser in (methods | {"clean clip": None}).items():
        with torch.inference_mode():
            sounds = [denoiser(pair.noisy) if denoiser else pair.clean for pair in pairs]
        said = [dnsmos(sound) for sound in sounds]
        means = {opinion: statistics.mean(row[opinion] for row in said) for opinion in OPINIONS}
        print(f"{name:<22}" + "".join(f"{mean:>12.2f}" for mean in means.values()), flush=True)
        table.append({"method": name, "n": len(pairs)} | {k: round(v, 3) for k, v in means.items()})
    if options.csv is not None:
        write_csv(options.csv, table)


if __name__ == "__main__":
    main()
