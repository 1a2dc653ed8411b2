"""Checks of lesson 2: integers to floats, a loss that skips padding, one gain for a pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer


def check_int_to_float(answer: Callable[[Tensor, int], Tensor]) -> Feedback:
    """Check a function that turns whole numbers of any bit depth into floats between -1 and 1.

    Args:
        answer: Called as answer(samples, bits) with an integer tensor (channel, time) and 16, 24
            or 32; returns float32 of the same shape.

    Returns:
        Feedback: what is right, or which wrong conversion the numbers point to.

    Notebook: 02
    """
    generator = torch.Generator().manual_seed(2)
    cases = []
    for bits, kind in ((16, torch.int16), (24, torch.int32), (32, torch.int32)):
        full = 2 ** (bits - 1)
        marks = torch.tensor([[-full, -full // 2, -1, 0, 1, full // 2, full - 1]])
        cases.append((marks.to(kind), bits))
        quiet = torch.randint(-full // 300, full // 300, (2, 500), generator=generator)
        cases.append((quiet.to(kind), bits))
    try:
        results = []
        for samples, bits in cases:
            result = call_answer(answer, samples, bits)
            _check_tensor(result, samples.shape, "the result")
            results.append(result.double())
        _check_own_peak(results[1::2])
        for result, (samples, bits) in zip(results, cases, strict=True):
            _check_floats(result, samples, bits)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "half the number of marks fits the whole range into -1 to 1.")


def check_masked_mse(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Feedback:
    """Check a mean squared error that leaves the padding out.

    Args:
        answer: Takes estimate and reference (batch, 1, time) and lengths (batch,), returns
            the squared error averaged over all real samples of the batch.

    Returns:
        Feedback: what is right, or which wrong average was taken.

    Notebook: 02
    """
    generator = torch.Generator().manual_seed(2)
    try:
        for lengths in ([400, 100], [30, 300, 200], [250], [1, 500]):
            shape = len(lengths), 1, max(lengths) + 100
            estimate = torch.randn(shape, generator=generator).requires_grad_()
            reference = torch.randn(shape, generator=generator)
            reference[..., ::7] = 0.0  # pauses: a real sample may well be zero
            for item, length in enumerate(lengths):
                reference[item, :, length:] = 0.0  # the estimate may hum on in the padding
            result = call_answer(answer, estimate, reference, torch.tensor(lengths))
            _check_loss(result, estimate.detach(), reference, lengths)
            if not isinstance(result, Tensor) or not result.requires_grad:
                raise NotYetError(
                    "the number is right, but nothing can be learnt from it: return a tensor that "
                    "still knows how it was made, so without float(), .item(), .detach() or "
                    "no_grad()."
                )
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "your loss is the same however many zeros stand behind a clip.")


def check_one_gain(answer: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Feedback:
    """Check a function that scales both members of a pair by one gain, to a peak of 0.99.

    Args:
        answer: Takes noisy and clean (channel, time), returns both scaled.

    Returns:
        Feedback: what is right, or what the gains of the two members show.

    Notebook: 02
    """
    generator = torch.Generator().manual_seed(2)
    try:
        for peaks in ((0.8, 0.5), (3.0, 0.9), (0.02, 0.01), (0.3, 0.6), (0.0, 0.4)):
            noisy, clean = (_clip_with_peak(peak, generator) for peak in peaks)
            result = call_answer(answer, noisy, clean)
            if not isinstance(result, tuple | list) or len(result) != 2:
                raise NotYetError("return two tensors, the scaled noisy and the scaled clean.")
            _check_tensor(result[0], noisy.shape, "the scaled noisy")
            _check_tensor(result[1], clean.shape, "the scaled clean")
            _check_gains(result[0], result[1], noisy, clean)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "one gain, taken from the louder of the two, whichever that is.")


def _clip_with_peak(peak: float, generator: torch.Generator) -> Tensor:
    """Make samples (1, 800) that are tallest below zero, where a forgotten abs() shows."""
    samples = torch.rand(1, 800, generator=generator) * 1.8 - 0.9  # within -0.9 and 0.9
    samples[0, 300] = -1.0
    return peak * samples


def _check_tensor(result: object, shape: torch.Size, name: str) -> None:
    """Say what keeps `result` from being a finite float32 tensor of the shape."""
    if not isinstance(result, Tensor):
        raise NotYetError(f"{name} should be a tensor and is {type(result).__name__}.")
    if result.shape != shape:
        raise NotYetError(f"{name} has shape {tuple(result.shape)}, and {tuple(shape)} went in.")
    if not result.dtype.is_floating_point:
        raise NotYetError(
            f"{name} holds whole numbers ({result.dtype}); call .float() before dividing."
        )
    if result.dtype != torch.float32:
        raise NotYetError(
            f"{name} is {result.dtype}; the course and PyTorch's layers want torch.float32."
        )
    if not bool(torch.isfinite(result).all()):
        raise NotYetError(f"{name} holds NaN or infinity; look for a division by zero.")


def _check_own_peak(results: list[Tensor]) -> None:
    """Name the divisor that depends on the clip; these clips reach a 300th of full scale."""
    reach_one = all(0.98 < float(result.abs().max()) < 1.02 for result in results)
    if reach_one and not all(torch.equal(result, result.round()) for result in results):
        raise NotYetError(
            "each clip is divided by its own peak, so a whisper comes out as loud as a shout; the "
            "divisor depends on bits alone."
        )


def _check_floats(got: Tensor, samples: Tensor, bits: int) -> None:
    """Compare with the right floats and with those of the usual wrong divisors."""
    whole = samples.double()
    full = 2 ** (bits - 1)

    def same(other: Tensor) -> bool:
        return torch.allclose(got, other, rtol=1e-6, atol=0.1 / full)

    if torch.allclose(got, whole / full, rtol=1e-7, atol=1e-7 / 2 ** max(0, bits - 24)):
        return
    where = f"with {bits} bits "
    if same(whole):
        raise NotYetError(
            f"{where}the samples still reach {float(got.abs().max()):.0f}; full scale should be 1."
        )
    if same(whole / (full - 1)):
        raise NotYetError(
            f"{where}one divisor too few: the sample {-full} became {-full / (full - 1):.6f}, "
            "which lies beyond -1."
        )
    if same((whole / (full - 1)).clamp(-1, 1)):
        raise NotYetError(
            f"{where}{-full} and {1 - full} both became -1, so one mark is lost; divide by the "
            "number that needs no clamp."
        )
    if torch.equal(got, got.round()):
        raise NotYetError(
            "only whole numbers are left: // throws away all that comes after the point, so divide "
            "with a single /."
        )
    if same(whole / (2 * full)):
        raise NotYetError(
            f"{where}{2 * full} counts all the marks, but the lowest one is only {full} away from "
            f"zero: {-full} became -0.5 instead of -1."
        )
    if same(whole / 32768):
        raise NotYetError(
            f"{where}full scale became {full // 32768} instead of 1: 32768 is right for 16 bits "
            "only; work out the divisor from bits."
        )
    wrong = int((got - whole / full).abs().argmax())
    sample = int(samples.flatten()[wrong])
    raise NotYetError(
        f"{where}the integer {sample} became {float(got.flatten()[wrong]):.6f} instead of "
        f"{sample / full:.6f}; every sample of every clip is divided by one and the same number."
    )


def _check_loss(result: Any, estimate: Tensor, reference: Tensor, lengths: list[int]) -> None:
    """Compare a loss with the right one and with the usual wrong ones."""
    if isinstance(result, Tensor) and result.numel() != 1:
        raise NotYetError(f"the loss should be one number and has shape {tuple(result.shape)}.")
    try:
        value = float(result.detach() if isinstance(result, Tensor) else result)
    except (TypeError, ValueError):
        raise NotYetError(
            f"the loss should be one number and is {type(result).__name__}."
        ) from None
    right, mistakes = _losses(estimate, reference, lengths)
    if _is_close(value, right):
        return
    for sentence, wrong in mistakes.items():
        if _is_close(value, wrong):
            raise NotYetError(sentence)
    raise NotYetError(f"for lengths {lengths} the loss is {value:.4f} and should be {right:.4f}.")


def _is_close(value: float, other: float) -> bool:
    return abs(value - other) <= 1e-4 * max(abs(other), 1e-3)


def _losses(
    estimate: Tensor, reference: Tensor, lengths: list[int]
) -> tuple[float, dict[str, float]]:
    """Return the right loss, and those of well-known mistakes, each under its sentence."""
    difference = (estimate - reference).double()  # (batch, 1, time)
    squared = difference.square()
    counts = torch.tensor(lengths)
    real = torch.arange(squared.shape[-1]) < counts[:, None, None]
    total = float((squared * real).sum())
    num_real = sum(lengths)
    one_more = torch.arange(squared.shape[-1]) <= counts[:, None, None]
    every_pair = torch.arange(squared.shape[-1]) < counts[:, None]  # (batch, time): 1 is missing
    return total / num_real, {
        "the padding is still counted: this is the plain mean over every sample.": (
            float(squared.mean())
        ),
        "the errors in the padding are gone, but the sum is still divided by all samples; divide "
        "by the number of real ones.": total / squared.numel(),
        "you divide by the number of real samples, but the errors in the padding are still in the "
        "sum.": float(squared.sum()) / num_real,
        "this is the sum of the squared errors; divide it by the number of real samples.": total,
        "the sum is divided by the number of clips; divide it by the number of real samples.": (
            total / len(lengths)
        ),
        "this is the average of one mean per clip, in which a sample of a short clip weighs more; "
        "let every real sample weigh the same.": (
            float(((squared * real).sum(dim=-1)[:, 0] / counts).mean())
        ),
        "every clip is cut to the shortest one, so real samples of the others are thrown away.": (
            float(squared[..., : min(lengths)].mean())
        ),
        "every clip is cut to the longest one, so the shorter ones still count padding.": (
            float(squared[..., : max(lengths)].mean())
        ),
        "one sample of padding too many is counted in each clip: positions start at 0, so write < "
        "instead of <=.": float(squared[one_more].mean()),
        "a zero in the reference does not mean padding: a pause is silent too, and its errors "
        "count; go by lengths.": float(squared[reference != 0].mean()),
        "the mask has shape (batch, time) and meets (batch, 1, time), so each clip was masked with "
        "the lengths of all; write lengths[:, None, None].": (
            float((squared * every_pair).sum()) / num_real
        ),
        "these are absolute errors; square them.": float((difference.abs() * real).sum())
        / num_real,
        "the errors are not squared, so those above and below zero cancel.": (
            float((difference * real).sum()) / num_real
        ),
        "this is the root of the right number; leave the mean of the squares as it is.": (
            (total / num_real) ** 0.5
        ),
    }


def _check_gains(new_noisy: Tensor, new_clean: Tensor, noisy: Tensor, clean: Tensor) -> None:
    """Compare the gains that the two members got."""
    loudest = max(float(noisy.abs().max()), float(clean.abs().max()))
    expected = 0.99 / loudest
    if torch.allclose(new_noisy, noisy * expected, atol=1e-5) and torch.allclose(
        new_clean, clean * expected, atol=1e-5
    ):
        return
    noisy_gain = _gain(new_noisy, noisy)
    clean_gain = _gain(new_clean, clean)
    if noisy_gain is None or clean_gain is None:
        if None not in (_gain(new_noisy, clean), _gain(new_clean, noisy)):
            raise NotYetError("the two are turned round; return noisy first, then clean.")
        raise NotYetError("a member changed its form; multiply by one number and do nothing else.")
    if float(noisy.abs().max()) == 0:
        raise NotYetError(
            "with a silent noisy member the clean one should still peak at 0.99; take the gain "
            "from the louder of the two."
        )
    if abs(noisy_gain - clean_gain) > 1e-3 * expected:
        raise NotYetError(
            f"noisy got a gain of {noisy_gain:.3f} and clean {clean_gain:.3f}; the same number has "
            "to multiply both."
        )
    peak = noisy_gain * loudest
    if abs(noisy_gain * max(float(noisy.max()), float(clean.max())) - 0.99) < 1e-3:
        raise NotYetError(
            f"the largest sample above zero is at 0.99, but one below zero reaches {-peak:.2f}; "
            "take abs() before max()."
        )
    raise NotYetError(
        f"both got the gain {noisy_gain:.3f}, so the louder one peaks at {peak:.2f}; take the gain "
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
