import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import speech_like

from course_utils.levels import peak_db, rms_db
from course_utils.preprocessing import (
    align,
    correct_drift,
    estimate_delay,
    normalize_pair,
    pad_or_trim,
    peak_normalize,
    segment,
)

FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def noise(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, generator=generator, dtype=torch.float64) * 1.9 - 0.95).to(dtype)


def assert_one_sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert ". " not in text


BAD_WAVEFORMS = [
    ([0.0, 1.0], TypeError, "got list"),
    (torch.ones(1, 9, dtype=torch.int16), TypeError, "got torch.int16"),
    (torch.zeros(1, 0), ValueError, r"\(1, 0\)"),
    (torch.tensor([[math.nan, 1.0]]), ValueError, "finite"),
    (torch.tensor([[math.inf, 1.0]]), ValueError, "finite"),
]
SINGLE = {
    "peak_db": peak_db,
    "rms_db": rms_db,
    "peak_normalize": peak_normalize,
}


@pytest.mark.parametrize("function", SINGLE)
@pytest.mark.parametrize(("bad", "kind", "message"), BAD_WAVEFORMS)
def test_bad_waveforms_get_their_sentence(function, bad, kind, message):
    with pytest.raises(kind, match=f"waveform.*{message}") as error:
        SINGLE[function](bad)
    assert_one_sentence(error)


@pytest.mark.parametrize(("bad", "kind", "message"), BAD_WAVEFORMS)
def test_bad_members_of_a_pair_are_named(bad, kind, message):
    good = noise(1, 9)
    for arguments, name in zip(((bad, good), (good, bad)), ("noisy", "clean"), strict=True):
        with pytest.raises(kind, match=f"{name}.*{message}") as error:
            normalize_pair(*arguments)
        assert_one_sentence(error)


# --- peak_db, rms_db -----------------------------------------------------------------------------


def test_levels_of_a_sine_and_of_a_square_wave():
    sine = torch.sin(2 * math.pi * torch.arange(16000, dtype=torch.float64) / 160)
    assert peak_db(sine) == pytest.approx(0.0, abs=1e-9)
    assert rms_db(sine) == pytest.approx(-10 * math.log10(2), abs=1e-9)  # -3.01 dBFS
    square = 0.5 * torch.sign(sine + 1e-9)
    assert peak_db(square) == pytest.approx(20 * math.log10(0.5))
    assert rms_db(square) == pytest.approx(20 * math.log10(0.5))


@settings(max_examples=60, deadline=None)
@given(
    level_db=st.floats(-180, 180),
    num_samples=st.integers(1, 300),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_levels_follow_the_gain_in_db(level_db, num_samples, dtype):
    waveform = noise(1, num_samples, seed=num_samples, dtype=torch.float64)
    waveform[0, 0] = 1.0
    scaled = (waveform * 10 ** (level_db / 20)).to(dtype)
    before = scaled.clone()
    assert peak_db(scaled) == pytest.approx(level_db, abs=1e-4)
    assert rms_db(scaled) == pytest.approx(rms_db(waveform) + level_db, abs=1e-4)
    assert rms_db(scaled) <= peak_db(scaled) + 1e-9
    assert torch.equal(scaled, before)


def test_levels_of_one_sample_and_of_half_precision():
    assert peak_db(torch.tensor([-0.1])) == pytest.approx(-20, abs=1e-5)
    assert rms_db(torch.full((2, 70000), 0.1, dtype=torch.float16)) == pytest.approx(-20, abs=0.01)
    soft = torch.full((1, 1_000_000), 2e-4, dtype=torch.float16)  # its squares vanish in float16
    soft[0, 0] = 1.0
    assert rms_db(soft) == pytest.approx(rms_db(soft.double()), abs=1e-6)


@pytest.mark.parametrize("function", [peak_db, rms_db, peak_normalize])
@pytest.mark.parametrize("level", [0.0, 1e-20])
def test_silence_has_no_level(function, level):
    with pytest.raises(ValueError, match="waveform.*silent") as error:
        function(torch.full((1, 9), level))
    assert_one_sentence(error)


# --- pad_or_trim, segment ------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 60),
    wanted=st.integers(1, 90),
    shape=st.sampled_from([(), (1,), (2,), (3, 2)]),
    dtype=st.sampled_from(FLOATS),
)
def test_pad_or_trim_keeps_the_start_and_adds_zeros(length, wanted, shape, dtype):
    waveform = noise(*shape, length, dtype=dtype)
    original = waveform.clone()
    result = pad_or_trim(waveform, wanted)
    assert result.shape == (*shape, wanted)
    assert result.dtype == dtype
    common = min(length, wanted)
    assert torch.equal(result[..., :common], waveform[..., :common])
    assert result[..., common:].abs().sum() == 0
    result.fill_(7)
    assert torch.equal(waveform, original)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 100),
    segment_length=st.integers(1, 40),
    channels=st.integers(1, 3),
    data=st.data(),
)
def test_segments_hold_every_sample_in_its_place(length, segment_length, channels, data):
    hop_length = data.draw(st.one_of(st.none(), st.integers(1, segment_length)))
    waveform = noise(channels, length)
    original = waveform.clone()
    pieces = segment(waveform, segment_length, hop_length=hop_length)
    hop = hop_length or segment_length
    assert pieces.shape[1:] == (channels, segment_length)
    assert pieces.is_contiguous()
    assert len(pieces) == 1 + math.ceil(max(0, length - segment_length) / hop)
    for number, piece in enumerate(pieces):
        expected = waveform[:, number * hop : number * hop + segment_length]
        assert expected.shape[1] > 0  # no piece of padding alone
        assert torch.equal(piece[:, : expected.shape[1]], expected)
        assert piece[:, expected.shape[1] :].abs().sum() == 0
    assert (len(pieces) - 1) * hop + segment_length >= length
    pieces.fill_(7)
    assert torch.equal(waveform, original)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda w: pad_or_trim(w, 0), ValueError, "num_samples.*got 0"),
        (lambda w: pad_or_trim(w, 2.5), TypeError, "num_samples.*got 2.5"),
        (lambda w: pad_or_trim(w, True), TypeError, "num_samples.*got True"),
        (lambda w: segment(w[0], 5), ValueError, r"\(50,\)"),
        (lambda w: segment(w[None], 5), ValueError, r"\(channel, time\).*\(1, 1, 50\)"),
        (lambda w: segment(w, 0), ValueError, "segment_length.*got 0"),
        (lambda w: segment(w, 5, hop_length=0), ValueError, "hop_length"),
        (lambda w: segment(w, 5, hop_length=6), ValueError, "hop_length.*got 6"),
        (lambda w: segment(w, "5"), TypeError, "segment_length.*got '5'"),
    ],
)
def test_bad_lengths_get_their_sentence(call, kind, message):
    with pytest.raises(kind, match=message) as error:
        call(noise(1, 50))
    assert_one_sentence(error)


# --- peak_normalize, normalize_pair --------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    level_db=st.floats(-150, 100),
    peak=st.floats(0.01, 1.0),
    num_samples=st.integers(1, 200),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_peak_normalize_reaches_the_peak_and_keeps_the_form(level_db, peak, num_samples, dtype):
    waveform = (noise(2, num_samples, dtype=torch.float64) * 10 ** (level_db / 20)).to(dtype)
    original = waveform.clone()
    result = peak_normalize(waveform, peak=peak)
    assert result.dtype == dtype
    assert float(result.abs().max()) == pytest.approx(peak, rel=1e-6)
    assert float(result.double().abs().max()) <= torch.tensor(peak, dtype=dtype).item()
    gain = peak / float(waveform.abs().max())
    torch.testing.assert_close(result.double(), waveform.double() * gain, rtol=1e-5, atol=1e-9)
    assert torch.equal(waveform, original)


@settings(max_examples=60, deadline=None)
@given(
    noise_gain=st.floats(0, 30),
    level_db=st.floats(-120, 60),
    peak=st.floats(0.01, 1.0),
    num_samples=st.integers(2, 200),
)
def test_normalize_pair_uses_one_gain(noise_gain, level_db, peak, num_samples):
    clean = noise(1, num_samples, dtype=torch.float64) * 10 ** (level_db / 20)
    noisy = clean + noise_gain * clean.roll(1) * noise(1, num_samples, seed=1, dtype=torch.float64)
    originals = noisy.clone(), clean.clone()
    new_noisy, new_clean = normalize_pair(noisy, clean, peak=peak)
    loudest = max(float(new_noisy.abs().max()), float(new_clean.abs().max()))
    assert loudest == pytest.approx(peak)
    assert loudest <= peak
    gain = peak / max(float(noisy.abs().max()), float(clean.abs().max()))
    torch.testing.assert_close(new_noisy, noisy * gain)
    torch.testing.assert_close(new_clean, clean * gain)
    torch.testing.assert_close(new_noisy - new_clean, (noisy - clean) * gain, atol=1e-9, rtol=1e-5)
    assert torch.equal(noisy, originals[0]) and torch.equal(clean, originals[1])


def test_normalize_pair_takes_a_silent_clean_but_not_two_silent_members():
    noisy, clean = normalize_pair(torch.full((1, 4), 0.1), torch.zeros(1, 4), peak=0.5)
    torch.testing.assert_close(noisy, torch.full((1, 4), 0.5))
    assert torch.equal(clean, torch.zeros(1, 4))
    with pytest.raises(ValueError, match="noisy and clean.*silent"):
        normalize_pair(torch.zeros(1, 4), torch.zeros(1, 4))


def test_normalize_pair_wants_equal_shapes():
    with pytest.raises(ValueError, match=r"\(1, 9\) and \(2, 9\)") as error:
        normalize_pair(noise(1, 9), noise(2, 9))
    assert_one_sentence(error)


@pytest.mark.parametrize("peak", [0, -0.5, 1.5, math.nan, math.inf, "1", True, None])
def test_peaks_out_of_range_get_their_sentence(peak):
    waveform = noise(1, 9)
    for call in (
        lambda: peak_normalize(waveform, peak=peak),
        lambda: normalize_pair(waveform, waveform, peak=peak),
    ):
        kind = ValueError if isinstance(peak, float | int) and peak is not True else TypeError
        with pytest.raises(kind, match="peak") as error:
            call()
        assert_one_sentence(error)


# --- estimate_delay, align -----------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    delay=st.integers(-700, 700),
    trim=st.integers(-300, 300),
    gain=st.floats(0.01, 20),
    offset=st.floats(-2, 2),
    channels=st.integers(1, 2),
)
def test_estimate_delay_finds_known_delays(delay, trim, gain, offset, channels):
    """Negative and positive, with differing lengths, gains and DC offsets."""
    source = noise(channels, 6000)
    reference = source[:, 1000 : 5000 - max(0, trim)]
    delayed = gain * source[:, 1000 - delay : 5000 - delay - max(0, -trim)] + offset
    originals = delayed.clone(), reference.clone()
    assert estimate_delay(delayed, reference) == delay
    assert estimate_delay(reference, delayed) == -delay
    assert estimate_delay(delayed, reference, max_delay_samples=700) == delay
    assert torch.equal(delayed, originals[0]) and torch.equal(reference, originals[1])


def test_estimate_delay_agrees_with_scipy_under_noise():
    reference = speech_like(16000)
    for seed, delay in enumerate((-160, -1, 0, 1, 37, 1600)):
        delayed = reference.roll(delay) + 0.1 * torch.randn(
            1, 16000, generator=torch.Generator().manual_seed(seed)
        )
        first, second = (x[0].double() - x[0].double().mean() for x in (delayed, reference))
        correlation = scipy.signal.correlate(first, second, mode="full")
        lags = scipy.signal.correlation_lags(16000, 16000, mode="full")
        assert estimate_delay(delayed, reference) == lags[correlation.argmax()]
        assert abs(estimate_delay(delayed, reference) - delay) <= 1


@pytest.mark.parametrize(("delay", "expected"), [(3.25, 3), (-7.75, -8), (20.4, 20), (0.4, 0)])
def test_a_delay_between_two_samples_is_rounded(delay, expected):
    reference = noise(1, 4096, dtype=torch.float64)
    spectrum = torch.fft.rfft(reference)
    turn = torch.exp(-2j * math.pi * torch.arange(spectrum.shape[-1]) * delay / 4096)
    delayed = torch.fft.irfft(spectrum * turn, 4096)
    delayed = delayed + 0.1 * noise(1, 4096, seed=1, dtype=torch.float64)
    assert estimate_delay(delayed, reference) == expected


def test_the_search_keeps_to_its_limit():
    source = noise(1, 3000)
    delayed, reference = source[:, :2000], source[:, 500:2500]
    assert estimate_delay(delayed, reference) == 500
    assert abs(estimate_delay(delayed, reference, max_delay_samples=100)) <= 100
    assert estimate_delay(delayed, reference, max_delay_samples=0) == 0
    assert estimate_delay(delayed, reference, max_delay_samples=10**9) == 500


def test_of_equal_lags_the_nearest_to_zero_wins():
    beat = torch.zeros(1, 1000)
    beat[0, ::100] = 1.0
    assert estimate_delay(beat, beat, max_delay_samples=400) == 0
    comb = torch.zeros(1, 300)
    comb[0, [100, 120]] = 1.0
    single = torch.zeros(1, 300)
    single[0, 110] = 1.0
    assert abs(estimate_delay(comb, single)) == 10
    comb[0, [70, 110]] = 2.0  # lags -30 and +10 match best, and equally well
    comb[0, [100, 120]] = 0.0
    single = single.roll(-10, dims=-1)
    assert estimate_delay(comb, single) == 10


def test_a_smooth_sound_is_placed_to_the_sample():
    """Neighbouring lags match to more than 0.99, and still the right one is taken."""
    lowpass = scipy.signal.butter(2, 200, fs=16000, output="sos")
    smooth = scipy.signal.sosfilt(lowpass, np.random.default_rng(0).standard_normal(20000))
    smooth = torch.from_numpy(smooth).unsqueeze(0)
    for delay in (-5, -1, 1, 5):
        delayed, reference = smooth[:, 100 - delay : 16100 - delay], smooth[:, 100:16100]
        assert estimate_delay(delayed, reference) == delay


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_delay_of_nearly_the_whole_clip_does_not_wrap_around(sign):
    late, early = torch.zeros(1, 1000), torch.zeros(1, 1000)
    late[0, 990], early[0, 5] = 1.0, 1.0
    pair = (late, early) if sign > 0 else (early, late)
    assert estimate_delay(*pair) == sign * 985


@pytest.mark.parametrize("constant", [0.0, 0.25])
@pytest.mark.parametrize("length", [1, 100])
def test_silence_and_single_samples_have_no_delay(constant, length):
    quiet, sound = torch.full((1, length), constant), noise(1, 100)
    with pytest.raises(ValueError, match="delayed.*silent") as error:
        estimate_delay(quiet, sound)
    assert_one_sentence(error)
    with pytest.raises(ValueError, match="reference.*silent"):
        estimate_delay(sound, quiet)


@settings(max_examples=40, deadline=None)
@given(delay=st.integers(-500, 500), trim=st.integers(0, 300), dtype=st.sampled_from(FLOATS))
def test_align_makes_the_members_equal(delay, trim, dtype):
    source = noise(1, 5000, dtype=dtype)
    reference = source[:, 1000 : 4000 - trim]
    delayed = source[:, 1000 - delay : 4000 - delay]
    for options in ({}, {"delay_samples": delay}):
        new_delayed, new_reference = align(delayed, reference, **options)
        assert torch.equal(new_delayed, new_reference)
        assert new_delayed.dtype == dtype
        assert new_delayed.shape[-1] >= 3000 - trim - abs(delay)
        new_delayed.fill_(7)
        new_reference.fill_(7)
    assert not (source == 7).any()  # no shared memory


def test_align_needs_no_sound_where_the_delay_is_given():
    first, second = align(torch.zeros(1, 10), torch.zeros(1, 12), delay_samples=-3)
    assert first.shape == second.shape == (1, 9)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda a, b: estimate_delay(a, b.repeat(2, 1)), ValueError, r"got \(1, 50\) and \(2, 50"),
        (lambda a, b: align(a, b[0]), ValueError, r"\(1, 50\) and \(50,\)"),
        (
            lambda a, b: estimate_delay(a, b, max_delay_samples=-1),
            ValueError,
            "got -1",
        ),
        (lambda a, b: estimate_delay(a, b, max_delay_samples=1.5), TypeError, "got 1.5"),
        (lambda a, b: align(a, b, delay_samples=50), ValueError, "got 50"),
        (lambda a, b: align(a, b, delay_samples=-50), ValueError, "got -50"),
        (lambda a, b: align(a, b, delay_samples=0.01), TypeError, "got 0.01"),
    ],
)
def test_bad_delays_get_their_sentence(call, kind, message):
    with pytest.raises(kind, match=message) as error:
        call(noise(1, 50), noise(1, 50, seed=1))
    assert_one_sentence(error)


# --- correct_drift -------------------------------------------------------------------------------


@pytest.mark.parametrize("ppm", [-400.0, -20.0, 0.0, 35.5, 900.0])
def test_correct_drift_reads_a_tone_at_other_moments(ppm):
    """Of a tone the value between two samples is known exactly."""
    rate = 16000
    moments = torch.arange(8 * rate, dtype=torch.float64) / rate
    tone = torch.sin(2 * math.pi * 1234.5 * moments)
    result = correct_drift(tone[None], ppm)[0]
    read_at = torch.arange(len(result), dtype=torch.float64) / rate * (1 + ppm / 1e6)
    exact = torch.sin(2 * math.pi * 1234.5 * read_at)
    middle = slice(100, -100)
    assert abs(len(result) - len(tone) / (1 + ppm / 1e6)) <= 1
    torch.testing.assert_close(result[middle], exact[middle], atol=1e-4, rtol=0)


def test_correct_drift_of_nothing_changes_nothing_and_keeps_kind_and_input():
    waveform = noise(2, 500, dtype=torch.float32)
    original = waveform.clone()
    result = correct_drift(waveform, 0)
    torch.testing.assert_close(result, waveform, atol=1e-6, rtol=0)
    assert result.dtype == torch.float32
    result.fill_(7)
    assert torch.equal(waveform, original)


@pytest.mark.parametrize("ppm", [20_000, -20_000, math.nan, "20", None, True])
def test_drift_out_of_range_gets_its_sentence(ppm):
    with pytest.raises((ValueError, TypeError), match="drift_ppm") as error:
        correct_drift(noise(1, 50), ppm)
    assert_one_sentence(error)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_is_kept():
    noisy, clean = noise(1, 4000).cuda(), noise(1, 4000).cuda()
    for result in (
        pad_or_trim(noisy, 9),
        segment(noisy, 9),
        peak_normalize(noisy),
        *normalize_pair(noisy, clean),
        *align(noisy, clean, delay_samples=3),
        correct_drift(noisy, 20.0),
    ):
        assert result.device == noisy.device
    assert estimate_delay(noisy, noisy) == 0
