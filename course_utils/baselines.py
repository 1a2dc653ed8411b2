"""Denoising without learning: do nothing, spectral subtraction, Wiener filter.

Each is called like a trained denoiser: a waveform in, a waveform of the same shape out. They
know nothing of speech except that it comes and goes, while they expect noise to stay. What a
network is worth is what it gains over them.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from course_utils.features import STFTConfig, istft, stft
from course_utils.validate import validate_number, validate_waveform

_TINY = 1e-12  # power relative to a full-scale bin: far below any recorded noise
_DEFAULT_CONFIG = STFTConfig()


def do_nothing(noisy: Tensor, config: STFTConfig = _DEFAULT_CONFIG) -> Tensor:
    """Give the input back: the first thing that every denoiser has to beat.

    Args:
        noisy: Float tensor (..., time).
        config: Not used; here so that all baselines are called alike.

    Returns:
        A copy of `noisy`.

    Notebook: 04
    """
    return noisy.clone()


def spectral_subtraction(
    noisy: Tensor,
    config: STFTConfig = _DEFAULT_CONFIG,
    *,
    quiet_share: float = 0.2,
    over_subtraction: float = 2.0,
    floor_db: float = -12.0,
    smoothing_frames: int = 3,
) -> Tensor:
    """Subtract the average spectrum of the quietest frames from every frame.

    The noise magnitude N(freq) is the mean over the quietest frames of the clip. Each bin is
    multiplied by gain = max(1 - over_subtraction * N / |Y|, floor), with |Y| averaged over a few
    frames. The noisy phase stays. Bins that by chance stick out of the noise survive alone: that
    is the tinkling known as musical noise, which over-subtraction, the floor and the average
    make bearable (smoothing_frames=1, floor_db=-40 lets it be heard).

    Args:
        noisy: Float tensor (..., time).
        config: Settings of the STFT.
        quiet_share: Share of the frames taken for noise alone, above 0 and up to 1.
        over_subtraction: How many times the noise is subtracted, at least 0; 0 changes nothing.
        floor_db: Lowest gain in dB, at most 0; some noise left hides the tinkling.
        smoothing_frames: Frames in the average of |Y|, an odd number; 1 averages nothing.

    Returns:
        The estimate, same shape, dtype and device. Scaling the input scales it alike.

    Raises:
        TypeError: Not a float tensor, or an option that is not a number.
        ValueError: No samples, NaN or infinity, options out of range.

    Source: Boll, IEEE Trans. ASSP 27(2), 1979; Berouti, Schwartz, Makhoul, ICASSP 1979.
    Notebook: 04
    """
    validate_number(quiet_share, "quiet_share", above=0, maximum=1)
    validate_number(over_subtraction, "over_subtraction", minimum=0)
    if smoothing_frames % 2 != 1:
        raise ValueError(f"smoothing_frames must be odd, got {smoothing_frames}; try 3.")
    floor = _linear_gain(floor_db)

    def gain(power: Tensor) -> Tensor:
        noise = _quiet_mean(power.sqrt(), power, quiet_share)
        magnitude = functional.avg_pool1d(
            power, smoothing_frames, 1, smoothing_frames // 2, count_include_pad=False
        ).sqrt()  # (clip, freq, frame)
        return (1 - over_subtraction * noise / magnitude.clamp_min(_TINY)).clamp_min(floor)

    return _filter(noisy, config, gain)


def wiener_filter(
    noisy: Tensor,
    config: STFTConfig = _DEFAULT_CONFIG,
    *,
    smoothing: float = 0.9,
    floor_db: float = -12.0,
) -> Tensor:
    """Keep of every bin the share that is speech, with the noise followed through time.

    For each frame, (1) the noise power is updated where speech is unlikely; (2) the ratio of
    speech to noise, xi, mixes what the last frame gave with what this one shows ("decision
    directed"), which calms the gain and so prevents musical noise; (3) gain = xi / (1 + xi).

    Args:
        noisy: Float tensor (..., time).
        config: Settings of the STFT.
        smoothing: Weight of the last frame in xi, from 0 to 1.
        floor_db: Lowest gain in dB, at most 0.

    Returns:
        The estimate, same shape, dtype and device. Scaling the input scales it alike.

    Raises:
        TypeError: Not a float tensor, or an option that is not a number.
        ValueError: No samples, NaN or infinity, options out of range.

    Source: Ephraim and Malah, IEEE Trans. ASSP 32(6), 1984 (decision-directed ratio); Gerkmann
        and Hendriks, IEEE TASLP 20(4), 2012 (noise power from speech presence).
    Notebook: 04
    """
    validate_number(smoothing, "smoothing", minimum=0, maximum=1)
    floor = _linear_gain(floor_db)

    def gain(power: Tensor) -> Tensor:
        noise = _track_noise(power)  # (clip, freq, frame)
        excess = power / noise
        gains = []
        kept = torch.ones_like(excess[..., 0])
        for ratio in excess.unbind(dim=-1):  # (clip, freq)
            xi = smoothing * kept + (1 - smoothing) * (ratio - 1).clamp_min(0)
            gains.append((xi / (1 + xi)).clamp_min(floor))
            kept = gains[-1].square() * ratio
        return torch.stack(gains, dim=-1)

    return _filter(noisy, config, gain)


def _filter(noisy: Tensor, config: STFTConfig, gain: Callable[[Tensor], Tensor]) -> Tensor:
    """Multiply the spectrogram by gain(power); the power is seen at one level for all clips."""
    validate_waveform(noisy, name="noisy")
    clips = noisy.reshape(-1, noisy.shape[-1])  # (clip, time)
    peak = clips.abs().amax(dim=-1, keepdim=True)
    level = torch.where(peak > 0, peak, torch.ones_like(peak))
    spectrogram = stft(clips / level, config)  # (clip, freq, frame)
    power = spectrogram.abs().square()
    filtered = spectrogram * gain(power)
    return (istft(filtered, config, length=noisy.shape[-1]) * level).reshape(noisy.shape)


def _is_empty(power: Tensor) -> Tensor:
    """Find frames of digital silence (padding, a muted microphone): they say nothing of noise."""
    loudness = power.sum(dim=-2)  # (clip, frame)
    return loudness <= 1e-9 * loudness.amax(dim=-1, keepdim=True)


def _quiet_mean(values: Tensor, power: Tensor, share: float) -> Tensor:
    """Mean over the quietest frames that are not empty: (clip, freq, frame) -> (clip, freq, 1)."""
    loudness = power.sum(dim=-2).masked_fill(_is_empty(power), torch.inf)  # (clip, frame)
    num_quiet = max(1, round(share * loudness.shape[-1]))
    quietest = loudness.argsort(dim=-1)[:, :num_quiet]  # (clip, quiet)
    index = quietest.unsqueeze(-2).expand(-1, values.shape[-2], -1)
    return values.gather(-1, index).mean(dim=-1, keepdim=True)


def _track_noise(power: Tensor) -> Tensor:
    """Follow the noise power: where speech is likely the old value stays, (clip, freq, frame)."""
    snr_speech = 10**1.5  # a priori SNR where speech is present: 15 dB
    noise = _quiet_mean(power, power, 0.2)[..., 0].clamp_min(_TINY)  # (clip, freq)
    likely = torch.full_like(noise, 0.5)
    tracked = []
    for frame, empty in zip(power.unbind(dim=-1), _is_empty(power).unbind(dim=-1), strict=True):
        exponent = (frame / noise * snr_speech / (1 + snr_speech)).clamp_max(50)
        speech = 1 / (1 + (1 + snr_speech) * torch.exp(-exponent))
        likely = 0.9 * likely + 0.1 * speech
        # A noise that suddenly got louder looks like speech for ever: let some of it through.
        speech = torch.where(likely > 0.99, speech.clamp_max(0.99), speech)
        update = 0.1 * (1 - speech) * ~empty.unsqueeze(-1)
        noise = (noise + update * (frame - noise)).clamp_min(_TINY)
        tracked.append(noise)
    return torch.stack(tracked, dim=-1)


def _linear_gain(floor_db: float) -> float:
    """Turn the lowest gain in dB, at most 0, into a factor."""
    validate_number(floor_db, "floor_db", maximum=0)
    return 10 ** (floor_db / 20)
