"""Checks of lesson 2: integers to floats, a loss that skips padding, one gain for a pair.

Notebook: 02
"""

from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.exercises.feedback import Feedback


def check_int16_to_float(answer: Callable[[Tensor], Tensor]) -> Feedback:
    """Check a function that turns 16-bit integers into floats between -1 and 1.

    Args:
        answer: Takes an int16 tensor (channel, time), returns float32 of the same shape.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 02
    """
    generator = torch.Generator().manual_seed(2)
    cases = [torch.tensor([[-32768, -16384, -1, 0, 1, 16384, 32767]], dtype=torch.int16)]
    for limit in (32768, 20000, 100):
        shape = (limit % 3 + 1, 500)
        integers = torch.randint(-limit, limit, shape, generator=generator)
        cases.append(integers.to(torch.int16))
    for samples in cases:
        original = samples.clone()
        result = _call(answer, samples)
        if isinstance(result, Feedback):
            return result
        problem = _tensor_problem(result, samples.shape, "The result")
        if not problem and not torch.equal(samples, original):
            problem = "The samples that came in were changed; make a new tensor instead."
        if not problem:
            problem = _float_problem(result, samples)
        if problem:
            return Feedback(False, problem)
    return Feedback(True, "32768 is the one number that fits the whole range into -1 to 1.")


def check_masked_mse(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Feedback:
    """Check a mean squared error that leaves the padding out.

    Args:
        answer: Takes estimate and reference (batch, 1, time) and lengths (batch,), returns
            the squared error averaged over all real samples of the batch.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 02
    """
    generator = torch.Generator().manual_seed(2)
    for lengths in ([400, 100], [30, 300, 200], [250], [1, 500]):
        num_items, num_samples = len(lengths), max(lengths) + 100
        estimate = torch.randn(num_items, 1, num_samples, generator=generator)
        reference = torch.randn(num_items, 1, num_samples, generator=generator)
        for item, length in enumerate(lengths):
            reference[item, :, length:] = 0.0  # the estimate may hum on in the padding
        originals = estimate.clone(), reference.clone()
        result = _call(answer, estimate, reference, torch.tensor(lengths))
        if isinstance(result, Feedback):
            return result
        if not torch.equal(estimate, originals[0]) or not torch.equal(reference, originals[1]):
            return Feedback(False, "The tensors that came in were changed; work on new ones.")
        problem = _loss_problem(result, estimate, reference, lengths)
        if problem:
            return Feedback(False, problem)
    return Feedback(True, "Your loss is the same however many zeros stand behind a clip.")


def check_one_gain(answer: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Feedback:
    """Check a function that scales both members of a pair by one gain, to a peak of 0.99.

    Args:
        answer: Takes noisy and clean (channel, time), returns both scaled.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 02
    """
    generator = torch.Generator().manual_seed(2)
    for noisy_peak, clean_peak in ((0.8, 0.5), (3.0, 0.9), (0.02, 0.01), (0.3, 0.6), (0.0, 0.4)):
        noisy = torch.rand(1, 800, generator=generator) * 1.8 - 0.9
        clean = torch.rand(1, 800, generator=generator) * 1.8 - 0.9
        noisy = noisy_peak * noisy / noisy.abs().max()
        clean = clean_peak * clean / clean.abs().max()
        originals = noisy.clone(), clean.clone()
        result = _call(answer, noisy, clean)
        if isinstance(result, Feedback):
            return result
        if not isinstance(result, tuple | list) or len(result) != 2:
            return Feedback(False, "Return two tensors, the scaled noisy and the scaled clean.")
        problem = _tensor_problem(result[0], noisy.shape, "The scaled noisy")
        problem = problem or _tensor_problem(result[1], clean.shape, "The scaled clean")
        if not problem and not (
            torch.equal(noisy, originals[0]) and torch.equal(clean, originals[1])
        ):
            problem = "The pair that came in was changed; return new tensors instead."
        problem = problem or _gain_problem(result[0], result[1], noisy, clean)
        if problem:
            return Feedback(False, problem)
    return Feedback(True, "One gain, taken from the louder of the two, whichever that is.")


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


def _tensor_problem(result, shape, name: str) -> str:
    """Say what keeps `result` from being a finite float32 tensor of the shape; or nothing."""
    if not isinstance(result, Tensor):
        return f"{name} should be a tensor and is {type(result).__name__}."
    if result.shape != shape:
        return f"{name} has shape {tuple(result.shape)}, and {tuple(shape)} went in."
    if not result.dtype.is_floating_point:
        return f"{name} holds whole numbers ({result.dtype}); call .float() before dividing."
    if result.dtype != torch.float32:
        return f"{name} is {result.dtype}; the course and PyTorch's layers want torch.float32."
    if not bool(torch.isfinite(result).all()):
        return f"{name} holds NaN or infinity; look for a division by zero."
    return ""


def _float_problem(result: Tensor, samples: Tensor) -> str:
    """Say which wrong divisor was taken; or nothing."""
    expected = samples.double() / 32768
    if torch.allclose(result.double(), expected, rtol=0, atol=1e-7):
        return ""
    if torch.allclose(result, samples.float()):
        return f"The samples still reach {float(result.abs().max()):.0f}; full scale should be 1."
    if torch.allclose(result.double(), samples.double() / 32767, rtol=0, atol=1e-7):
        return (
            f"32767 is one too few: the sample -32768 became {-32768 / 32767:.6f}, "
            "which lies beyond -1."
        )
    largest = samples.abs().max()
    if torch.allclose(result.double(), samples.double() / float(largest), rtol=0, atol=1e-6):
        return "Each clip is divided by its own peak, so a whisper comes out as loud as a shout."
    wrong = int((result.double() - expected).abs().argmax())
    return (
        f"The integer {int(samples.flatten()[wrong])} became {float(result.flatten()[wrong]):.6f} "
        f"instead of {float(expected.flatten()[wrong]):.6f}; every clip needs the same divisor."
    )


def _loss_problem(result, estimate: Tensor, reference: Tensor, lengths: list[int]) -> str:
    """Compare a loss with the right one and with the usual wrong ones; or nothing."""
    if isinstance(result, Tensor) and result.numel() != 1:
        return f"The loss should be one number and has shape {tuple(result.shape)}."
    try:
        value = float(result)
    except (TypeError, ValueError):
        return f"The loss should be one number and is {type(result).__name__}."
    squared = (estimate - reference).square()
    real = [squared[item, :, :length] for item, length in enumerate(lengths)]
    total, num_real = float(sum(part.sum() for part in real)), sum(lengths)

    def same(other: float) -> bool:
        return abs(value - other) <= 1e-4 * max(abs(other), 1e-3)

    if same(total / num_real):
        return ""
    if same(float(squared.mean())):
        return "The padding is still counted: this is the plain mean over every sample."
    if same(total / squared.numel()):
        return (
            "The errors in the padding are gone, but the sum is still divided by all samples; "
            "divide by the number of real ones."
        )
    if same(total):
        return "This is the sum of the squared errors; divide it by the number of real samples."
    if same(float(sum(part.mean() for part in real)) / len(lengths)):
        return (
            "This is the average of one mean per clip, in which a sample of a short clip weighs "
            "more; let every real sample weigh the same."
        )
    return f"For lengths {lengths} the loss is {value:.4f} and should be {total / num_real:.4f}."


def _gain_problem(new_noisy: Tensor, new_clean: Tensor, noisy: Tensor, clean: Tensor) -> str:
    """Compare the gains that the two members got; or nothing."""
    loudest = max(float(noisy.abs().max()), float(clean.abs().max()))
    expected = 0.99 / loudest
    if torch.allclose(new_noisy, noisy * expected, atol=1e-5) and torch.allclose(
        new_clean, clean * expected, atol=1e-5
    ):
        return ""
    gains = [_gain(new_noisy, noisy), _gain(new_clean, clean)]
    if None in gains:
        return "A member changed its form; multiply by one number and do nothing else."
    if float(noisy.abs().max()) == 0:
        return (
            "With a silent noisy member the clean one should still peak at 0.99; "
            "take the gain from the louder of the two."
        )
    if abs(gains[0] - gains[1]) > 1e-3 * expected:
        return (
            f"noisy got a gain of {gains[0]:.3f} and clean {gains[1]:.3f}; "
            "the same number has to multiply both."
        )
    peak = gains[0] * loudest
    return (
        f"Both got the gain {gains[0]:.3f}, so the louder one peaks at {peak:.2f}; take the gain "
        "from the louder of the two and aim at 0.99."
    )


def _gain(scaled: Tensor, original: Tensor) -> float | None:
    """Return the factor between two tensors, or None if there is no single one."""
    energy = float(original.square().sum())
    if energy == 0:
        return 1.0 if float(scaled.abs().max()) == 0 else None
    gain = float((scaled * original).sum()) / energy
    scale = float(scaled.abs().max()) + 1e-9
    return gain if torch.allclose(scaled, gain * original, atol=1e-4 * scale) else None
