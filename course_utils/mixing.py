"""Put speech and noise together at a chosen signal-to-noise ratio, dry or in a room."""

import math

import torch
from scipy.signal import fftconvolve
from torch import Tensor

from course_utils.levels import audible_rms, validate_audible
from course_utils.validate import (
    is_finite,
    validate_choice,
    validate_integer,
    validate_number,
    validate_one_channel,
    validate_pair,
    validate_waveform,
)

MAX_ABS_SNR_DB = 100.0
CROSSFADE_SAMPLES = 320  # 20 ms at 16 kHz: long enough to hide a seam, short enough to forget


def fit_noise(
    noise: Tensor, num_samples: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Make a noise recording exactly `num_samples` long.

    A longer recording is cut at a random place. A shorter one is turned into a loop whose seam
    is hidden by a short equal-power crossfade, entered at a random place.

    Args:
        noise: Noise of shape (..., time).
        num_samples: Wanted length in samples, at least 1.
        generator: Source of the random place; None uses PyTorch's global one.

    Returns:
        A new tensor of shape (..., num_samples), dtype and device of `noise`.

    Raises:
        TypeError: If `num_samples` is not an int.
        ValueError: If `num_samples` is below 1.

    Notebook: 01
    """
    validate_waveform(noise, name="noise")
    validate_integer(num_samples, "num_samples", minimum=1)
    length = noise.shape[-1]
    if length < num_samples:
        loop = _seamless_loop(noise)
        start = _random_below(loop.shape[-1], generator)
        repeats = math.ceil((start + num_samples) / loop.shape[-1])
        looped = torch.cat([loop] * repeats, dim=-1)  # (..., at least start + num_samples)
        return looped[..., start : start + num_samples].clone()
    start = _random_below(length - num_samples + 1, generator)
    return noise[..., start : start + num_samples].clone()


def mix_at_snr(clean: Tensor, noise: Tensor, snr_db: float | Tensor) -> Tensor:
    """Add noise to speech at a signal-to-noise ratio measured over the whole clip.

    Formula: noisy = clean + gain * noise, with
    gain = sqrt(mean(clean**2) / mean(noise**2)) * 10 ** (-snr_db / 20), so that
    10 * log10(mean(clean**2) / mean((gain * noise)**2)) is exactly snr_db.
    The channels of one clip share one gain. The result may pass full scale: then scale both
    members of the pair by one gain (`preprocessing.normalize_pair`).

    Args:
        clean: Speech of shape (time,), (channel, time) or (batch, channel, time).
        noise: Noise of the same shape and device (see `fit_noise`).
        snr_db: Wanted ratio in dB, from -100 to 100: one number, or a tensor of shape (batch,)
            with one for each clip of a batch.

    Returns:
        The noisy speech: shape, dtype and device of `clean`.

    Raises:
        TypeError: If a waveform is not a floating-point tensor or `snr_db` is not a number.
        ValueError: If a waveform is empty or not finite, shapes or devices differ, a clip is
            silent, or `snr_db` is out of range.

    Notebook: 01
    """
    validate_pair(noise, clean, ("noise", "clean"))
    # One gain for each clip: its channels stand in one row. Half-precision clips are worked on in
    # 32 bits, or the energy of quiet ones would underflow.
    wide = torch.promote_types(clean.dtype, torch.float32)
    rows = clean.shape[:-2]  # () for one clip, (batch,) for a batch
    clean_rows = clean.to(wide).reshape(*rows, -1)  # (..., channel * time)
    noise_rows = noise.to(wide).reshape(*rows, -1)  # (..., channel * time)
    clean_rms = audible_rms(clean_rows, "clean")  # (...)
    noise_rms = audible_rms(noise_rows, "noise")  # (...)
    ratio = _amplitude_ratio(snr_db, rows).to(wide)  # before the device: some have no 64 bits
    gain = ratio.to(clean.device) * clean_rms / noise_rms  # (...)
    noisy = (clean_rows + gain[..., None] * noise_rows).reshape(clean.shape).to(clean.dtype)
    if not is_finite(noisy):
        raise ValueError(
            f"snr_db must be higher for {clean.dtype}, got {snr_db}, where the noise is beyond "
            "its range; raise it or convert both waveforms to torch.float32."
        )
    return noisy


def add_reverberation(waveform: Tensor, impulse_response: Tensor) -> Tensor:
    """Let a dry sound ring in a room, without moving it in time.

    The impulse response is taken from its strongest sample, the direct path, which gets gain 1
    and delay 0. What comes back is therefore the dry sound itself plus its reflections, and
    stays aligned with the dry sound: the pair (reverberant, dry) is ready for training.

    Formula: wet[n] = sum over k of h[direct + k] / h[direct] * dry[n - k]; the few samples
    before the direct path (k < 0) are kept too.

    Args:
        waveform: Dry sound of shape (..., time).
        impulse_response: The room, of shape (time,) or (1, time), at the same sample rate.

    Returns:
        The reverberant sound: shape, dtype and device of `waveform`. The tail past its end is
        cut off.

    Raises:
        ValueError: If the impulse response is silent or has more than one channel.

    Notebook: 01
    """
    validate_waveform(waveform)
    validate_waveform(impulse_response, name="impulse_response")
    validate_one_channel(impulse_response, name="impulse_response")
    room = impulse_response.detach().reshape(-1).to("cpu", torch.float64)
    direct = int(room.abs().argmax())
    validate_audible(float(room[direct].abs()), "impulse_response")
    dry = waveform.detach().cpu()
    dry = dry if dry.dtype == torch.float64 else dry.float()
    kernel = (room / room[direct]).to(dry.dtype).reshape((1,) * (dry.ndim - 1) + (-1,))
    wet = fftconvolve(dry.numpy(), kernel.numpy(), axes=-1)
    return torch.from_numpy(wet[..., direct : direct + dry.shape[-1]].copy()).to(waveform)


def _random_below(limit: int, generator: torch.Generator | None) -> int:
    device = generator.device if generator is not None else "cpu"
    return int(torch.randint(limit, (1,), generator=generator, device=device))


def _seamless_loop(noise: Tensor) -> Tensor:
    """Fold the end of a recording into its beginning: (..., time) -> (..., time - fade)."""
    length = noise.shape[-1]
    fade = min(CROSSFADE_SAMPLES, length // 4)
    ramp = (torch.arange(fade, device=noise.device) + 0.5) / max(fade, 1) * (math.pi / 2)
    rise = torch.sin(ramp).to(noise.dtype)
    fall = torch.cos(ramp).to(noise.dtype)
    head = noise[..., :fade] * rise + noise[..., length - fade :] * fall
    return torch.cat([head, noise[..., fade : length - fade]], dim=-1)


def _amplitude_ratio(snr_db: float | Tensor, rows: torch.Size) -> Tensor:
    """Turn a ratio in dB into noise over speech, one for each clip, or say what is wrong."""
    for db in snr_db.reshape(-1).tolist() if isinstance(snr_db, Tensor) else [snr_db]:
        validate_number(db, "snr_db", minimum=-MAX_ABS_SNR_DB, maximum=MAX_ABS_SNR_DB)
    snr = torch.as_tensor(snr_db)
    # One number for all clips, or one for each clip of a batch.
    validate_choice(tuple(snr.shape), "the shape of snr_db", [(), tuple(rows)])
    ratios = [10 ** (-db / 20) for db in snr.reshape(-1).tolist()]
    return torch.tensor(ratios, dtype=torch.float64).reshape(snr.shape).expand(rows)
