"""Denoising without learning: what it gains, what it must never do, what it refuses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_utils.baselines import do_nothing, spectral_subtraction, wiener_filter
from course_utils.features import STFTConfig
from course_utils.metrics import si_sdr
from course_utils.mixing import mix_at_snr

RATE = 16_000
ALL = (do_nothing, spectral_subtraction, wiener_filter)
FILTERS = (spectral_subtraction, wiener_filter)


def make_speech(seconds=3.0):
    """Syllables of a buzz, with pauses between them."""
    time = torch.arange(int(seconds * RATE), dtype=torch.float64) / RATE
    pitch = 130 + 20 * torch.sin(2 * math.pi * 0.6 * time)
    phase = 2 * math.pi * torch.cumsum(pitch / RATE, dim=0)
    buzz = sum(torch.cos(k * phase) / k for k in range(1, 30))
    syllables = torch.sin(2 * math.pi * 1.3 * time).clamp_min(0)
    return (0.1 * syllables * buzz).float()[None]  # (1, time)


def noise_like(waveform, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(waveform.shape, generator=generator, dtype=waveform.dtype)


@pytest.mark.parametrize("method", FILTERS)
@pytest.mark.parametrize(("snr_db", "gain_db"), [(-5, 6), (0, 5), (5, 4), (10, 2.5)])
def test_steady_noise_is_clearly_reduced(method, snr_db, gain_db):
    clean = make_speech()
    noisy = mix_at_snr(clean, noise_like(clean), snr_db)
    before = si_sdr(estimate=noisy, reference=clean)
    assert si_sdr(estimate=method(noisy), reference=clean) > before + gain_db


def test_wiener_follows_a_noise_that_grows_louder():
    """The noise rises by 12 dB; the spectrum of the quietest frames knows nothing of that."""
    clean = make_speech(8.0)
    noise = noise_like(clean)
    noise[..., noise.shape[-1] // 2 :] *= 4
    noisy = mix_at_snr(clean, noise, 3)
    half = clean.shape[-1] // 2 + RATE  # a second to notice
    late = {"reference": clean[..., half:]}
    wiener = si_sdr(estimate=wiener_filter(noisy)[..., half:], **late)
    assert wiener > si_sdr(estimate=noisy[..., half:], **late) + 3
    assert wiener > si_sdr(estimate=spectral_subtraction(noisy)[..., half:], **late) + 1


@pytest.mark.parametrize("method", FILTERS)
def test_noise_alone_is_turned_down_and_clean_speech_stays(method):
    clean = make_speech()
    noise = noise_like(clean)
    assert float(method(noise).norm() / noise.norm()) < 0.4
    assert si_sdr(estimate=method(clean), reference=clean) > 7


@pytest.mark.parametrize("method", FILTERS)
def test_digital_silence_around_a_clip_is_not_taken_for_the_noise(method):
    clean = make_speech()
    noisy = mix_at_snr(clean, noise_like(clean), 0)
    padded = torch.nn.functional.pad(noisy, (RATE, RATE))
    inner = method(padded)[..., RATE:-RATE]
    gain = si_sdr(estimate=inner, reference=clean) - si_sdr(estimate=noisy, reference=clean)
    assert gain > 4


@given(
    num_samples=st.integers(1, 2500),
    shape=st.sampled_from([(), (1,), (2,), (2, 3)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    level_db=st.floats(-120, 20),
)
def test_shape_dtype_and_finite_values_at_any_length_and_level(num_samples, shape, dtype, level_db):
    noisy = torch.randn(*shape, num_samples, dtype=dtype) * 10 ** (level_db / 20)
    for method in ALL:
        copy = noisy.clone()
        estimate = method(noisy)
        assert estimate.shape == noisy.shape and estimate.dtype == dtype
        assert torch.isfinite(estimate).all() and torch.equal(noisy, copy)
        assert estimate.norm() <= 1.01 * noisy.norm(), "a gain of at most 1 adds nothing"


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("gain", [1e-4, 0.03, 30.0])
def test_the_level_of_the_input_does_not_matter(method, gain):
    noisy = mix_at_snr(make_speech(), noise_like(make_speech()), 5)
    expected = method(noisy)
    scaled = method(gain * noisy) / gain
    assert float((scaled - expected).abs().max()) < 1e-4 * float(expected.abs().max())


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("num_samples", [1, 100, 16_000])
def test_silence_stays_silence(method, num_samples):
    silence = torch.zeros(2, num_samples)
    assert torch.equal(method(silence), silence)


@pytest.mark.parametrize("method", ALL)
def test_a_batch_equals_one_by_one_even_beside_a_silent_and_a_loud_clip(method):
    clean = make_speech(1.0)
    noisy = mix_at_snr(clean, noise_like(clean), 5)
    batch = torch.stack([noisy, torch.zeros_like(noisy), 100 * noisy])
    together = method(batch)
    for item, estimate in zip(batch, together, strict=True):
        assert torch.allclose(method(item), estimate, rtol=1e-4, atol=1e-6)


def test_options_at_their_ends_change_nothing_or_everything():
    noisy = mix_at_snr(make_speech(), noise_like(make_speech()), 5)
    assert torch.allclose(spectral_subtraction(noisy, over_subtraction=0), noisy, atol=1e-5)
    assert torch.allclose(spectral_subtraction(noisy, floor_db=0), noisy, atol=1e-5)
    assert torch.allclose(wiener_filter(noisy, floor_db=0), noisy, atol=1e-5)
    gentle = spectral_subtraction(noisy, over_subtraction=1)
    strong = spectral_subtraction(noisy, over_subtraction=4)
    assert not torch.allclose(spectral_subtraction(noisy, smoothing_frames=1), gentle, atol=1e-4)
    assert strong.norm() < gentle.norm()
    deep, shallow = (wiener_filter(noise_like(noisy), floor_db=x) for x in (-40, -6))
    assert deep.norm() < shallow.norm()


@pytest.mark.parametrize("method", FILTERS)
def test_one_bin_by_hand_a_steady_tone_is_taken_for_noise(method):
    """A tone that never stops is what these methods call noise: it goes, the word above stays."""
    time = torch.arange(3 * RATE) / RATE
    tone = 0.05 * torch.sin(2 * math.pi * 1000 * time)[None]
    speech = make_speech()
    estimate = method(speech + tone)
    bin_of_tone = torch.fft.rfft(estimate)[..., 3000].abs() / torch.fft.rfft(tone)[..., 3000].abs()
    assert float(bin_of_tone) < 0.4


@pytest.mark.parametrize("method", FILTERS)
def test_other_stft_settings_work(method):
    clean = make_speech()
    noisy = mix_at_snr(clean, noise_like(clean), 0)
    config = STFTConfig(n_fft=1024, win_length=640, hop_length=160)
    gain = si_sdr(estimate=method(noisy, config), reference=clean)
    assert gain > si_sdr(estimate=noisy, reference=clean) + 3


@pytest.mark.parametrize("method", FILTERS)
def test_unusable_input_is_refused_in_words(method):
    with pytest.raises(TypeError, match="noisy.*got torch.int16"):
        method(torch.zeros(100, dtype=torch.int16))
    with pytest.raises(ValueError, match="noisy.*finite"):
        method(torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match="noisy"):
        method(torch.zeros(1, 0))


def test_options_out_of_range_are_refused_in_words():
    noisy = torch.randn(1000)
    with pytest.raises(ValueError, match="quiet_share.*got 0"):
        spectral_subtraction(noisy, quiet_share=0)
    with pytest.raises(ValueError, match="over_subtraction.*got -1"):
        spectral_subtraction(noisy, over_subtraction=-1)
    with pytest.raises(ValueError, match="smoothing_frames.*got 4"):
        spectral_subtraction(noisy, smoothing_frames=4)
    with pytest.raises(ValueError, match="floor_db.*got 3"):
        wiener_filter(noisy, floor_db=3)
    with pytest.raises(ValueError, match="smoothing.*got 1.5"):
        wiener_filter(noisy, smoothing=1.5)
