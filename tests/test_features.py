"""STFT features: against torch and librosa, by hand, and as invariants."""

import math
import re
import threading

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.features import (
    WINDOW_NAMES,
    STFTConfig,
    apply_mask,
    compress,
    decibels,
    frequency_bands,
    ideal_ratio_mask,
    istft,
    magnitude,
    stft,
    window_tensor,
)

CONFIGS = [
    STFTConfig(),
    STFTConfig(hop_length=128),
    STFTConfig(n_fft=1024, win_length=400, hop_length=160),
    STFTConfig(n_fft=256, win_length=256, hop_length=256, window="rectangular"),
    STFTConfig(window="hamming", hop_length=200),
    STFTConfig(window="blackman", hop_length=128),
    STFTConfig(n_fft=402, win_length=401, hop_length=100),
    STFTConfig(n_fft=64, win_length=64, hop_length=32),
]


def noise(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(*shape, generator=generator, dtype=dtype)


def ids(config):
    return f"{config.window}-{config.n_fft}-{config.win_length}-{config.hop_length}"


# --- against other libraries ---------------------------------------------------------------


@pytest.mark.parametrize("config", CONFIGS, ids=ids)
@pytest.mark.parametrize("num_samples", [1, 100, 4000, 4001])
def test_stft_equals_torch(config, num_samples):
    waveform = noise(2, num_samples)
    windows = {
        "hann": torch.hann_window,
        "hamming": torch.hamming_window,
        "blackman": torch.blackman_window,
        "rectangular": torch.ones,
    }
    expected = torch.stft(
        waveform,
        config.n_fft,
        config.hop_length,
        config.win_length,
        window=windows[config.window](config.win_length),
        pad_mode="constant",
        return_complex=True,
    )
    got = stft(waveform, config)
    shared = expected.shape[-1]
    assert torch.equal(got[..., :shared], expected)
    # One more frame, and only when the clip ends between two hops.
    assert got.shape[-1] - shared == (0 if num_samples % config.hop_length == 0 else 1)


@pytest.mark.parametrize("config", CONFIGS, ids=ids)
def test_stft_equals_librosa(config):
    waveform = noise(10 * config.hop_length + 2000)
    window = "boxcar" if config.window == "rectangular" else config.window
    expected = librosa.stft(
        waveform.numpy(),
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        win_length=config.win_length,
        window=window,
        center=True,
        pad_mode="constant",
    )
    got = stft(waveform, config).numpy()[:, : expected.shape[1]]
    np.testing.assert_allclose(got, expected, atol=2e-5)


def test_uncentred_stft_equals_torch():
    config = STFTConfig(center=False)
    waveform = noise(3, 2000)
    expected = torch.stft(
        waveform, 512, 256, 512, torch.hann_window(512), center=False, return_complex=True
    )
    assert torch.equal(stft(waveform, config), expected)


def test_decibels_equal_librosa():
    values = magnitude(stft(noise(4000), STFTConfig()))
    expected = librosa.amplitude_to_db(values.numpy(), ref=np.max, top_db=80.0, amin=1e-10)
    np.testing.assert_allclose(decibels(values).numpy(), expected, atol=1e-4)


# --- closed forms --------------------------------------------------------------------------


def test_one_frame_by_hand():
    config = STFTConfig(n_fft=8, win_length=8, hop_length=4)
    waveform = torch.arange(1.0, 13.0)  # frame 1 is centred on sample 4: samples 0 to 7
    hann = torch.tensor([0.5 - 0.5 * math.cos(2 * math.pi * n / 8) for n in range(8)])
    by_hand = [
        sum(complex(waveform[n] * hann[n]) * np.exp(-2j * math.pi * k * n / 8) for n in range(8))
        for k in range(5)
    ]
    np.testing.assert_allclose(stft(waveform, config)[:, 1].numpy(), by_hand, atol=1e-5)


def test_a_full_scale_sine_on_a_bin_reaches_half_the_window_sum():
    config = STFTConfig()
    frequency = 32 * config.hz_per_bin
    times = torch.arange(4096, dtype=torch.float64) / config.sample_rate
    values = magnitude(stft(torch.sin(2 * math.pi * frequency * times), config))
    assert values[:, 8].argmax() == 32
    half_sum = float(window_tensor(config, dtype=torch.float64).sum()) / 2
    assert float(values[32, 8]) == pytest.approx(half_sum, rel=1e-9)
    assert half_sum == pytest.approx(128.0)


def test_parseval_for_a_rectangular_window():
    config = STFTConfig(n_fft=128, win_length=128, hop_length=128, window="rectangular")
    waveform = torch.nn.functional.pad(noise(1280, dtype=torch.float64), (64, 64))
    power = magnitude(stft(waveform, config)) ** 2
    twice = torch.full((config.n_freqs, 1), 2.0, dtype=torch.float64)
    twice[0] = twice[-1] = 1.0  # all other bins stand for their mirror image too
    energy = float((twice * power).sum()) / config.n_fft
    assert energy == pytest.approx(float((waveform**2).sum()), rel=1e-12)


def test_ratio_mask_by_hand():
    speech = torch.tensor([[3 + 4j, 0j, 2 + 0j, 0j]])
    other = torch.tensor([[0 + 12j, 1 + 1j, 0j, 0j]])
    expected = torch.tensor([[5 / 13, 0.0, 1.0, 0.0]])
    torch.testing.assert_close(ideal_ratio_mask(speech, other), expected)


def test_ratio_mask_of_equal_parts_is_three_decibels_down():
    part = stft(noise(1000), STFTConfig())
    mask = ideal_ratio_mask(part, part * 1j)
    torch.testing.assert_close(mask, torch.full_like(mask, math.sqrt(0.5)))


def test_compress_by_hand():
    values = torch.tensor([0.0, 1.0, 32.0], dtype=torch.float64)
    got = compress(values, exponent=0.2)
    offset = 1e-6**0.2
    assert got[0] == 0
    assert float(got[1]) == pytest.approx(1 - offset, abs=1e-6)
    assert float(got[2]) == pytest.approx(2 - offset, abs=1e-6)
    assert torch.equal(compress(values, exponent=1.0), values)


def test_decibels_by_hand():
    values = torch.tensor([0.0, 1e-9, 0.1, 1.0, 10.0], dtype=torch.float64)
    expected = torch.tensor([-80.0, -80.0, -20.0, 0.0, 20.0], dtype=torch.float64)
    torch.testing.assert_close(decibels(values, reference=1.0), expected)
    torch.testing.assert_close(
        decibels(values), (expected - 20).clamp(min=-80.0), msg="default: the largest is 0 dB"
    )
    torch.testing.assert_close(decibels(values, reference=torch.tensor(1.0)), expected)


def test_decibels_of_silence_are_the_floor():
    assert torch.equal(decibels(torch.zeros(3, 4), top_db=60.0), torch.full((3, 4), -60.0))


@pytest.mark.parametrize("top_db", [80.0, 1000.0, math.inf])
def test_decibels_are_finite_however_deep_the_scale(top_db):
    got = decibels(torch.tensor([0.0, 1e-30, 1e30]), top_db=top_db, reference=1e-20)
    assert bool(torch.isfinite(got).all())


@pytest.mark.parametrize(
    ("config", "num_samples", "frames"),
    [
        (STFTConfig(), 1, 2),
        (STFTConfig(), 256, 2),
        (STFTConfig(), 257, 3),
        (STFTConfig(), 16_000, 64),
        (STFTConfig(center=False), 512, 1),
        (STFTConfig(center=False), 767, 1),
        (STFTConfig(center=False), 768, 2),
    ],
)
def test_number_of_frames(config, num_samples, frames):
    assert config.num_frames(num_samples) == frames
    assert stft(torch.ones(num_samples), config).shape == (257, frames)


def test_units():
    config = STFTConfig(sample_rate=16_000, n_fft=512, hop_length=256)
    assert (config.n_freqs, config.hz_per_bin, config.ms_per_frame) == (257, 31.25, 16.0)


# --- invariants ----------------------------------------------------------------------------


@settings(max_examples=80)
@given(num_samples=st.integers(1, 5000), config=st.sampled_from(CONFIGS), seed=st.integers(0, 99))
def test_inverse_gives_the_waveform_back(num_samples, config, seed):
    waveform = noise(1, num_samples, seed=seed)
    back = istft(stft(waveform, config), config, length=num_samples)
    assert back.shape == waveform.shape
    assert float((back - waveform).abs().max()) < 1e-6


@settings(max_examples=30)
@given(
    lead=st.lists(st.integers(1, 3), max_size=3),
    num_samples=st.integers(1, 900),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_shapes_and_dtypes_are_kept(lead, num_samples, dtype):
    config = STFTConfig(n_fft=128, win_length=128, hop_length=64)
    waveform = noise(*lead, num_samples, dtype=dtype)
    spectrogram = stft(waveform, config)
    assert spectrogram.shape == (*lead, 65, config.num_frames(num_samples))
    back = istft(spectrogram, config, length=num_samples)
    assert (back.shape, back.dtype) == (waveform.shape, dtype)
    for made in (magnitude(spectrogram), compress(spectrogram.abs()), decibels(spectrogram.abs())):
        assert (made.shape, made.dtype) == (spectrogram.shape, dtype)


@settings(max_examples=60)
@given(
    hop_length=st.integers(1, 64),
    win_length=st.integers(1, 64),
    window=st.sampled_from(WINDOW_NAMES),
)
def test_invertible_tells_the_truth(hop_length, win_length, window):
    if hop_length > win_length:
        hop_length, win_length = win_length, hop_length
    config = STFTConfig(n_fft=64, win_length=win_length, hop_length=hop_length, window=window)
    waveform = noise(1, 500)
    spectrogram = stft(waveform, config)
    if config.invertible:
        back = istft(spectrogram, config, length=500)
        assert float((back - waveform).abs().max()) < 2e-5
    else:
        with pytest.raises(ValueError, match="cannot be inverted"):
            istft(spectrogram, config, length=500)


def test_known_cases_of_invertible():
    assert STFTConfig().invertible
    assert STFTConfig(hop_length=384).invertible
    assert not STFTConfig(hop_length=512).invertible  # Hann windows that only touch
    assert STFTConfig(hop_length=512, window="rectangular").invertible
    assert not STFTConfig(center=False).invertible  # Hann gives the first sample no weight
    config = STFTConfig(center=False, window="rectangular")
    assert config.invertible
    waveform = noise(1024)
    back = istft(stft(waveform, config), config, length=1024)
    torch.testing.assert_close(back, waveform, atol=1e-6, rtol=0)


def test_mask_of_ones_is_the_identity_and_of_zeros_is_silence():
    config = STFTConfig()
    spectrogram = stft(noise(2, 1, 3000), config)
    ones = torch.ones(spectrogram.shape)
    assert torch.equal(apply_mask(spectrogram, ones), spectrogram)
    silent = istft(apply_mask(spectrogram, 0 * ones), config, length=3000)
    assert torch.equal(silent, torch.zeros(2, 1, 3000))


def test_masking_the_end_makes_no_click():
    """The last samples lie under full windows, so a mask cannot blow them up."""
    config = STFTConfig()
    waveform = torch.ones(4 * 256 + 255) * 0.1
    mask = torch.ones(257, config.num_frames(waveform.numel()))
    mask[::2] = 0.0
    estimate = istft(apply_mask(stft(waveform, config), mask), config, length=waveform.numel())
    assert float(estimate[-64:].abs().max()) < 0.3


@settings(max_examples=30)
@given(level=st.sampled_from([1e-30, 1e-6, 1.0, 1e6, 1e30]), seed=st.integers(0, 99))
def test_ratio_mask_lies_between_zero_and_one(level, seed):
    speech = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed)) * level
    other = torch.randn(5, 6, generator=torch.Generator().manual_seed(seed + 1)) * level
    mask = ideal_ratio_mask(speech, other)
    assert bool(((mask >= 0) & (mask <= 1)).all())
    # Swapping the parts gives the complementary mask, at any level.
    torch.testing.assert_close(mask**2 + ideal_ratio_mask(other, speech) ** 2, torch.ones(5, 6))


def test_oracle_mask_brings_the_noisy_clip_nearer_to_the_clean_one():
    config = STFTConfig()
    times = torch.arange(8000) / 16_000
    clean, added = 0.1 * torch.sin(2 * math.pi * 440 * times), noise(8000)
    mask = ideal_ratio_mask(stft(clean, config), stft(added, config))
    estimate = istft(apply_mask(stft(clean + added, config), mask), config, length=8000)
    before, after = ((x - clean).square().mean() for x in (clean + added, estimate))
    assert float(after) < 0.1 * float(before)


def test_batch_equals_one_by_one():
    config = STFTConfig()
    batch = noise(4, 1, 3001)
    together = stft(batch, config)
    apart = torch.stack([stft(clip, config) for clip in batch])
    torch.testing.assert_close(together, apart, atol=1e-6, rtol=0)
    back = istft(together, config, length=3001)
    each = torch.stack([istft(item, config, length=3001) for item in together])
    torch.testing.assert_close(back, each, atol=1e-6, rtol=0)


def test_inputs_are_not_changed():
    config = STFTConfig()
    waveform = noise(1, 1000)
    kept = waveform.clone()
    spectrogram = stft(waveform, config)
    kept_spectrogram = spectrogram.clone()
    apply_mask(spectrogram, torch.zeros(spectrogram.shape))
    istft(spectrogram, config, length=1000)
    ideal_ratio_mask(spectrogram, spectrogram)
    compress(spectrogram.abs())
    assert torch.equal(waveform, kept)
    assert torch.equal(spectrogram, kept_spectrogram)
    same = compress(values := spectrogram.abs(), exponent=1.0)
    assert same.data_ptr() != values.data_ptr()


@pytest.mark.parametrize(
    "feature",
    [magnitude, lambda s: compress(magnitude(s)), lambda s: decibels(magnitude(s), reference=1.0)],
    ids=["magnitude", "compress", "decibels"],
)
def test_gradients_are_finite_at_silence(feature):
    waveform = torch.zeros(1, 1000, requires_grad=True)
    feature(stft(waveform, STFTConfig())).sum().backward()
    assert bool(torch.isfinite(waveform.grad).all())


def test_gradients_reach_the_mask_and_agree_with_differences():
    config = STFTConfig(n_fft=16, win_length=16, hop_length=8)
    spectrogram = stft(noise(40, dtype=torch.float64), config)
    mask = torch.rand(spectrogram.shape, dtype=torch.float64, requires_grad=True)

    def rebuild(mask):
        return istft(apply_mask(spectrogram, mask), config, length=40)

    assert torch.autograd.gradcheck(rebuild, (mask,))


def test_ratio_mask_has_finite_gradients_at_silence():
    parts = [torch.zeros(2, 3, requires_grad=True) for _ in range(2)]
    ideal_ratio_mask(*parts).sum().backward()
    assert all(bool(torch.isfinite(part.grad).all()) for part in parts)


def test_window_is_made_once_and_survives_inference_mode():
    config = STFTConfig(sample_rate=12_345)  # used by no other test
    with torch.inference_mode():
        stft(torch.ones(1000), config)
    assert window_tensor(config, dtype=torch.float32, device=torch.device("cpu")) is window_tensor(
        config, dtype=torch.float32, device=torch.device("cpu")
    )
    waveform = torch.ones(1000, requires_grad=True)
    stft(waveform, config).abs().sum().backward()  # an inference tensor would raise here
    assert waveform.grad is not None


def test_threads_may_share_the_window():
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(stft(torch.ones(900), STFTConfig())))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(torch.equal(results[0], other) for other in results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_device_is_kept():
    config = STFTConfig()
    waveform = noise(2, 3000)
    on_gpu = stft(waveform.cuda(), config)
    assert on_gpu.device.type == "cuda"
    torch.testing.assert_close(on_gpu.cpu(), stft(waveform, config), atol=1e-4, rtol=0)
    assert istft(on_gpu, config, length=3000).device.type == "cuda"


# --- failures with their message -----------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "error", "message"),
    [
        ({"hop_length": 600}, ValueError, "hop_length.*got 600"),
        ({"win_length": 600}, ValueError, "win_length.*got 600"),
        ({"window": "hanning"}, ValueError, "window.*got 'hanning'"),
        ({"window": None}, ValueError, "window.*got None"),
        ({"n_fft": 513}, ValueError, "n_fft.*got 513"),
        ({"hop_length": 0}, ValueError, "hop_length.*got 0"),
        ({"hop_length": 128.0}, TypeError, "hop_length.*got 128.0"),
        ({"n_fft": True}, TypeError, "n_fft.*got True"),
        ({"sample_rate": -1}, ValueError, "sample_rate.*got -1"),
    ],
)
def test_config_refuses(settings_, error, message):
    with pytest.raises(error, match=message):
        STFTConfig(**settings_)


def test_config_cannot_be_changed():
    with pytest.raises(AttributeError):
        STFTConfig().n_fft = 1024


def test_uncentred_stft_refuses_a_short_clip():
    with pytest.raises(ValueError, match="512.*got 511"):
        stft(torch.ones(511), STFTConfig(center=False))


@pytest.mark.parametrize(
    ("num_samples", "error"), [(0, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_num_frames_refuses(num_samples, error):
    with pytest.raises(error, match=re.escape(f"got {num_samples}")):
        STFTConfig().num_frames(num_samples)


@pytest.mark.parametrize(
    ("spectrogram", "length", "error", "message"),
    [
        (torch.ones(257, 4), 100, TypeError, "complex"),
        (torch.ones(129, 4) * 1j, 100, RuntimeError, "got 129"),
        (torch.ones(257, 4) * 1j, 769, ValueError, "length.*got 769"),
        (torch.ones(257, 4) * 1j, 0, ValueError, "length.*got 0"),
        (torch.ones(257, 4) * 1j, 10.0, TypeError, "length"),
    ],
)
def test_istft_refuses(spectrogram, length, error, message):
    with pytest.raises(error, match=message):
        istft(spectrogram, STFTConfig(), length=length)


@pytest.mark.parametrize("config", [STFTConfig(hop_length=512), STFTConfig(center=False)], ids=ids)
def test_istft_says_when_there_is_no_inverse(config):
    with pytest.raises(ValueError, match="config.*window='hann'.*center="):
        istft(stft(torch.ones(2048), config), config, length=1000)


def test_masks_refuse_other_shapes():
    spectrogram = torch.ones(257, 4) * 1j
    with pytest.raises(ValueError, match=r"mask.*got \(257, 1\)"):
        apply_mask(spectrogram, torch.ones(257, 1))  # broadcasting would hide this
    with pytest.raises(ValueError, match=r"noise_spectrogram.*\(257, 4\)"):
        ideal_ratio_mask(spectrogram, spectrogram[:, :3])


def test_negative_magnitudes_count_as_silence():
    values = torch.tensor([-1.0, 0.0, 1.0])
    assert compress(values)[0] == 0 and decibels(values)[0] == -80


@pytest.mark.parametrize("options", [{"top_db": 0.0}, {"reference": 0.0}, {"reference": math.inf}])
def test_decibels_refuse_options(options):
    name = next(iter(options))
    with pytest.raises(ValueError, match=f"{name}.*got {options[name]}"):
        decibels(torch.ones(3), **options)


# ---- frequency_bands ----


@pytest.mark.parametrize(("n_freqs", "n_bands"), [(257, 128), (257, 40), (129, 64), (513, 128)])
def test_bands_keep_what_is_flat_and_what_rises_evenly(n_freqs, n_bands):
    """Averaging and interpolating leave a constant alone; a slope comes back nearly straight."""
    gather, spread = frequency_bands(n_freqs, n_bands)
    assert gather.shape == (n_bands, n_freqs) and spread.shape == (n_freqs, n_bands)
    assert gather.min() >= 0 and spread.min() >= 0
    there_and_back = spread @ gather
    assert torch.allclose(there_and_back[1:].sum(dim=1), torch.ones(n_freqs - 1), atol=1e-5)
    assert not there_and_back[0].any() and not there_and_back[:, 0].any()  # nothing at 0 Hz
    slope = torch.linspace(0, 1, n_freqs)
    middle = slice(2, n_freqs - n_freqs // 8)
    assert torch.allclose((there_and_back @ slope)[middle], slope[middle], atol=0.01)


def test_the_lower_half_of_the_bands_are_single_bins():
    gather, spread = frequency_bands(257, 128)
    assert torch.equal(gather[:64, 1:65], torch.eye(64)) and not gather[:64, 65:].any()
    assert torch.equal(spread[1:65, :64], torch.eye(64))


def test_the_upper_bands_are_evenly_spaced_as_librosa_measures_mel():
    gather, _ = frequency_bands(257, 128)
    hz = torch.linspace(0, 8000, 257)
    centres = librosa.hz_to_mel((gather[65:127] @ hz).numpy(), htk=True)
    steps = np.diff(centres)
    assert steps.std() < 0.25 * steps.mean()


def test_as_many_bands_as_bins_change_nothing():
    gather, spread = frequency_bands(257, 256)
    assert torch.equal(gather[:, 1:], torch.eye(256)) and torch.equal(spread[1:], torch.eye(256))


@pytest.mark.parametrize("n_bands", [0, 3, 257])
def test_bands_that_cannot_be_are_refused(n_bands):
    with pytest.raises(ValueError, match=f"n_bands must be .*, got {n_bands}"):
        frequency_bands(257, n_bands)
