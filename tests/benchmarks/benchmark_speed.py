"""Print how fast and how large the denoisers are: python tests/benchmarks/benchmark_speed.py.

First the README's table. Real-time factor: seconds of one core for a second of sound, called
from Python, each peer at its own sample rate. Latency: the block that must be full before it is
looked at, and the delay of what comes out. Multiply-adds are those of the network, counted by
PyTorch while it runs one frame; biases, activations and the STFT add a few per cent. Then what one
frame of a call costs: the whole stream, the network alone, and the network in ONNX Runtime where
that is installed (tests/requirements.txt). Last, what a call loses because its level is not known.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from course_utils.audio import SAMPLE_RATE, resample
from course_utils.checkpoints import DEFAULT_CHECKPOINT, load_checkpoint
from course_utils.corpus import select
from course_utils.denoise.export import OneFrame, empty_memory, export_onnx
from course_utils.denoise.streaming import StreamingDenoiser
from course_utils.evaluate.pairs import make_test_pairs, score_pairs
from course_utils.features import magnitude, stft
from course_utils.metrics import summarize
from course_utils.models import Denoiser, count_parameters

COLUMNS = {
    "real_time_factor": "real-time factor",
    "latency_ms": "latency (ms)",
    "size_mb": "size (MB)",
    "parameters": "parameters",
    "multiply_adds": "multiply-adds for a second",
}
METHODS = ["shipped denoiser, whole recordings", "shipped denoiser, a call"]
METHODS += ["noisereduce", "WebRTC", "RNNoise"]
SECONDS = 30


def main() -> None:
    """Measure everything on one core and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT)
    parser.add_argument("--csv", type=Path, help="also write the first table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    denoiser = load_checkpoint(options.checkpoint)
    speech = torch.cat([clip.load() for clip in select(role="speech", split="test")[:20]], dim=-1)
    speech = speech[:, : SECONDS * SAMPLE_RATE]
    noisy = speech + 0.02 * torch.randn(speech.shape, generator=torch.Generator().manual_seed(0))
    rows = measure_own(denoiser, noisy, options.checkpoint) | measure_peers(noisy)
    print(f"| | {' | '.join(COLUMNS.values())} |\n|---|{'---|' * len(COLUMNS)}")
    for method, row in rows.items():
        print(f"| {method} | {' | '.join(str(row.get(key, '-')) for key in COLUMNS)} |")
    if options.csv:
        with open(options.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, ["method", *COLUMNS], restval="-")
            writer.writeheader()
            writer.writerows({"method": method, **row} for method, row in rows.items())
    print("\none frame of a call\n" + measure_frames(denoiser, noisy))
    print("\na call on the validation split\n" + measure_level(denoiser))


def measure_own(denoiser: Denoiser, noisy: Tensor, checkpoint: Path) -> dict[str, dict]:
    """Fill the rows of the shipped denoiser: whole recordings, and a call."""
    about = {
        "size_mb": f"{checkpoint.stat().st_size / 1e6:.1f}",
        "parameters": f"{count_parameters(denoiser):,}",
        "multiply_adds": f"{multiply_adds_per_second(denoiser) / 1e6:.0f} million",
    }
    stream = StreamingDenoiser(denoiser)

    def call() -> None:
        for hop in noisy.split(denoiser.config.hop_length, dim=-1):
            stream.feed(hop)

    with torch.inference_mode():
        offline = {"real_time_factor": real_time_factor(lambda: denoiser(noisy))} | about
    live = {"real_time_factor": real_time_factor(call)} | about
    live["latency_ms"] = f"{stream.latency_ms:.0f}"
    return {METHODS[0]: offline, METHODS[1]: live}


def measure_peers(noisy: Tensor) -> dict[str, dict]:
    """Fill the rows of what one could install instead (tests/benchmarks/requirements.txt)."""
    import peers  # here, so that the tests can look at this file without them

    gate = peers.noise_reduce(strength=0.75)
    rows = {"noisereduce": {"real_time_factor": real_time_factor(lambda: gate(noisy))}}

    frames = peers.to_int16(noisy, frame=160)
    web_rtc = peers.AudioProcessor(0, 1)
    work = lambda: [web_rtc.Process10ms(frame.tobytes()) for frame in frames]  # noqa: E731
    latency = 10 + 1000 * peers.at_its_best(peers.web_rtc(level=1)).delay / SAMPLE_RATE
    rows["WebRTC"] = {"real_time_factor": real_time_factor(work), "latency_ms": f"{latency:.0f}"}

    rnnoise = peers.rnnoise
    wide = peers.to_int16(resample(noisy, SAMPLE_RATE, rnnoise.SAMPLE_RATE), rnnoise.FRAME_SIZE)
    state = rnnoise.create()
    work = lambda: [rnnoise.process_mono_frame(state, frame) for frame in wide]  # noqa: E731
    latency = 10 + 1000 * peers.at_its_best(peers.rn_noise).delay / SAMPLE_RATE
    rows["RNNoise"] = {
        "real_time_factor": real_time_factor(work),
        "latency_ms": f"{latency:.0f}",
        "size_mb": f"{Path(rnnoise.LIBRNNOISE).stat().st_size / 1e6:.1f}",
    }
    rnnoise.destroy(state)
    return rows


def real_time_factor(work: Callable[[], object]) -> str:
    """Seconds of this thread for a second of sound: what else the machine does counts less."""
    work()  # the first call also sets things up
    costs = []
    for _ in range(3):
        start = time.thread_time()
        work()
        costs.append(time.thread_time() - start)
    return f"{statistics.median(costs) / SECONDS:.4f}"


def multiply_adds_per_second(denoiser: Denoiser) -> float:
    """Count the multiplications of one frame, each with its addition, times frames a second."""
    frame, memory = torch.zeros(1, denoiser.config.n_freqs, 1), empty_memory(denoiser)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        OneFrame(denoiser.net)(frame, *memory)
    frames_per_second = denoiser.config.sample_rate / denoiser.config.hop_length
    return counter.get_total_flops() / 2 * frames_per_second


def measure_frames(denoiser: Denoiser, noisy: Tensor) -> str:
    """Compare the stream, the network alone, and the network in ONNX Runtime, frame by frame."""
    stream = StreamingDenoiser(denoiser)
    hops = noisy.split(denoiser.config.hop_length, dim=-1)
    lines = {"stream, PyTorch": ([_time(lambda hop=hop: stream.feed(hop)) for hop in hops], None)}

    frames = magnitude(stft(noisy, denoiser.config)).split(1, dim=-1)
    step = OneFrame(denoiser.net)
    memory, times = empty_memory(denoiser), []
    with torch.inference_mode():
        for frame in frames:
            start = time.thread_time()
            _, *memory = step(frame, *memory)
            times.append(1000 * (time.thread_time() - start))
    lines["network, PyTorch"] = (times, DEFAULT_CHECKPOINT.stat().st_size)

    if all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")):
        lines["network, ONNX Runtime"] = _measure_onnx(denoiser, frames)
    text = f"{'':<24}{'median ms':>10}{'99th percentile':>17}{'MB':>6}\n"
    for name, (times, size) in lines.items():
        middle, high = np.percentile(times, [50, 99])
        text += f"{name:<24}{middle:>10.2f}{high:>17.2f}{f'{size / 1e6:.1f}' if size else '-':>6}\n"
    text += f"a frame lasts {denoiser.config.ms_per_frame:.0f} ms"
    missing = "" if len(lines) == 3 else "; for ONNX: python install.py tests"
    return text + missing


def _measure_onnx(denoiser: Denoiser, frames: tuple[Tensor, ...]) -> tuple[list[float], int]:
    """Time every step of the exported network; return the times and the size of the file."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one_frame.onnx"
        export_onnx(denoiser, path)
        session = onnxruntime.InferenceSession(str(path), settings)
        size = path.stat().st_size
    names = [each.name for each in session.get_inputs()]
    memory, times = [part.numpy() for part in empty_memory(denoiser)], []
    for frame in frames:
        start = time.thread_time()
        feed = dict(zip(names, [frame.numpy(), *memory], strict=True))
        _, *memory = session.run(None, feed)
        times.append(1000 * (time.thread_time() - start))
    return times, size


def measure_level(denoiser: Denoiser) -> str:
    """Score what a call loses because nobody knows how loud it is going to be."""

    def call(level: Tensor | None, noisy: Tensor) -> Tensor:
        stream = StreamingDenoiser(denoiser, level=level)
        return torch.cat([stream.feed(noisy), stream.flush()], dim=-1)

    methods = {
        "level of the clip known": lambda noisy: call(denoiser.measure_level(noisy), noisy),
        "running level": lambda noisy: call(None, noisy),
    }
    pairs = make_test_pairs(split="validation", sentences_per_noise=1)
    scores = ("pesq", "estoi", "si_sdr")
    rows = score_pairs(pairs, methods, scores=scores)
    lines = summarize(rows, by=("method",), scores=scores, unit="noise")
    return "\n".join(
        f"{line['method']:<24} PESQ {line['pesq']:.2f}  ESTOI {line['estoi']:.3f}  "
        f"SI-SDR {line['si_sdr']:.1f} dB"
        for line in lines
    )


def _time(work: Callable[[], object]) -> float:
    """Milliseconds of this thread."""
    start = time.thread_time()
    work()
    return 1000 * (time.thread_time() - start)


if __name__ == "__main__":
    main()
