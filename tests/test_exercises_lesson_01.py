"""The checks of lesson 1: right answers pass, wrong ones get the sentence that helps."""

import pytest
import torch
from answers import assert_says

from course_utils.exercises.lesson_01 import check_line_up, check_mix, check_split
from course_utils.mixing import mix_at_snr
from course_utils.preprocessing import align, peak_normalize


def power(x):
    return x.square().mean()


def mix_with(gain):
    return lambda clean, noise, snr_db: clean + gain(clean, noise, snr_db) * noise


def test_right_mix_passes():
    by_hand = mix_with(lambda c, n, s: (power(c) / power(n) / 10 ** (s / 10)).sqrt())
    rms_ratio = mix_with(lambda c, n, s: power(c).sqrt() / power(n).sqrt() * 10 ** (-s / 20))
    summed = mix_with(lambda c, n, s: (c.square().sum() / n.square().sum()).sqrt() / 10 ** (s / 20))
    for answer in (by_hand, rms_ratio, summed, mix_at_snr):
        assert check_mix(answer).passed


@pytest.mark.parametrize(
    "gain, sentence",
    [
        (lambda c, n, s: 1.0, "gain is still 1"),
        (lambda c, n, s: (power(c) / power(n)).sqrt() * 10 ** (-s / 10), "by 20 and not by 10"),
        (lambda c, n, s: (power(c) / power(n)).sqrt() * 10 ** (s / 20), "sign is turned round"),
        (lambda c, n, s: power(c) / power(n) * 10 ** (-s / 20), "needs a square root"),
        (lambda c, n, s: power(c) / power(n) * 10 ** (-s / 10), "square root of all of it"),
        (lambda c, n, s: 10 ** (-s / 20), "levels of the two recordings are missing"),
        (lambda c, n, s: (power(n) / power(c)).sqrt() * 10 ** (-s / 20), "below the line"),
        (lambda c, n, s: c.std() / n.std() * 10 ** (-s / 20), "leaves the offset out"),
        (lambda c, n, s: c.abs().mean() / n.abs().mean() * 10 ** (-s / 20), "absolute values"),
        (lambda c, n, s: c.abs().max() / n.abs().max() * 10 ** (-s / 20), "not the largest sample"),
        (lambda c, n, s: (power(c) / power(n) / 10 ** (s / 20)).sqrt(), "under the square root"),
        (lambda c, n, s: (power(n) * 10 ** (s / 10) / power(c)).sqrt(), "upside down"),
        (lambda c, n, s: (power(c) / power(n)).sqrt(), "use the argument snr_db"),  # right at 0 dB
        (lambda c, n, s: (power(c) / power(n) / 10**0.5).sqrt(), "use the argument snr_db"),
        (lambda c, n, s: 3.7 * 10 ** (-s / 20), "from its arguments clean and noise"),
        (lambda c, n, s: (power(c) / power(n)).sqrt() * 0.9 ** (1 + s), "factor by factor"),
        (lambda c, n, s: (power(c) / power(n)).sqrt() * 2 * 10 ** (-s / 20), "factor by factor"),
        (lambda c, n, s: 0.0, "no noise in the mixture"),
    ],
)
def test_wrong_gain_is_named(gain, sentence):
    assert_says(check_mix(mix_with(gain)), sentence)


def only_if_too_loud(clean, noise, snr_db):
    noisy = mix_at_snr(clean, noise, snr_db)
    return noisy / max(1, noisy.abs().max())


def in_place(clean, noise, snr_db):
    noise *= (power(clean) / power(noise)).sqrt() * 10 ** (-snr_db / 20)
    return clean + noise


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (None, "the function itself, got NoneType"),
        (torch.zeros(1, 4), "the function itself, got Tensor"),
        (lambda c, n, s: None, "gives back None"),
        (lambda c, n, s: 3.0, "gives back a float"),
        (lambda c, n, s: mix_at_snr(c, n, s)[:, :-1], "must be equal"),
        (lambda c, n, s: c / 0.0, "NaN or infinity"),
        (lambda c, n, s: 0.5 * mix_at_snr(c, n, s), "speech came out scaled by 0.5"),
        (lambda c, n, s: mix_at_snr(c, n, s) - c, "no speech in the mixture"),
        (lambda c, n, s: peak_normalize(mix_at_snr(c, n, s)), "speech came out scaled by"),
        (lambda c, n, s: mix_at_snr(c, n, s).tanh(), "more than speech plus scaled noise"),
        (lambda c, n, s: mix_at_snr(c, n, s).clamp(-1, 1), "goes past full scale"),
        (only_if_too_loud, "goes past full scale"),
        (lambda c, n: c, "stopped with TypeError"),
        (in_place, "changed one of its inputs"),
    ],
)
def test_other_wrong_mixes_are_named(answer, sentence):
    assert_says(check_mix(answer), sentence)


def find(noisy, clean, max_delay):
    length = clean.shape[-1]
    products = [float((noisy[:, k:] * clean[:, : length - k]).sum()) for k in range(max_delay + 1)]
    return products.index(max(products))


def line_up(noisy, clean, max_delay):
    k = find(noisy, clean, max_delay)
    return noisy[:, k:], clean[:, : clean.shape[-1] - k]


def test_right_line_up_passes():
    assert check_line_up(line_up).passed
    assert check_line_up(lambda noisy, clean, most: align(noisy, clean)).passed


def cut_both_starts(noisy, clean, most):
    k = find(noisy, clean, most)
    return noisy[:, k:], clean[:, k:]


def wrong_way(noisy, clean, most):
    k = find(noisy, clean, most)
    return noisy[:, : noisy.shape[-1] - k], clean[:, k:]


def off_by_one(noisy, clean, most):
    k = find(noisy, clean, most) + 1
    return noisy[:, k:], clean[:, :-k]


def minus_zero(noisy, clean, most):
    k = find(noisy, clean, most)
    return noisy[:, k:], clean[:, :-k]


def trimmed_too_much(noisy, clean, most):
    """Right, but what the largest delay would cost is cut off every time."""
    noisy, clean = line_up(noisy, clean, most)
    return noisy[:, :2900], clean[:, :2900]


def middle_only(noisy, clean, most):
    noisy, clean = line_up(noisy, clean, most)
    return noisy[:, 700:1700], clean[:, 700:1700]


def rolled(noisy, clean, most):
    return noisy.roll(-find(noisy, clean, most), dims=-1), clean


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (lambda noisy, clean, most: (noisy, clean), "without a partner"),  # the stub
        (rolled, "without a partner"),
        (cut_both_starts, "wrong ends were cut"),
        (wrong_way, "wrong ends were cut"),
        (minus_zero, "clean[:, :-0] is empty"),
        (off_by_one, "17 samples late and you cut 18"),
        (trimmed_too_much, "the pair lines up, but only 2900"),
        (middle_only, "the pair lines up, but only 1000"),
        (lambda noisy, clean, most: line_up(noisy, clean, most - 1), "and including"),
        (lambda noisy, clean, most: line_up(noisy, clean, most)[::-1], "order is turned round"),
        (lambda noisy, clean, most: (noisy[:, 17:], clean), "off the end of clean"),
        (lambda noisy, clean, most: noisy, "return two tensors"),
        (lambda noisy, clean, most: (noisy[0], clean[0]), "shape (1, time)"),
        (lambda noisy, clean, most: 1 / 0, "stopped with ZeroDivisionError"),
        (17, "the function itself, got int"),
    ],
)
def test_wrong_line_up_is_named(answer, sentence):
    assert_says(check_line_up(answer), sentence)


def split(pairs, test_voices, test_noises):
    train = [p for p in pairs if p["voice"] not in test_voices and p["noise"] not in test_noises]
    test = [p for p in pairs if p["voice"] in test_voices and p["noise"] in test_noises]
    return train, test


def test_right_split_passes():
    assert check_split(split).passed


def by_voice_only(pairs, voices, noises):
    train = [p for p in pairs if p["voice"] not in voices]
    return train, [p for p in pairs if p["voice"] in voices]


def by_noise_only(pairs, voices, noises):
    train = [p for p in pairs if p["noise"] not in noises]
    return train, [p for p in pairs if p["noise"] in noises]


def either(pairs, voices, noises):
    train, _ = split(pairs, voices, noises)
    return train, [p for p in pairs if p not in train]


def forgets_test(pairs, voices, noises):
    return split(pairs, voices, noises)[0], []


def forgets_some_training(pairs, voices, noises):
    train, test = split(pairs, voices, noises)
    return train[1:], test


@pytest.mark.parametrize(
    "answer, sentence",
    [
        (lambda p, v, n: (p[:40], p[40:]), "a leak"),  # the stub: first part, last part
        (by_voice_only, "a leak"),
        (by_noise_only, "a leak"),
        (either, "neither side"),
        (forgets_test, "is missing from test"),
        (forgets_some_training, "is missing from train"),
        (lambda p, v, n: ([], []), "is missing from"),
        (lambda p, v, n: tuple(part + part for part in split(p, v, n)), "stands twice"),
        (lambda p, v, n: (split(p, v, n)[0] + [{"name": "x"}], []), "none of the pairs"),
        (lambda p, v, n: p, "return two lists"),
        (lambda p, v, n: ([1], [2]), "lists of the pairs"),
        (lambda p, v, n: None, "gives back None"),
        (lambda p, v, n: p["voice"], "stopped with TypeError"),
    ],
)
def test_wrong_split_is_named(answer, sentence):
    assert_says(check_split(answer), sentence)
