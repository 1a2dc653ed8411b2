"""Noise from formulas: level, spectrum, repeatability, refusals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import find_peaks, welch

from course_utils.noise import (
    babble,
    colored_noise,
    fan_noise,
    keyboard_clicks,
    knocks,
    mains_hum,
    tones,
)

SAMPLE_RATE = 16_000
MAKERS = [colored_noise, mains_hum, fan_noise, keyboard_clicks, tones, knocks]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def voice(seed: int, num_samples: int = 8000) -> torch.Tensor:
    return 0.05 * (seed + 1) * torch.randn(1, num_samples, generator=seeded(seed))


def rms(waveform: torch.Tensor) -> float:
    return float(np.sqrt(np.mean(waveform.numpy().astype(np.float64) ** 2)))


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=15, deadline=None)
@given(num_samples=st.integers(1, 5000), seed=st.integers(0, 2**31))
def test_shape_dtype_and_level_for_any_length(make, num_samples, seed):
    noise = make(num_samples, generator=seeded(seed))
    assert noise.shape == (1, num_samples)
    assert noise.dtype == torch.float32
    assert rms(noise) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize("make", [make for make in MAKERS if make is not knocks])
def test_peaks_leave_headroom(make):
    for seed in range(20):
        assert float(make(2 * SAMPLE_RATE, generator=seeded(seed)).abs().max()) < 1.0


@pytest.mark.parametrize("make", MAKERS)
def test_same_seed_same_noise_other_seed_other_noise(make):
    first = make(3000, generator=seeded(7))
    assert torch.equal(first, make(3000, generator=seeded(7)))
    assert not torch.allclose(first, make(3000, generator=seeded(8)), atol=1e-3)


@pytest.mark.parametrize("make", MAKERS)
def test_global_generator_is_left_alone_when_one_is_given(make):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    make(500, generator=seeded())
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_fitted_slope_of_the_spectrum_is_the_exponent(exponent):
    noise = colored_noise(30 * SAMPLE_RATE, exponent=exponent, generator=seeded(1))
    frequency, power = welch(noise[0].numpy().astype(np.float64), SAMPLE_RATE, nperseg=4096)
    band = (frequency > 100) & (frequency < 7000)
    slope, _ = np.polyfit(np.log(frequency[band]), np.log(power[band]), 1)
    assert -slope == pytest.approx(exponent, abs=0.06)


def test_colored_noise_has_nothing_below_hearing():
    noise = colored_noise(4 * SAMPLE_RATE, exponent=2.0, generator=seeded(2))[0].double()
    power = torch.fft.rfft(noise).abs().square()
    hz = torch.fft.rfftfreq(noise.numel(), 1 / SAMPLE_RATE)
    assert float(power[hz < 19.9].sum() / power.sum()) < 1e-10


@pytest.mark.parametrize("frequency", [50.0, 60.0, 440.0])
def test_hum_has_peaks_at_the_harmonics_only(frequency):
    hum = mains_hum(2 * SAMPLE_RATE, frequency=frequency, generator=seeded(4))[0].numpy()
    window = np.blackman(hum.size)
    level = 20 * np.log10(np.abs(np.fft.rfft(hum * window)) + 1e-12)
    hz = np.fft.rfftfreq(hum.size, 1 / SAMPLE_RATE)
    peaks, _ = find_peaks(level, height=level.max() - 50)
    num_harmonics = min(20, math.ceil(SAMPLE_RATE / 2 / frequency) - 1)
    assert hz[peaks] == pytest.approx(frequency * np.arange(1, num_harmonics + 1), abs=0.5)
    order = hz / frequency
    between = (np.abs(order - np.round(order)) * frequency > 5) | (order > num_harmonics + 0.5)
    assert level[between].max() < level.max() - 60


def test_hum_never_passes_half_the_sample_rate():
    hum = mains_hum(8000, frequency=3000.0, sample_rate=8000, generator=seeded())[0].double()
    power = torch.fft.rfft(hum).abs().square()
    assert int(power.argmax()) == 3000  # one second: bin = Hz; 6000 Hz would fold to 2000
    assert float(power[2000] / power[3000]) < 1e-6


def test_fan_is_loudest_low_and_has_a_blade_tone():
    fan = fan_noise(8 * SAMPLE_RATE, generator=seeded(5))[0].numpy()
    hz, power = welch(fan, SAMPLE_RATE, nperseg=16_000)
    assert power[(hz > 50) & (hz < 500)].mean() > 30 * power[hz > 3000].mean()
    blades = (hz >= 85) & (hz <= 155)
    assert power[blades].max() > 5 * np.median(power[blades])


def test_keyboard_is_mostly_quiet_with_short_knocks():
    clicks = keyboard_clicks(4 * SAMPLE_RATE, generator=seeded(6))[0]
    frames = clicks.reshape(-1, 160).square().mean(dim=-1).sqrt()  # 10 ms each
    assert float(frames.median()) < 0.05 < 0.3 < float(frames.max())


@pytest.mark.parametrize("seed", range(8))
def test_tones_are_a_few_lines_in_every_frame(seed):
    frames = tones(32_000, generator=seeded(seed)).numpy()[0].reshape(-1, 800)
    power = np.abs(np.fft.rfft(frames * np.hanning(800))) ** 2
    loud = power[power.sum(axis=1) > 0.01 * power.sum(axis=1).max()]
    strongest = np.sort(loud, axis=1)[:, -40:].sum(axis=1) / loud.sum(axis=1)  # 40 of 401 bins
    assert np.median(strongest) > 0.9  # of white noise, they hold a third


def test_tones_last_and_change():
    pitches = [
        np.abs(np.fft.rfft(part * np.hanning(4000))).argmax() * 4
        for part in tones(64_000, generator=seeded(3)).numpy()[0].reshape(-1, 4000)
    ]
    assert len(set(pitches)) > 5 and all(60 < hz <= 8000 for hz in pitches if hz)


@pytest.mark.parametrize("seed", range(8))
def test_knocks_stand_in_one_band_of_at_most_three_octaves(seed):
    hz, power = welch(knocks(64_000, generator=seeded(seed)).numpy()[0], 16_000, nperseg=2048)
    share = np.cumsum(power) / power.sum()
    low, high = hz[np.searchsorted(share, [0.1, 0.9])]
    assert 60 < low <= high < 8.8 * low + 200


def test_knocks_come_and_die_away():
    peaks_over_rms = [
        float(knocks(32_000, generator=seeded(s)).abs().max()) / 0.1 for s in range(30)
    ]
    assert np.median(peaks_over_rms) > 6  # steady noise reaches 4 to 5


def test_babble_is_the_sum_of_all_voices_at_one_level():
    """With orthogonal whole-cycle tones as voices, each must hold 1/n of the power."""
    time = torch.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = [(100, 0.5), (200, 0.01), (300, 0.9), (400, 0.2)]
    voices = [a * torch.sin(2 * math.pi * hz * time) for hz, a in tones]
    crowd = babble(voices, SAMPLE_RATE, generator=seeded())
    power = torch.fft.rfft(crowd[0].double()).abs().square()
    for hz, _ in tones:
        assert float(power[hz] / power.sum()) == pytest.approx(1 / len(voices), rel=1e-4)


@pytest.mark.parametrize("count", [1, 3, 8])
@settings(max_examples=10, deadline=None)
@given(num_samples=st.integers(1, 20_000))
def test_babble_of_n_voices_has_the_level_for_any_length(count, num_samples):
    voices = [voice(k, 5000 + 700 * k) for k in range(count)]
    copies = [v.clone() for v in voices]
    crowd = babble(voices, num_samples, generator=seeded(num_samples))
    assert crowd.shape == (1, num_samples) and crowd.dtype == torch.float32
    assert rms(crowd) == pytest.approx(0.1, rel=1e-5)
    assert all(torch.equal(v, c) for v, c in zip(voices, copies, strict=True))


def test_babble_of_one_voice_is_that_voice_turned_around():
    ramp = torch.linspace(-1, 1, 1000).unsqueeze(0)
    crowd = babble([ramp], 1000, generator=seeded(9))
    scaled = ramp * (0.1 / rms(ramp))
    start = int((scaled - crowd[0, 0]).abs().argmin())
    assert torch.allclose(crowd, scaled.roll(-start, dims=-1), atol=1e-6)
    assert start > 0


def test_babble_repeats_with_its_seed():
    voices = [voice(0), voice(1)]
    first = babble(voices, 4000, generator=seeded(1))
    assert torch.equal(first, babble(voices, 4000, generator=seeded(1)))
    assert not torch.allclose(first, babble(voices, 4000, generator=seeded(2)), atol=1e-3)


@pytest.mark.parametrize("make", MAKERS + [lambda n: babble([voice(0)], n)])
@pytest.mark.parametrize("bad, error", [(0, ValueError), (-3, ValueError), (1.5, TypeError)])
def test_bad_length_gets_its_sentence(make, bad, error):
    with pytest.raises(error, match=f"num_samples.*{bad}"):
        make(bad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 4.5, -9.0])
def test_bad_exponent_gets_its_sentence(bad):
    with pytest.raises(ValueError, match="exponent.*-4.*4"):
        colored_noise(100, exponent=bad)


@pytest.mark.parametrize("bad", [0.0, -50.0, 8001.0, float("nan")])
def test_bad_hum_frequency_gets_its_sentence(bad):
    with pytest.raises(ValueError, match="frequency"):
        mains_hum(100, frequency=bad)


def test_a_hum_without_a_tone_below_half_the_rate_is_refused_not_nan():
    with pytest.raises(ValueError, match="frequency.*8000"):
        mains_hum(100, frequency=8000.0)


@pytest.mark.parametrize("make", [mains_hum, fan_noise, keyboard_clicks])
def test_bad_sample_rate_gets_its_sentence(make):
    with pytest.raises(ValueError, match="sample_rate.*0"):
        make(100, sample_rate=0)


@pytest.mark.parametrize(
    "voices, error, sentence",
    [
        ([], ValueError, "voices"),
        ([torch.ones(4), torch.zeros(1, 9)], ValueError, r"voices\[1\].*silent"),
        ([torch.ones(2, 9)], ValueError, r"voices\[0\].*\(2, 9\)"),
    ],
)
def test_bad_voices_get_their_sentence(voices, error, sentence):
    with pytest.raises(error, match=sentence):
        babble(voices, 100)


def test_piece_that_falls_into_a_pause_is_refused_not_nan():
    mostly_silent = torch.zeros(1, 100_000)
    mostly_silent[0, -1] = 1.0
    with pytest.raises(ValueError, match=" 1 samples.*silent"):
        babble([mostly_silent], 1, generator=seeded())
