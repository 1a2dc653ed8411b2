"""Checks of lesson 6: SI-SDR by hand, a bootstrap interval, and the clips that got worse.

Notebook: 06
"""

import math
import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_utils.exercises.feedback import Feedback


def check_si_sdr(answer: Callable[[Tensor, Tensor], float]) -> Feedback:
    """Check a function that computes the scale-invariant signal-to-distortion ratio.

    Args:
        answer: Takes estimate and reference (time,), returns the ratio in dB.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 06
    """
    generator = torch.Generator().manual_seed(6)
    for noise_level, gain, offset in ((0.5, 0.3, 0), (0.1, 1, 0), (0.3, 4, 0.2), (2, 1, -0.4)):
        reference = torch.randn(2000, generator=generator)
        noise = noise_level * torch.randn(2000, generator=generator)
        estimate = gain * (reference + noise) + offset
        reference = reference + 0.5 * offset
        originals = estimate.clone(), reference.clone()
        result = _number(_call(answer, estimate, reference), "SI-SDR")
        if isinstance(result, Feedback):
            return result
        if not torch.equal(estimate, originals[0]) or not torch.equal(reference, originals[1]):
            return Feedback(False, "The sounds that came in were changed; work on new tensors.")
        problem = _si_sdr_problem(result, estimate.double(), reference.double())
        if problem:
            return Feedback(False, problem)
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
    ratios = []
    for num_clips, centre, spread in ((40, 0.4, 0.2), (60, -1.0, 3.0), (90, 5.0, 0.5)) * 2:
        values = centre + spread * torch.randn(num_clips, generator=generator)
        original = values.clone()
        result = _call(answer, values)
        if isinstance(result, Feedback):
            return result
        if not torch.equal(values, original):
            return Feedback(False, "The improvements that came in were changed; draw from a copy.")
        ends = _two_numbers(result)
        if isinstance(ends, Feedback):
            return ends
        problem = _interval_problem(*ends, values)
        if problem:
            return Feedback(False, problem)
        ratios.append((ends[1] - ends[0]) / _expected_width(values))
    ratio = sum(ratios) / len(ratios)  # one interval wobbles by some per cent, six much less
    if not 0.92 < ratio < 1.08:
        kind = "narrow" if ratio < 1 else "wide"
        return Feedback(
            False,
            f"Over six trials your intervals are too {kind}: {ratio:.2f} times the 95 % one; take "
            "the quantiles 0.025 and 0.975 of at least 1000 means, each of as many clips as "
            "there are.",
        )
    return Feedback(True, "your intervals are as wide as statistics predicts.")


def check_got_worse(answer: Callable[[list[dict]], list[str]]) -> Feedback:
    """Check a function that names the clips that denoising made worse, the worst first.

    Args:
        answer: Takes rows with the keys name, input_pesq and pesq; returns names.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 06
    """
    chance = random.Random(6)
    for num_clips in (8, 15, 1, 30):
        rows = []
        for number in range(num_clips):
            before = chance.choice([1.2, 1.5, 2.0, 3.0, 4.1])
            change = chance.choice([-0.6, -0.3, -0.1, 0.0, 0.2, 0.5]) + 0.01 * number * (number % 2)
            # Every kind of case is there for sure: better, worse, much worse, exactly the same.
            change = {0: 0.3, 1: -0.2, 2: -0.5, 3: 0.0}.get(number, change)
            rows.append({"name": f"clip {number}", "input_pesq": before, "pesq": before + change})
        chance.shuffle(rows)
        copies = [dict(row) for row in rows]
        result = _call(answer, rows)
        if isinstance(result, Feedback):
            return result
        if rows != copies:
            return Feedback(False, "The rows that came in were changed; use sorted, not .sort.")
        problem = _worse_problem(result, rows)
        if problem:
            return Feedback(False, problem)
    return Feedback(True, "the clips that got worse, worst first, and no others.")


def _call(answer, *arguments):
    """Call the learner's function; what it raises becomes a sentence."""
    if not callable(answer):
        return Feedback(False, f"Hand over the function itself, not {type(answer).__name__}.")
    try:
        result = answer(*arguments)
    except Exception as error:  # whatever the learner's code does
        text = " ".join(str(error).split()) or "no message"
        return Feedback(False, f"Your function stopped with {type(error).__name__}: {text}")
    if result is None:
        return Feedback(False, "Your function returns nothing; it may lack a return line.")
    return result


def _number(result, name: str) -> float | Feedback:
    """Turn a result into one finite float, or say why that is impossible."""
    if isinstance(result, Feedback):
        return result
    if isinstance(result, Tensor) and result.numel() != 1:
        return Feedback(False, f"{name} is one number, and yours has shape {tuple(result.shape)}.")
    try:
        value = float(result)
    except (TypeError, ValueError):
        return Feedback(False, f"{name} is one number, and yours is {type(result).__name__}.")
    if not math.isfinite(value):
        return Feedback(False, f"{name} came out as {value}; look for a division by zero.")
    return value


def _two_numbers(result) -> tuple[float, float] | Feedback:
    """Turn a result into the two ends of an interval, or say why that is impossible."""
    if isinstance(result, Tensor) and result.shape == (2,):
        result = tuple(result)
    if not isinstance(result, tuple | list) or len(result) != 2:
        return Feedback(False, "Return two numbers, the lower and the upper end.")
    low, high = _number(result[0], "The lower end"), _number(result[1], "The upper end")
    if isinstance(low, Feedback) or isinstance(high, Feedback):
        return low if isinstance(low, Feedback) else high
    return low, high


def _si_sdr_problem(value: float, estimate: Tensor, reference: Tensor) -> str:
    """Compare with the right number and with the usual wrong ones; or nothing."""
    e, r = estimate - estimate.mean(), reference - reference.mean()
    right = _projected_db(e, r)

    def same(other: float) -> bool:
        return abs(value - other) < 0.01

    if same(right):
        return ""
    mistakes = [
        (_projected_db(estimate, reference), "subtract the mean of both sounds first"),
        (-right, "the fraction stands upside down: target above, what is left below"),
        (2 * right, "for powers the factor is 10, not 20"),
        (right / 10, "the logarithm still has to be multiplied by 10"),
        (right * math.log(10), "use the logarithm to base 10, torch.log10"),
        (_ratio_db(r, e - r), "this is the plain SNR: scale the reference to the estimate first"),
        (
            _ratio_db(reference, estimate - reference),
            "this is the plain SNR: scale the reference to the estimate first",
        ),
        (_ratio_db(r, e - (e @ r) / (r @ r) * r), "above the line belongs the scaled target too"),
        (_ratio_db(e, e - (e @ r) / (r @ r) * r), "above the line belongs the target alone"),
        (
            _ratio_db((e @ r) / (e @ e) * r, e - (e @ r) / (e @ e) * r),
            "divide by the energy of the reference, not of the estimate",
        ),
    ]
    for wrong, sentence in mistakes:
        if same(wrong):
            return f"Yours gives {value:.2f} dB where {right:.2f} is right; {sentence}."
    return (
        f"Yours gives {value:.2f} dB where {right:.2f} is right; follow the three steps: remove "
        "the means, scale the reference, compare its energy with what is left."
    )


def _projected_db(estimate: Tensor, reference: Tensor) -> float:
    """SI-SDR without the removal of the means."""
    target = (estimate @ reference) / (reference @ reference) * reference
    return _ratio_db(target, estimate - target)


def _ratio_db(signal: Tensor, noise: Tensor) -> float:
    """Ratio of two energies in dB."""
    return 10 * math.log10(float(signal.square().sum()) / float(noise.square().sum()))


def _expected_width(values: Tensor) -> float:
    """Width of the 95 % interval of the mean: 2 * 1.96 standard errors."""
    return 2 * 1.96 * float(values.std(correction=0)) / math.sqrt(len(values))


def _interval_problem(low: float, high: float, values: Tensor) -> str:
    """Compare one interval with what statistics predicts and with the usual mistakes."""
    if low > high:
        return f"The ends are swapped: {low:.3f} came first and {high:.3f} second."
    mean, width, expected = float(values.mean()), high - low, _expected_width(values)
    if width < 0.05 * expected:
        return (
            "The two ends are equal; each resample has to draw with replacement, so that some "
            "clips come twice and others not at all."
        )
    if abs(width / (expected * math.sqrt(len(values))) - 1) < 0.25:
        return (
            "This is where the clips lie, not where their mean lies; average each resample "
            "before taking the quantiles."
        )
    if abs((low + high) / 2 - mean) > 0.065 * expected:
        return (
            f"The interval [{low:.3f}, {high:.3f}] should lie evenly around the mean, {mean:.3f}; "
            "check both quantiles."
        )
    if not 0.5 < width / expected < 2:
        return (
            f"The interval is {width:.3f} wide and should be about {expected:.3f}; draw as many "
            "clips in each resample as there are, and take the quantiles 0.025 and 0.975."
        )
    return ""


def _worse_problem(result, rows: Sequence[dict]) -> str:
    """Compare a list of names with the right one and with the usual wrong ones; or nothing."""
    if isinstance(result, str) or not isinstance(result, list | tuple):
        return f"Return a list of names, not {type(result).__name__}."
    if result and not all(isinstance(name, str) for name in result):
        return f"The list should hold names, and yours holds {type(result[0]).__name__}."
    change = {row["name"]: row["pesq"] - row["input_pesq"] for row in rows}
    right = sorted((name for name, value in change.items() if value < 0), key=change.get)
    unknown = [name for name in result if name not in change]
    if unknown:
        return f"{unknown[0]!r} is no name of a row."
    if len(set(result)) < len(result):
        return "A name stands in your list twice."
    same = [name for name in result if change[name] == 0]
    better = [name for name in result if change[name] > 0]
    missing = [name for name in right if name not in result]
    if better:
        return f"{better[0]!r} got better by {change[better[0]]:.2f}; compare pesq with input_pesq."
    if same:
        return f"{same[0]!r} scored the same before and after, so it did not get worse."
    if missing:
        return f"{missing[0]!r} fell by {-change[missing[0]]:.2f} and is missing from your list."
    steps = [change[name] for name in result]
    if steps != sorted(steps):
        return "All the right names, but the largest fall should come first."
    return ""
