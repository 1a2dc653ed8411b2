import math

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.audio import load_audio
from course_utils.corpus import pair_folders
from course_utils.levels import peak_db, rms_db
from course_utils.preprocessing import (
    align,
    check_pair,
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


def speech_like(num_samples, seed=0):
    """Return coloured noise in syllables: as narrow and as uneven as speech, peak 0.5."""
    white = np.random.default_rng(seed).standard_normal(num_samples)
    coloured = scipy.signal.lfilter([1], [1, -1.6, 0.8], white)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(num_samples) / 16000)
    sound = torch.from_numpy(coloured * syllables).float().unsqueeze(0)
    sound = sound - sound.mean()
    return 0.5 * sound / sound.abs().max()


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


# --- check_pair ----------------------------------------------------------------------------------

RATES = {"noisy_sample_rate": 16000, "clean_sample_rate": 16000}


def good_pair(seed=0, noise_level=0.05):
    clean = speech_like(16000, seed=seed)
    hiss = torch.randn(1, 16000, generator=torch.Generator().manual_seed(seed))
    return clean + noise_level * hiss, clean


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise_level", [0.0, 0.05, 0.1])
def test_good_pairs_pass(seed, noise_level):
    noisy, clean = good_pair(seed, noise_level)
    originals = noisy.clone(), clean.clone()
    assert check_pair(noisy, clean, **RATES) == []
    assert torch.equal(noisy, originals[0]) and torch.equal(clean, originals[1])
    assert check_pair(*normalize_pair(noisy, clean), **RATES) == []
    assert check_pair(noisy.repeat(2, 1), clean.repeat(2, 1), **RATES) == []


BROKEN = {
    "integers": (
        lambda n, c: ((n * 20000).to(torch.int16), c),
        ["noisy must hold floating-point samples, got torch.int16"],
    ),
    "no channel axis": (lambda n, c: (n, c[0]), ["clean has shape (16000,)"]),
    "NaN": (lambda n, c: (n, c.where(c < 0.4, torch.nan)), ["clean must be finite"]),
    "infinity": (lambda n, c: (n.where(n < 0.4, torch.inf), c), ["noisy must be finite"]),
    "empty": (lambda n, c: (n[:, :0], c), ["noisy must hold at least one sample"]),
    "both bad": (lambda n, c: (n[:, :0], c * torch.nan), ["noisy must hold", "clean must be fin"]),
    "stereo": (
        lambda n, c: (n.repeat(2, 1), c),
        ["The channels differ, 2 in noisy and 1 in clean"],
    ),
    "length": (lambda n, c: (n, c[:, :-900]), ["noisy is 16000 samples long and clean 15100"]),
    "silent clean": (lambda n, c: (n, c * 0), ["clean is silent"]),
    "silent both": (lambda n, c: (n * 0, c * 0), ["noisy is silent", "clean is silent"]),
    "too loud": (lambda n, c: (n * 3, c * 3), ["noisy reaches ", "clean reaches "]),
    "clipped": (lambda n, c: (n, (c * 6).clamp(-1, 1) / 6), ["clean is clipped, "]),
    "offset": (lambda n, c: (n + 0.1, c), ["noisy has a DC offset of 0.1"]),
    "late": (lambda n, c: (n.roll(80), c), ["noisy comes 80 samples (5.0 ms) later than clean"]),
    "early": (lambda n, c: (n.roll(-1), c), ["noisy comes 1 samples (0.1 ms) earlier than clean"]),
    "gain": (lambda n, c: (n * 0.5, c), ["The speech is 6.", "softer"]),
    "gain on clean": (lambda n, c: (n, c * 0.5), ["The speech is 6.", "louder"]),
    "other sentence": (lambda n, c: (n, speech_like(16000, seed=99)), ["hardly resemble"]),
    "late and short": (lambda n, c: (n.roll(80)[:, 100:], c), ["samples long", "20 samples"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pairs_are_told_in_words(name):
    break_pair, expected = BROKEN[name]
    problems = check_pair(*break_pair(*good_pair()), **RATES)
    assert all(any(part in problem for problem in problems) for part in expected), problems
    num_expected = 1 if name.startswith("gain") else len(expected)  # two parts of one sentence
    assert len(problems) == num_expected, problems
    for problem in problems:
        assert problem.endswith(".") and "\n" not in problem


def test_differing_rates_are_told_and_nothing_is_compared():
    noisy, clean = good_pair()
    problems = check_pair(
        noisy, clean.repeat_interleave(3, -1), noisy_sample_rate=16000, clean_sample_rate=48000
    )
    assert len(problems) == 1
    assert "sample rates differ, 16000 Hz for noisy and 48000 Hz for clean" in problems[0]


def test_one_sample_is_no_reason_to_fail():
    assert check_pair(torch.full((1, 1), 0.005), torch.full((1, 1), 0.005), **RATES) == []


@pytest.mark.parametrize(
    ("rate", "kind"), [(0, ValueError), (-1, ValueError), (16000.0, TypeError), (None, TypeError)]
)
def test_check_pair_refuses_bad_rates(rate, kind):
    with pytest.raises(kind, match="noisy_sample_rate"):
        check_pair(*good_pair(), noisy_sample_rate=rate, clean_sample_rate=16000)
    with pytest.raises(kind, match="clean_sample_rate"):
        check_pair(*good_pair(), noisy_sample_rate=16000, clean_sample_rate=rate)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_is_kept():
    noisy, clean = (each.cuda() for each in good_pair())
    for result in (
        pad_or_trim(noisy, 9),
        segment(noisy, 9),
        peak_normalize(noisy),
        *normalize_pair(noisy, clean),
        *align(noisy, clean),
    ):
        assert result.device == noisy.device
    assert estimate_delay(noisy, clean) == 0
    assert check_pair(noisy, clean, **RATES) == []


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_ready_pairs_pass_and_swapped_partners_do_not(split):
    """Real speech in real noise: fine as shipped, told apart when the names are mixed up."""
    noisy_dir, clean_dir = pair_folders(split)
    names = sorted(path.name for path in noisy_dir.iterdir())
    noisy = [load_audio(noisy_dir / name) for name in names]
    clean = [load_audio(clean_dir / name) for name in names]
    for number, (sound, rate) in enumerate(noisy):
        reference, reference_rate = clean[number]
        rates = {"noisy_sample_rate": rate, "clean_sample_rate": reference_rate}
        assert check_pair(sound, reference, **rates) == []
        late = torch.nn.functional.pad(sound, (37, 0))[..., : sound.shape[-1]]
        (problem,) = check_pair(late, reference, **rates)
        assert "37 samples" in problem
        other = clean[number - 1][0]
        if not torch.equal(other, reference):  # one sentence may stand in several noises
            assert any("hardly resemble" in each for each in check_pair(sound, other, **rates))
