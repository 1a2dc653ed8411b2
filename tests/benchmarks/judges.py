"""A judge that the course's loss never asks: python tests/benchmarks/judges.py.

Who trains on an examination shines in it. The loss holds the ideas of ESTOI and PESQ, so this
program asks DNSMOS as well, a network that was taught to guess what listeners say of speech,
noise and the whole, without seeing the clean clip. Prints its opinion of every method of
`make bench` on half of the same clips, and of further checkpoints that are named. Ten minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from speechmos import dnsmos as _dnsmos
from torch import Tensor

from course_utils.audio import SAMPLE_RATE

OPINIONS = ("speech", "background", "overall")


def dnsmos(waveform: Tensor) -> dict[str, float]:
    """Guess what listeners would say: 1 (bad) to 5 (excellent), for a clip (1, time) at 16 kHz."""
    samples = waveform[0].double().numpy()
    samples = samples / max(1.0, np.abs(samples).max())  # it refuses what is louder than full scale
    said = _dnsmos.run(samples, SAMPLE_RATE)
    keys = zip(OPINIONS, ("sig_mos", "bak_mos", "ovrl_mos"), strict=True)
    return {opinion: float(said[key]) for opinion, key in keys}


def main() -> None:
    """Ask about every method, and about the clean clips: nothing can be better."""
    from benchmark_denoisers import LESSON_CHECKPOINT, load_methods  # needs the peers

    from course_utils.denoise import DEFAULT_CHECKPOINT
    from course_utils.evaluate import make_test_pairs
    from course_utils.training import load_checkpoint

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoints", type=Path, nargs="*", help="further denoisers (.pt)")
    parser.add_argument("--shipped", type=Path, default=DEFAULT_CHECKPOINT)
    parser.add_argument("--lesson", type=Path, default=LESSON_CHECKPOINT)
    options = parser.parse_args()
    methods = load_methods(options)
    methods |= {str(path): load_checkpoint(path) for path in options.checkpoints}
    pairs = make_test_pairs(sentences_per_noise=1)
    print(f"{'DNSMOS, 1 to 5':<22}" + "".join(f"{opinion:>12}" for opinion in OPINIONS))
    for name, denoiser in (methods | {"clean clip": None}).items():
        said = []
        for pair in pairs:
            with torch.inference_mode():
                said.append(dnsmos(denoiser(pair.noisy) if denoiser else pair.clean))
        means = (np.mean([row[opinion] for row in said]) for opinion in OPINIONS)
        print(f"{name:<22}" + "".join(f"{mean:>12.2f}" for mean in means), flush=True)


if __name__ == "__main__":
    main()
