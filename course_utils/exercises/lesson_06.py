"""Checks of lesson 6: SI-SDR by hand, a bootstrap interval, and the clips that got worse.

Notebook: 06
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer

_NUM_TRIALS = 30
_SIZES = (0.2, 1.0, 3.0)


def check_si_sdr(answer: Callable[[Tensor, Tensor], float]) -> Feedback:
    """Check a function that computes the scale-invariant signal-to-distortion ratio.

    Args:
        answer: Takes estimate and reference (time,), returns the ratio in dB.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 06
    """
    generator = torch.Generator().manual_seed(6)
    try:
        for noise_level, gain, offset in ((0.5, 0.3, 0), (0.1, 1, 0), (0.3, 4, 0.2), (2, 1, -0.4)):
            reference = torch.randn(2000, generator=generator)
            noise = noise_level * torch.randn(2000, generator=generator)
            estimate = gain * (reference + noise) + offset
            reference = reference + 0.5 * offset
            result = _number(call_answer(answer, estimate, reference), "SI-SDR")
            _compare_si_sdr(result, estimate.double(), reference.double())
    except NotYetError as error:
        return Feedback(False, str(error))
    return Feedback(True, "neither the level nor a constant offset moves your score.")


def check_interval(answer: Callable[[Tensor], tuple[float, float]]) -> Feedback:
    """Check a function that computes the 95 % bootstrap interval of a mean.

    Args:
        answer: Takes improvements (clip,), returns the lower and the upper end.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 06
    """
    generator = torch.Generator().manual_seed(6)
    try:
        shifts = []
        for trial in range(_NUM_TRIALS):
            # A few clips gain much more than the others, as in life: such data have skew.
            lopsided = -torch.rand(24 + 4 * (trial % 5), generator=generator).log()
            values = _SIZES[trial % 3] * lopsided - trial % 4
            low, high = _two_numbers(call_answer(answer, values))
            _compare_interval(low, high, values)
            shifts.append(_shifts(low, high, values))
        _compare_shifts(torch.tensor(shifts).mean(dim=0))
    except NotYetError as error:
        return Feedback(False, str(error))
    return Feedback(True, "your intervals lie where those of a long bootstrap lie.")


def check_got_worse(answer: Callable[[list[dict]], list[str]]) -> Feedback:
    """Check a function that names the clips that denoising made worse, the worst first.

    Args:
        answer: Takes rows with the keys name, input_pesq and pesq; returns names.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 06
    """
    chance = random.Random(6)
    try:
        for num_clips in (8, 15, 1, 30):
            rows = _make_rows(num_clips, chance)
            copies = [dict(row) for row in rows]
            result = call_answer(answer, rows)
            if rows != copies:
                raise NotYetError("the rows that came in were changed; use sorted, not .sort.")
            _compare_names(result, rows)
    except NotYetError as error:
        return Feedback(False, str(error))
    return Feedback(True, "the clips that got worse, worst first, and no others.")


# --- SI-SDR ---------------------------------------------------------------------------------


def _compare_si_sdr(value: float, estimate: Tensor, reference: Tensor) -> None:
    """Compare with the right number and with the usual wrong ones."""
    e, r = estimate - estimate.mean(), reference - reference.mean()
    right = _projected_db(e, r)
    target = (e @ r) / (r @ r) * r

    def same(other: float) -> bool:
        return abs(value - other) < 0.01

    if same(right):
        return
    mistakes = [
        (_projected_db(estimate, reference), "subtract the mean of both sounds first"),
        (-right, "the fraction stands upside down: target above, what is left below"),
        (2 * right, "for powers the factor is 10, not 20"),
        (right / 10, "the logarithm still has to be multiplied by 10"),
        (right * math.log(10), "use the logarithm to base 10, torch.log10"),
        (10 ** (right / 10), "this is the ratio itself; take 10 * torch.log10 of it"),
        (_ratio_db(r, e - r), "this is the plain SNR: scale the reference to the estimate first"),
        (
            _ratio_db(reference, estimate - reference),
            "this is the plain SNR: scale the reference to the estimate first",
        ),
        (_ratio_db(r, e - target), "above the line belongs the scaled target too"),
        (_ratio_db(e, e - target), "above the line belongs the target alone"),
        (_ratio_db(target, e - r), "what is left is the estimate minus the scaled target"),
        (
            _ratio_db((e @ r) / (e @ e) * r, e - (e @ r) / (e @ e) * r),
            "divide by the energy of the reference, not of the estimate",
        ),
    ]
    steps = "follow the three steps: means away, scale the reference, compare the energies"
    sentence = next((reason for wrong, reason in mistakes if same(wrong)), steps)
    raise NotYetError(f"yours gives {value:.2f} dB where {right:.2f} is right; {sentence}.")


def _projected_db(estimate: Tensor, reference: Tensor) -> float:
    """SI-SDR without the removal of the means."""
    target = (estimate @ reference) / (reference @ reference) * reference
    return _ratio_db(target, estimate - target)


def _ratio_db(signal: Tensor, noise: Tensor) -> float:
    """Ratio of two energies in dB."""
    return 10 * math.log10(float(signal.square().sum()) / float(noise.square().sum()))


# --- the interval ---------------------------------------------------------------------------


def _expected_width(values: Tensor) -> float:
    """Width of the 95 % interval of the mean: 2 * 1.96 standard errors."""
    return 2 * 1.96 * float(values.std(correction=0)) / math.sqrt(len(values))


def _compare_interval(low: float, high: float, values: Tensor) -> None:
    """Compare one interval with what statistics predicts and with the usual mistakes."""
    if low > high:
        raise NotYetError(f"the ends are swapped: {low:.3f} came first and {high:.3f} second.")
    mean = float(values.mean())
    width = high - low
    expected = _expected_width(values)
    ratio = width / expected
    root = math.sqrt(len(values))
    if ratio < 0.05:
        raise NotYetError(
            "the two ends are equal; each resample has to draw with replacement, so that some "
            "clips come twice and others not at all."
        )
    if abs(ratio / root - 1) < 0.4:
        raise NotYetError(
            "this is where the clips lie, not where their mean lies; average each resample "
            "before taking the quantiles."
        )
    if ratio < 0.3:
        raise NotYetError(
            "you averaged over the 1000 resamples and kept the clips; average over the clips of "
            "each resample, dim=1, and take the quantiles of the 1000 means."
        )
    if 1.45 < ratio < 2:
        raise NotYetError(
            f"the interval is {ratio:.1f} times as wide as it should be, as if it went from the "
            "smallest mean to the largest; cut 2.5 % off each end."
        )
    if not low < mean < high:
        raise NotYetError(
            f"the interval [{low:.3f}, {high:.3f}] should hold the mean, {mean:.3f}; check both "
            "quantiles."
        )
    if not 0.5 < ratio < 2:
        raise NotYetError(
            f"the interval is {width:.3f} wide and should be about {expected:.3f}; draw as many "
            "clips in each resample as there are, and take the quantiles 0.025 and 0.975."
        )


def _shifts(low: float, high: float, values: Tensor) -> tuple[float, float]:
    """How far each end lies from that of a long bootstrap, in standard errors, outwards."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(values), (4000, len(values)), generator=generator)
    means = values[drawn].mean(dim=1)
    right_low, right_high = torch.quantile(means, torch.tensor([0.025, 0.975])).tolist()
    error = float(values.std(correction=0)) / math.sqrt(len(values))
    return (right_low - low) / error, (high - right_high) / error


def _compare_shifts(shifts: Tensor) -> None:
    """Compare both ends, averaged over all trials: there 1000 draws wobble by 0.02 only.

    What is told apart lies further off: the quantiles 0.05 and 0.025 by 0.3, and mean +- 1.96
    standard errors from these lopsided data by 0.15 on each side, both upwards.
    """
    low, high = shifts.tolist()
    if abs(low) < 0.08 and abs(high) < 0.08:
        return
    if low > 0.05 and high < -0.04:
        raise NotYetError(
            "your intervals lie evenly around the mean, as mean +- 1.96 standard errors does; "
            "these clips are lopsided, and the bootstrap follows them: draw, average, take the "
            "quantiles of the means."
        )
    for name, shift, quantile in (("lower", low, "0.025"), ("upper", high, "0.975")):
        if abs(shift) >= 0.08:
            raise NotYetError(
                f"over {_NUM_TRIALS} trials your {name} end lies {abs(shift):.2f} standard errors "
                f"too far {'out' if shift > 0 else 'in'}; take the quantile {quantile} of at least "
                "1000 means, each of as many clips as there are."
            )


def _two_numbers(result: object) -> tuple[float, float]:
    """Turn a result into the two ends of an interval, or say why that is impossible."""
    if isinstance(result, Tensor) and result.shape == (2,):
        result = tuple(result)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotYetError("return two numbers, the lower and the upper end.")
    return _number(result[0], "the lower end"), _number(result[1], "the upper end")


# --- the clips that got worse ---------------------------------------------------------------


def _make_rows(num_clips: int, chance: random.Random) -> list[dict]:
    """Make up scores, in random order."""
    rows = []
    for number in range(num_clips):
        before = chance.choice([1.2, 1.5, 2.0, 3.0, 4.1])
        change = chance.choice([-0.6, -0.3, -0.1, 0.0, 0.2, 0.5]) + 0.01 * number * (number % 2)
        # Every kind of case is there for sure: better, worse, much worse, exactly the same.
        change = {0: 0.3, 1: -0.2, 2: -0.5, 3: 0.0}.get(number, change)
        rows.append({"name": f"clip {number}", "input_pesq": before, "pesq": before + change})
    chance.shuffle(rows)
    return rows


def _compare_names(result: object, rows: Sequence[dict]) -> None:
    """Compare a list of names with the right one and with the usual wrong ones."""
    if isinstance(result, str) or not isinstance(result, list | tuple):
        raise NotYetError(f"return a list of names, not {type(result).__name__}.")
    if not all(isinstance(name, str) for name in result):
        raise NotYetError(
            f"the list should hold names, and yours holds {type(result[0]).__name__}."
        )
    change = {row["name"]: row["pesq"] - row["input_pesq"] for row in rows}
    if unknown := [name for name in result if name not in change]:
        raise NotYetError(f"{unknown[0]!r} is not the name of a row.")
    if len(set(result)) < len(result):
        raise NotYetError("a name stands in your list twice.")
    for name in result:
        if change[name] > 0:
            raise NotYetError(
                f"{name!r} got better by {change[name]:.2f}; compare pesq with input_pesq."
            )
    if same := [name for name in result if change[name] == 0]:
        raise NotYetError(f"{same[0]!r} scored the same before and after, so it did not get worse.")
    for name, value in change.items():
        if value < 0 and name not in result:
            raise NotYetError(f"{name!r} fell by {-value:.2f} and is missing from your list.")
    steps = [change[name] for name in result]
    if steps != sorted(steps):
        raise NotYetError("all the right names, but the largest fall should come first.")


# --- one number -----------------------------------------------------------------------------


def _number(result: Any, name: str) -> float:
    """Turn a result into one finite float, or say why that is impossible."""
    if isinstance(result, Tensor) and result.numel() != 1:
        raise NotYetError(f"{name} is one number, and yours has shape {tuple(result.shape)}.")
    try:
        value = float(result)
    except (TypeError, ValueError):
        raise NotYetError(f"{name} is one number, and yours is {type(result).__name__}.") from None
    if not math.isfinite(value):
        raise NotYetError(f"{name} came out as {value}; look for a division by zero.")
    return value
