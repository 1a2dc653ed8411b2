"""The blind test: what is played, what is hidden, how answers count, and the exact interval."""

import base64
import io
import math
import re

import numpy as np
import pytest
import scipy.stats
import soundfile
import torch

from course_utils.widgets import ListeningTest, binomial_interval

RATE = 16_000


def sentences(number=2):
    generator = torch.Generator().manual_seed(0)
    return [
        (
            0.02 * torch.randn(1, RATE, generator=generator),
            0.1 * torch.randn(1, RATE, generator=generator),
        )
        for _ in range(number)
    ]


def sounds(test):
    found = re.findall(
        r'aria-label="([^"]+)" src="data:audio/flac;base64,([^"]+)"', test.player.value
    )
    return {name: soundfile.read(io.BytesIO(base64.b64decode(clip)))[0] for name, clip in found}


def make(kind="abx", num_trials=10, **options):
    generator = torch.Generator().manual_seed(1)
    return ListeningTest(
        sentences(),
        RATE,
        names=("noisy", "denoised"),
        kind=kind,
        num_trials=num_trials,
        generator=generator,
        **options,
    )


def test_x_is_one_of_the_two_and_who_hears_it_is_right():
    test, seen = make(num_trials=40), set()
    for _ in range(40):
        clips = sounds(test)
        assert list(clips) == ["A", "B", "X"]
        is_a, is_b = (np.array_equal(clips["X"], clips[name]) for name in "AB")
        assert is_a != is_b
        seen.add((is_b, bool(np.abs(clips["A"]).max() > np.abs(clips["B"]).max())))
        test.buttons[int(is_b)].click()
    assert test.answers == [True] * 40 and len(seen) == 4
    assert "40 of 40" in test.result() and "You hear a difference" in test.result()


def test_always_a_is_half_right():
    test = make(num_trials=60)
    for _ in range(60):
        test.buttons[0].click()
    assert 18 <= sum(test.answers) <= 42
    assert "guessing" in test.result()


def test_the_preferred_version_counts_whatever_its_letter():
    test = make("preference", num_trials=20)
    firsts = [pair[0][0] for pair in sentences()]
    for _ in range(20):
        a = sounds(test)["A"]
        is_first = max(abs(np.corrcoef(a, clip)[0, 1]) for clip in firsts) > 0.99
        test.buttons[int(is_first)].click()  # always the second version
    assert test.answers == [True] * 20 and "You prefer denoised" in test.result()


def test_names_levels_and_pictures_come_at_the_end_only():
    test = make("preference", num_trials=2)
    for _ in range(2):
        page = test.player.value
        assert not re.search("noisy|denoised|dBFS|<img", page)
        left, right = (math.sqrt(np.mean(clip**2)) for clip in sounds(test).values())
        assert left == pytest.approx(right, rel=1e-3), "the louder one would win"
        test.buttons[0].click()
    assert re.search("noisy.*dBFS", test.player.value)
    assert all(button.disabled for button in test.buttons)
    assert test.result() in test.message.value


@pytest.mark.parametrize(("count", "total"), [(0, 10), (10, 10), (7, 10), (13, 20), (1, 1)])
def test_the_interval_is_where_the_tails_have_their_share(count, total):
    low, high = binomial_interval(count, total)
    binomial = scipy.stats.binom
    if count > 0:
        assert binomial.sf(count - 1, total, low) == pytest.approx(0.025, rel=1e-6)
    else:
        assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / total))
    if count < total:
        assert binomial.cdf(count, total, high) == pytest.approx(0.025, rel=1e-6)
    else:
        assert high == 1 and low == pytest.approx(0.025 ** (1 / total))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.83])
def test_the_interval_holds_the_truth_as_often_as_it_says(share):
    counts = np.arange(13)
    held = [low <= share <= high for low, high in (binomial_interval(int(k), 12) for k in counts)]
    assert scipy.stats.binom.pmf(counts, 12, share)[held].sum() >= 0.95


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ListeningTest([], RATE, names=("a", "b")), ValueError, "sentences.*empty"),
        (lambda: make("abc"), ValueError, "kind.*'abc'"),
        (lambda: make(num_trials=0), ValueError, "num_trials.*0"),
        (
            lambda: ListeningTest([(torch.zeros(1, 9), torch.ones(1, 9))], RATE, names=("a", "b")),
            ValueError,
            "first version.*silent",
        ),
        (
            lambda: ListeningTest([(torch.ones(1, 8), torch.ones(1, 9))], RATE, names=("a", "b")),
            ValueError,
            "shape",
        ),
        (lambda: binomial_interval(3, 2), ValueError, "successes.*at most 2, got 3"),
        (lambda: binomial_interval(1, 0), ValueError, "trials"),
        (lambda: binomial_interval(1.5, 2), TypeError, "successes"),
        (lambda: make().result(), ValueError, "answers"),
    ],
)
def test_what_cannot_be_tested_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_page_that_was_not_run_says_so():
    bundle = make()._repr_mimebundle_()
    assert bundle["text/plain"].endswith("your own blind test appears here.")
    assert repr(make()) == "ListeningTest(0 of 10 answers)"
