"""Learn one pair by heart, several times over: python tests/benchmarks/overfit_one_pair.py.

Lesson 4 asks two questions of small networks and one pair: does a mask learn quicker than a direct
answer, and what do more parameters buy? One start from random weights proves nothing, so both are
asked here with several seeds. Takes about ten minutes on a free core.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from torch import Tensor, nn
from torch.nn import functional

from course_utils.corpus import load_manifest
from course_utils.features import STFTConfig, compress, istft, stft
from course_utils.losses import denoising_loss
from course_utils.metrics import si_sdr
from course_utils.mixing import fit_noise, mix_at_snr
from course_utils.models import Denoiser, MaskNet, count_parameters

CONFIG = STFTConfig()
NUM_SAMPLES = 51_200  # 3.2 seconds, the pair of lesson 4
PIECE = 25_600  # the half of it that the small networks of lesson 4 learn
ANSWERS = ("direct", "mask")
STOPS = (60, 300, 2000)
SIZES = {  # channels of the encoders, size of the memory, memories in a stack
    "small": ((4, 8, 12), 16, 1),
    "course": ((16, 32, 48), 192, 1),
    "wide": ((24, 48, 72), 240, 1),
    "deep": ((16, 32, 48), 192, 3),
}


def make_pair() -> tuple[Tensor, Tensor]:
    """Mix lesson 4's pair: a voice 5 dB above a jackhammer, (noisy, clean)."""
    clips = {clip.file: clip for clip in load_manifest()}
    clean = clips["speech/allison_en_demo-thanks.flac"].load()[:, :NUM_SAMPLES]
    hammer = clips["noise/tools_jackhammer.flac"].load()
    hammer = fit_noise(hammer, NUM_SAMPLES, generator=torch.Generator().manual_seed(0))
    return mix_at_snr(clean, hammer, 5.0), clean


def learn_answer(answer: str, noisy: Tensor, clean: Tensor, seed: int) -> list[float]:
    """Train three convolutions to give a mask or the magnitudes; SI-SDR in dB at each stop."""
    spectrogram = stft(noisy, CONFIG)  # (1, freq, frame)
    size = spectrogram.abs()
    target = compress(stft(clean, CONFIG).abs())
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 8, (5, 3), padding="same"),
        nn.ReLU(),
        nn.Conv2d(8, 8, (5, 3), padding="same"),
        nn.ReLU(),
        nn.Conv2d(8, 1, (5, 3), padding="same"),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    scores = []
    for step in range(1, max(STOPS) + 1):
        raw = net(compress(size)[None])[0]
        if answer == "mask":
            guess = torch.sigmoid(raw) * size
        else:
            guess = functional.softplus(raw) ** (1 / 0.3)
        error = functional.mse_loss(compress(guess), target)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        if step in STOPS:
            phased = torch.polar(guess.detach(), spectrogram.angle())
            estimate = istft(phased, CONFIG, length=noisy.shape[-1])
            scores.append(float(si_sdr(estimate=estimate, reference=clean)))
    return scores


def learn_size(size: str, noisy: Tensor, clean: Tensor, seed: int, steps: int) -> tuple[int, float]:
    """Train one size of the course's network; its parameters, and its SI-SDR in dB."""
    channels, hidden_size, n_layers = SIZES[size]
    torch.manual_seed(seed)
    net = MaskNet(channels=channels, hidden_size=hidden_size)
    if n_layers > 1:
        net.memory = nn.GRU(hidden_size, hidden_size, n_layers, batch_first=True)
    denoiser = Denoiser(net)
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=0.004)
    for _ in range(steps):
        optimizer.zero_grad()
        denoising_loss(denoiser(noisy), clean).backward()
        optimizer.step()
    denoiser.eval()
    with torch.inference_mode():
        score = float(si_sdr(estimate=denoiser(noisy), reference=clean))
    return count_parameters(net), score


def spread(values: list[float]) -> str:
    """Write the mean, and the smallest and largest value behind it."""
    return f"{statistics.mean(values):.1f} [{min(values):.1f}, {max(values):.1f}]"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="starts from random weights")
    parser.add_argument("--steps", type=int, default=40, help="steps of each size")
    options = parser.parse_args()
    torch.set_num_threads(1)
    noisy, clean = make_pair()
    names = " | ".join(f"after {stop} steps" for stop in STOPS)
    print(f"| answer | {names} |\n|---{'|---' * len(STOPS)}|")
    for answer in ANSWERS:
        pair = noisy[:, :PIECE], clean[:, :PIECE]
        runs = [learn_answer(answer, *pair, seed) for seed in range(options.seeds)]
        columns = [spread(list(scores)) for scores in zip(*runs, strict=True)]
        print(f"| {answer} | {' | '.join(columns)} |", flush=True)
    print("\n| size | parameters | SI-SDR |\n|---|---|---|")
    for size in SIZES:
        pairs = [
            learn_size(size, noisy, clean, seed, options.steps) for seed in range(options.seeds)
        ]
        print(f"| {size} | {pairs[0][0]:,} | {spread([score for _, score in pairs])} |", flush=True)


if __name__ == "__main__":
    main()
