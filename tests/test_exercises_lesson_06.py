"""The checks of lesson 6: right answers pass, each usual mistake gets its own sentence."""

import math

import pytest
import torch
from answers import SHARED_MISTAKES, assert_says

from course_utils import metrics
from course_utils.exercises.lesson_06 import check_got_worse, check_interval, check_si_sdr

# --- SI-SDR --------------------------------------------------------------------------------


def db(signal, noise):
    return 10 * torch.log10(signal.square().sum() / noise.square().sum())


def centre(e, r):
    return e - e.mean(), r - r.mean()


def target(e, r):
    return (e @ r) / (r @ r) * r


def right_si_sdr(e, r):
    e, r = centre(e, r)
    return db(target(e, r), e - target(e, r))


def in_place(e, r):
    e -= e.mean()
    return right_si_sdr(e, r)


def unscaled_top(e, r):
    e, r = centre(e, r)
    return db(r, e - target(e, r))


def estimate_on_top(e, r):
    e, r = centre(e, r)
    return db(e, e - target(e, r))


def unscaled_rest(e, r):
    e, r = centre(e, r)
    return db(target(e, r), e - r)


def wrong_energy(e, r):
    e, r = centre(e, r)
    scaled = (e @ r) / (e @ e) * r
    return db(scaled, e - scaled)


@pytest.mark.parametrize(
    "answer",
    [
        right_si_sdr,
        lambda e, r: float(right_si_sdr(e, r)),
        lambda e, r: right_si_sdr(e.double(), r.double()),
        lambda e, r: metrics.si_sdr(estimate=e, reference=r),
        lambda e, r: metrics.si_sdr(estimate=r, reference=e),  # SI-SDR does not mind the order
    ],
)
def test_right_si_sdr_passes(answer):
    assert check_si_sdr(answer).passed


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda e, r: 0.0, "follow the three steps"),
        (lambda e, r: "10 dB", "yours is str"),
        (lambda e, r: e, "yours has shape (2000,)"),
        (lambda e, r: e.sum() / 0, "look for a division by zero"),
        (in_place, "changed one of its inputs"),
        (lambda e, r: db(target(e, r), e - target(e, r)), "subtract the mean"),
        (lambda e, r: -right_si_sdr(e, r), "upside down"),
        (lambda e, r: 2 * right_si_sdr(e, r), "the factor is 10, not 20"),
        (lambda e, r: right_si_sdr(e, r) / 10, "multiplied by 10"),
        (lambda e, r: right_si_sdr(e, r) * math.log(10), "torch.log10"),
        (lambda e, r: db(r, e - r), "this is the plain SNR"),
        (lambda e, r: db(centre(e, r)[1], centre(e, r)[0] - centre(e, r)[1]), "the plain SNR"),
        (unscaled_top, "above the line belongs the scaled target"),
        (estimate_on_top, "belongs the target alone"),
        (wrong_energy, "not of the estimate"),
        (lambda e, r: 10 ** (right_si_sdr(e, r) / 10), "this is the ratio itself"),
        (unscaled_rest, "the estimate minus the scaled target"),
    ],
)
def test_wrong_si_sdr_gets_its_sentence(answer, message):
    assert_says(check_si_sdr(answer), message)


# --- bootstrap interval --------------------------------------------------------------------


def means(values, num_resamples=2000, num_drawn=None):
    drawn = torch.randint(len(values), (num_resamples, num_drawn or len(values)))
    return values[drawn].mean(dim=1)


def ends(values, low=0.025, high=0.975):
    return tuple(torch.quantile(values, torch.tensor([low, high])).tolist())


def shuffled_means(values):
    """Drawn without replacement: always the same clips, always the same mean."""
    return torch.stack([values[torch.randperm(len(values))].mean() for _ in range(100)])


def over_the_resamples(values):
    drawn = torch.randint(len(values), (1000, len(values)))
    return ends(values[drawn].mean(dim=0))


def standard_errors(values):
    error = values.std() / len(values) ** 0.5
    return values.mean() - 1.96 * error, values.mean() + 1.96 * error


def turned_round(values):
    low, high = ends(means(values))
    return 2 * values.mean() - high, 2 * values.mean() - low


@pytest.mark.parametrize("seed", range(8))
def test_a_wrong_tail_is_seen_whatever_the_draws(seed):
    torch.manual_seed(seed)
    assert not check_interval(lambda values: ends(means(values, 1000), 0.05, 0.975)).passed
    assert not check_interval(lambda values: ends(means(values, 1000), 0.025, 0.95)).passed
    assert not check_interval(standard_errors).passed


def shrink(values):
    result = ends(means(values))
    values.mul_(0)
    return result


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_resamples", [1000, 5000])
def test_right_interval_passes_whatever_the_draws(seed, num_resamples):
    torch.manual_seed(seed)
    feedback = check_interval(lambda values: ends(means(values, num_resamples)))
    assert feedback.passed, feedback


def test_an_interval_as_a_list_or_tensor_passes():
    assert check_interval(lambda values: list(ends(means(values)))).passed
    assert check_interval(lambda values: torch.tensor(ends(means(values)))).passed


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda v: v.mean(), "return two numbers"),
        (lambda v: ends(means(v))[::-1], "the ends are swapped"),
        (lambda v: (v.mean(), v.mean()), "with replacement"),
        (
            lambda v: ends(torch.stack([v[torch.randperm(len(v))].mean() for _ in range(99)])),
            "with",
        ),
        (lambda v: ends(v), "where the clips lie, not where their mean lies"),
        (lambda v: ends(means(v), 0.6, 0.975), "should hold the mean"),
        (lambda v: ends(means(v), 0.2, 0.975), "your lower end lies"),
        (lambda v: ends(means(v), 0.025, 0.9), "your upper end lies"),
        (lambda v: ends(means(v), 0.05, 0.95), "too far in; take the quantile 0.025"),
        (lambda v: ends(means(v), 0.05, 0.975), "too far in; take the quantile 0.025"),
        (lambda v: ends(means(v), 0.025, 0.95), "too far in; take the quantile 0.975"),
        (lambda v: ends(means(v), 0.005, 0.995), "too far out"),
        (standard_errors, "evenly around the mean, as mean +- 1.96 standard errors does"),
        (turned_round, "evenly around the mean"),
        (lambda v: ends(means(v, num_drawn=6)), "as many clips in each resample"),
        (lambda v: ends(means(v), 0.25, 0.75), "0.025 and 0.975"),
        (lambda v: (v.mean() - 1, "high"), "the upper end is one number, and yours is str"),
        (lambda v: (0.0, 0.0), "with replacement"),
        (lambda v: ends(means(v), 0.0, 1.0), "from the smallest mean to the largest"),
        (over_the_resamples, "average over the clips of each resample"),
        (shrink, "changed one of its inputs"),
    ],
)
def test_wrong_interval_gets_its_sentence(answer, message):
    assert_says(check_interval(answer), message)


# --- the clips that got worse --------------------------------------------------------------


def change(row):
    return row["pesq"] - row["input_pesq"]


def right_names(rows):
    return [row["name"] for row in sorted(rows, key=change) if change(row) < 0]


def sort_in_place(rows):
    rows.sort(key=change)
    return right_names(rows)


@pytest.mark.parametrize("answer", [right_names, lambda rows: tuple(right_names(list(rows)))])
def test_right_names_pass(answer):
    assert check_got_worse(answer).passed


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda rows: [], "is missing from your list"),
        (lambda rows: "clip 1", "return a list of names, not str"),
        (lambda rows: [row for row in rows if change(row) < 0], "yours holds dict"),
        (lambda rows: [row["name"] for row in rows], "got better by"),
        (lambda rows: [row["name"] for row in rows if change(row) <= 0], "scored the same"),
        (lambda rows: right_names(rows)[::-1], "the largest fall should come first"),
        (lambda rows: [r["name"] for r in rows if change(r) < 0], "the largest fall"),
        (lambda rows: right_names(rows)[:3], "is missing from your list"),
        (lambda rows: [r["name"] for r in rows if change(r) > 0], "got better"),
        (lambda rows: right_names(rows) * 2, "twice"),
        (lambda rows: ["clip 99"], "is not the name of a row"),
        (lambda rows: [r["name"] for r in sorted(rows, key=lambda r: r["pesq"])], "got better"),
        (sort_in_place, "were changed"),
    ],
)
def test_wrong_names_get_their_sentence(answer, message):
    assert_says(check_got_worse(answer), message)
