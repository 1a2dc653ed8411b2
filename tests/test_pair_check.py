"""Every verdict is tested by doing what it says and finding the pair whole."""

import re

import pytest
import torch
from sounds import speech_like

from course_utils.audio import load_audio, resample, to_mono
from course_utils.corpus import pair_folders
from course_utils.pair_check import check_pair
from course_utils.preprocessing import align, correct_drift, normalize_pair

RATES = {"noisy_sample_rate": 16000, "clean_sample_rate": 16000}


def good_pair(seed=0, noise_level=0.05):
    clean = speech_like(16000, seed=seed)
    hiss = torch.randn(1, 16000, generator=torch.Generator().manual_seed(seed))
    return clean + noise_level * hiss, clean


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise_level", [0.02, 0.05, 0.1])
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
    "early": (lambda n, c: (n.roll(-1), c), ["noisy comes 1 sample (0.1 ms) earlier than clean"]),
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


# --- doing what a verdict says ------------------------------------------------------------------


def ready_pairs(split="train"):
    """The pairs in data/, real speech in real noise: (name, noisy, clean)."""
    noisy_dir, clean_dir = pair_folders(split)
    for path in sorted(noisy_dir.iterdir()):
        yield path.name, load_audio(path)[0], load_audio(clean_dir / path.name)[0]


def long_pair(num_seconds=15):
    """Sentences of several voices in several noises, one after the other."""
    _, noisy, clean = zip(*ready_pairs(), strict=True)
    kept = slice(num_seconds * 16000)
    return torch.cat(noisy, dim=-1)[:, kept], torch.cat(clean, dim=-1)[:, kept]


def number_after(word, problem):
    return float(re.search(re.escape(word) + r"\s*(-?[\d.]*\d)", problem).group(1))


def cut_alike(noisy, clean):
    length = min(noisy.shape[-1], clean.shape[-1])
    return noisy[:, :length], clean[:, :length]


def divide(noisy, clean, problem):
    return noisy / number_after("divide noisy by", problem), clean


def undo_drift(noisy, clean, problem):
    return cut_alike(correct_drift(noisy, number_after("correct_drift(noisy,", problem)), clean)


REPAIRS = {
    "align them": lambda noisy, clean, problem: align(noisy, clean),
    "multiply one of the two by -1": lambda noisy, clean, problem: (-noisy, clean),
    "use correct_drift": undo_drift,
    "exchange the two": lambda noisy, clean, problem: (clean, noisy),
    "divide noisy by": divide,
    "subtract the mean": lambda noisy, clean, problem: (
        noisy - noisy.mean(-1, keepdim=True),
        clean - clean.mean(-1, keepdim=True),
    ),
    "scale both members by one gain": lambda noisy, clean, problem: normalize_pair(noisy, clean),
    "mix noise into it": lambda noisy, clean, problem: (
        noisy + 0.1 * torch.randn(noisy.shape, generator=torch.Generator().manual_seed(0)) *
        clean.std(), clean,
    ),
}  # fmt: skip


def mend(noisy, clean, *, most=5):
    """Do what each sentence says, until nothing is left; return the sentences in their order."""
    told = []
    for _ in range(most):
        problems = check_pair(noisy, clean, **RATES)
        if not problems:
            return told
        told.append(problems[0])
        (repair,) = [todo for words, todo in REPAIRS.items() if words in problems[0]]
        noisy, clean = repair(noisy, clean, problems[0])
    raise AssertionError(f"not whole after {most} repairs: {told}")


FAULTS = {
    "upside down": (lambda n, c: (-n, c), ["upside down"]),
    "clean upside down": (lambda n, c: (n, -c), ["upside down"]),
    "upside down and late": (lambda n, c: (-n.roll(34), c), ["upside down", "34 samples"]),
    "late": (lambda n, c: (n.roll(80), c), ["80 samples (5.0 ms) later"]),
    "one sample": (lambda n, c: (n.roll(-1), c), ["1 sample (0.1 ms) earlier"]),
    "late and short": (lambda n, c: (n.roll(80)[:, 100:], c), ["samples long"]),
    "swapped": (lambda n, c: (c, n), ["swapped"]),
    "swapped and upside down": (lambda n, c: (-c, n), ["upside down", "swapped"]),
    "swapped and late": (lambda n, c: (c.roll(80), n), ["80 samples", "swapped"]),
    "identical": (lambda n, c: (c.clone(), c), ["same recording"]),
    "identical but for a gain": (lambda n, c: (0.5 * c, c), ["same recording", "The speech"]),
    "offset": (lambda n, c: (n + 0.05, c), ["DC offset"]),
    "too loud": (lambda n, c: (n * 8 / n.abs().max(), c * 8 / n.abs().max()), ["beyond"]),
}
for _gain in (0.5, 0.8, 0.9, 1.12, 1.5):
    FAULTS[f"gain {_gain} on noisy"] = (lambda n, c, g=_gain: (g * n, c), ["The speech"])
    FAULTS[f"gain {_gain} on clean"] = (lambda n, c, g=_gain: (n, g * c), ["The speech"])


@pytest.mark.parametrize("fault", FAULTS)
def test_the_repair_that_is_named_makes_the_pair_whole(fault):
    """On every ready pair; the first sentences are those that the fault deserves."""
    spoil, expected = FAULTS[fault]
    for name, noisy, clean in ready_pairs():
        told = mend(*spoil(noisy, clean))
        assert len(told) >= len(expected), (name, told)
        for words, sentence in zip(expected, told, strict=False):
            assert words in sentence, (name, told)


@pytest.mark.parametrize("name", ["june_002.flac", "carlo_003.flac"])
@pytest.mark.parametrize("gain", [0.95, 1.05])
def test_a_gain_of_half_a_decibel_is_found_where_noise_is_moderate(name, gain):
    pairs = {each: (noisy, clean) for each, noisy, clean in ready_pairs()}
    noisy, clean = pairs[name]
    (problem,) = check_pair(gain * noisy, clean, **RATES)
    assert number_after("divide noisy by", problem) == pytest.approx(gain, abs=0.02)


@pytest.mark.parametrize("ppm", [-150.0, -20.0, 20.0, 60.0, 400.0])
def test_clock_drift_is_measured_and_undone(ppm):
    noisy, clean = long_pair()
    drifting = correct_drift(noisy, -ppm)  # read at other moments: later and later, by ppm
    (problem, *_) = check_pair(*cut_alike(drifting, clean), **RATES)
    assert number_after("drifts by", problem) == pytest.approx(ppm, abs=4)
    assert mend(*cut_alike(drifting, clean))


def test_drift_and_delay_and_polarity_together_are_mended_one_by_one():
    noisy, clean = long_pair()
    spoilt = -correct_drift(noisy, -90.0).roll(50)
    told = mend(*cut_alike(spoilt, clean))
    assert "upside down" in told[0] and "drifts by" in told[1]


def test_a_drift_that_smears_every_lag_is_no_other_sentence():
    noisy, clean = long_pair(30)
    (problem,) = check_pair(*cut_alike(correct_drift(noisy, 1500.0), clean), **RATES)
    assert number_after("drifts by", problem) == pytest.approx(-1500, abs=30)


@pytest.mark.parametrize("lost", [5, 160, -160])
def test_lost_samples_are_found_and_each_part_is_whole_once_aligned(lost):
    noisy, clean = long_pair()
    middle = 7 * 16000
    if lost > 0:
        spoilt = torch.cat([noisy[:, :middle], noisy[:, middle + lost :]], dim=-1)
    else:
        gap = torch.zeros(1, -lost)
        spoilt = torch.cat([noisy[:, :middle], gap, noisy[:, middle:]], dim=-1)
    (problem,) = check_pair(*cut_alike(spoilt, clean), **RATES)
    assert "lost or added there" in problem
    moment = number_after("samples late before", problem)
    assert abs(moment - 7) < 1.5
    cut = round(moment * 16000)
    for part in (slice(0, cut - 24000), slice(cut + 24000, None)):
        assert mend(*cut_alike(spoilt[:, part], clean[:, part])) is not None


def test_rates_and_channels_are_mended_as_told():
    _, noisy, clean = next(ready_pairs())
    low = resample(clean, 16000, 8000)
    (problem,) = check_pair(noisy, low, noisy_sample_rate=16000, clean_sample_rate=8000)
    assert "resample" in problem
    sides = resample(noisy, 16000, 8000), low
    assert check_pair(*sides, noisy_sample_rate=8000, clean_sample_rate=8000) == []
    (problem,) = check_pair(noisy.repeat(2, 1), clean, **RATES)
    assert "fold both to mono" in problem
    assert check_pair(to_mono(noisy.repeat(2, 1)), clean, **RATES) == []


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
