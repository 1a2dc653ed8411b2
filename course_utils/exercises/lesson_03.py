"""Checks of lesson 3: count bins and frames, swap the phase, write the decibels."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer


def check_spectrogram_shape(
    spectrogram_shape: Callable[[int, int, int], tuple[int, int]],
) -> Feedback:
    """Check a function that predicts the shape of a centred torch.stft.

    Args:
        spectrogram_shape: Called as spectrogram_shape(num_samples, n_fft, hop_length) with three
            ints; returns (number of frequency bins, number of frames).

    Returns:
        Feedback: what is right, or which mistake the numbers point to.

    Notebook: 03
    """
    draw = random.Random(3)
    cases = [(16_000, 512, 256), (16_000, 400, 100), (1_000, 512, 256), (7_680, 512, 256)]
    for _ in range(12):
        n_fft = 2 * draw.randint(16, 600)
        cases.append((draw.randint(n_fft, 9_000), n_fft, draw.randint(5, n_fft // 2)))
    try:
        for case in cases:
            _check_counts(call_answer(spectrogram_shape, *case), *case)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, f"{len(cases)} clips of different lengths, and torch.stft agrees on all.")


def check_swap_phase(swap_phase: Callable[[Tensor, Tensor], Tensor]) -> Feedback:
    """Check a function that joins the magnitude of one spectrogram with the phase of another.

    Args:
        swap_phase: Called as swap_phase(loudness_from, phase_from) with two complex tensors of
            one shape; returns a complex tensor of that shape.

    Returns:
        Feedback: what is right, or which half is not the one that was asked for.

    Notebook: 03
    """
    try:
        for seed in range(4):
            generator = torch.Generator().manual_seed(seed)
            first, second = (
                torch.randn(1, 9, 5 + seed, generator=generator, dtype=torch.complex64) * level
                for level in (0.3 + seed, 2.0)
            )
            first[0, 0, 0] = 0.0  # silence in a cell, of either one, must not become NaN
            second[0, 1, 1] = 0.0
            _check_swapped(call_answer(swap_phase, first, second), first, second)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "magnitude from the one, phase from the other, in every single cell.")


def check_to_decibels(to_decibels: Callable[[Tensor, float, float], Tensor]) -> Feedback:
    """Check a function that turns magnitudes into decibels with a fixed reference and a floor.

    Args:
        to_decibels: Called as to_decibels(magnitude, reference, floor_db) with a tensor, the
            magnitude that means 0 dB, and a negative number; returns a tensor of the same shape.

    Returns:
        Feedback: what is right, or which known mistake the levels point to.

    Notebook: 03
    """
    try:
        for seed, (reference, floor_db) in enumerate([(1.0, -80.0), (128.0, -80.0), (0.02, -45.0)]):
            generator = torch.Generator().manual_seed(seed)
            # From 60 dB below the reference to 20 dB above it, so the floor and 0 dB both matter.
            exponents = 4 * torch.rand(1, 6, 40, generator=generator) - 3
            magnitude = reference * 10**exponents
            answer = call_answer(to_decibels, magnitude, reference, floor_db)
            _check_levels(answer, magnitude, reference, floor_db)
            silent = magnitude.clone()
            silent[0, 0, :3] = 0.0
            answer = call_answer(to_decibels, silent, reference, floor_db)
            _check_levels(answer, silent, reference, floor_db)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(
        True, "loud, soft and silent cells all have the right level, on one scale for every clip."
    )


def _check_counts(answer: object, num_samples: int, n_fft: int, hop_length: int) -> None:
    """Compare one predicted shape with the shape that torch.stft really makes."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYetError(f"return two numbers, (bins, frames); your function gave {answer!r}.")
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in answer):
        raise NotYetError(
            f"counts are whole numbers, and your function gave {answer!r}; divide with //."
        )
    bins, frames = answer
    window = torch.ones(n_fft)
    real = torch.stft(
        torch.zeros(num_samples),
        n_fft,
        hop_length,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    case = f"for {num_samples} samples, n_fft = {n_fft} and hop_length = {hop_length}"
    if (frames, bins) == tuple(real.shape):
        raise NotYetError("the two are the wrong way round: bins first, frames second.")
    if bins != real.shape[0]:
        hint = {
            n_fft // 2: "one bin is missing: 0 Hz and the highest frequency both count",
            n_fft: "half of these are mirror images that torch.stft leaves out for real sound",
            n_fft + 1: "half of these are mirror images that torch.stft leaves out for real sound",
        }.get(bins, "think of the frequencies from 0 Hz to half the sample rate")
        raise NotYetError(f"{case} there are {real.shape[0]} bins and you say {bins}; {hint}.")
    if frames != real.shape[1]:
        hint = {
            num_samples // hop_length: "the frame around sample 0 counts too",
            num_samples // hop_length + 2: "one too many",
            -(-num_samples // hop_length): "count the frame around sample 0, then whole hops only",
            -(-num_samples // hop_length)
            + 1: "round down: a last hop that does not fit makes none",
            1 + (num_samples - n_fft) // hop_length: "that is the count for center=False; here the "
            "windows may hang over both ends",
        }.get(frames, "ask how many whole hops fit into the clip")
        raise NotYetError(f"{case} there are {real.shape[1]} frames and you say {frames}; {hint}.")


def _check_swapped(answer: object, first: Tensor, second: Tensor) -> None:
    """Look at magnitude and phase of one answer apart."""
    if not isinstance(answer, Tensor):
        raise NotYetError(f"your function gives back a {type(answer).__name__}; return a tensor.")
    if not answer.is_complex():
        raise NotYetError(
            "your function gives back real numbers, so the phase is gone; torch.polar(loudness, "
            "angle) builds complex ones."
        )
    if answer.shape != first.shape:
        raise NotYetError(
            f"the result has shape {tuple(answer.shape)} instead of {tuple(first.shape)}; work "
            "cell by cell."
        )
    if not bool(torch.isfinite(answer).all()):
        raise NotYetError("a silent cell became NaN; take the angle instead of dividing by zero.")
    # Where the second is silent it has no phase, and what the answer holds there is free.
    heard = second.abs() > 0
    loudness_right = torch.allclose(answer.abs()[heard], first.abs()[heard], rtol=1e-3, atol=1e-5)
    both = heard & (first.abs() > 0)
    phase_right = _same_phase(answer, second, where=both)
    if loudness_right and phase_right:
        return
    if torch.allclose(answer, first) or torch.allclose(answer, second):
        which = "first" if torch.allclose(answer, first) else "second"
        raise NotYetError(f"that is the {which} spectrogram unchanged; take one half from each.")
    if torch.allclose(answer.abs(), second.abs(), rtol=1e-3, atol=1e-5) and _same_phase(
        answer, first, where=both
    ):
        raise NotYetError("the two are the wrong way round: loudness first, phase second.")
    if torch.allclose(answer, first * second, rtol=1e-3):
        raise NotYetError(
            "a product multiplies the loudness of both and adds their angles; take only the "
            ".abs() of the first and only the .angle() of the second."
        )
    if torch.allclose(answer, torch.complex(first.abs(), second.angle())):
        raise NotYetError(
            "torch.complex takes real and imaginary part; torch.polar takes loudness and angle."
        )
    if torch.allclose(answer, torch.complex(first.real, second.imag)):
        raise NotYetError(
            "real and imaginary part each hold some of both; loudness is .abs(), phase .angle()."
        )
    if phase_right:
        raise NotYetError("the phase is right, the loudness is not that of the first spectrogram.")
    if loudness_right:
        raise NotYetError("the loudness is right, the phase is not that of the second spectrogram.")
    raise NotYetError("neither loudness nor phase is the one asked for; try .abs() and .angle().")


def _same_phase(answer: Tensor, other: Tensor, *, where: Tensor) -> bool:
    """Whether two spectrograms point the same way wherever the answer is not silent."""
    turned = (answer * other.conj())[where]
    return bool((turned.abs() > 0).all()) and bool((turned.angle().abs() < 1e-2).all())


def _check_levels(answer: object, magnitude: Tensor, reference: float, floor_db: float) -> None:
    """Compare one tensor of levels with the right ones, and with well-known wrong ones."""
    if not isinstance(answer, Tensor):
        raise NotYetError(f"your function gives back a {type(answer).__name__}; return a tensor.")
    if answer.shape != magnitude.shape:
        raise NotYetError(
            f"the levels have shape {tuple(answer.shape)} and the magnitudes "
            f"{tuple(magnitude.shape)}; they must be equal."
        )
    if answer.is_complex():
        raise NotYetError("levels are real numbers, and yours are complex.")
    if bool((answer == -math.inf).any()) or bool(answer.isnan().any()):
        raise NotYetError(
            "a silent cell came out as minus infinity or NaN, because log10(0) has no value; raise "
            "everything below the floor to the floor (.clamp helps)."
        )
    ratio = magnitude / reference
    right = _levels(20, ratio, floor_db)
    if _close(answer, right):
        return
    heard = right > floor_db
    if _close(answer[heard], right[heard]) and bool((answer < floor_db - 0.01).any()):
        raise NotYetError("the right scale, and no floor under it: nothing may lie below floor_db.")
    wrong = {
        "your levels are half as large as they should be: a magnitude needs 20 * log10, and 10 is "
        "for power": _levels(10, ratio, floor_db),
        "use log10: torch.log is the natural logarithm": _levels(
            20 * math.log(10), ratio, floor_db
        ),
        "the reference is not used, so nothing says what 0 dB means": _levels(
            20, magnitude, floor_db
        ),
        "your 0 dB is the loudest cell of this clip, and it changes from clip to clip; divide by "
        "the reference": _levels(20, magnitude / magnitude.max(), floor_db),
        "your floor hangs below the loudest cell; let it hang below the reference": torch.maximum(
            _levels(20, ratio, -1000.0), 20 * ratio.max().log10() + floor_db
        ),
        "the sign is turned round: softer than the reference is negative": -_levels(
            20, ratio, -1000.0
        ),
        "your 0 dB is always 128; divide by the reference that is handed in": _levels(
            20, magnitude / 128, floor_db
        ),
        "everything above the reference was cut off; only the floor is a limit": right.clamp(max=0),
        "everything below the reference was cut off; the floor is floor_db, and lies below 0": (
            right.clamp(min=0)
        ),
        "clamp(max=...) sets a ceiling; a floor is clamp(min=...)": _levels(
            20, ratio, -1000.0
        ).clamp(max=floor_db),
        "floor_db is a negative number already; leave its sign alone": right.clamp(min=-floor_db),
        "those are magnitudes, and not yet decibels": magnitude,
    }
    for hint, levels in wrong.items():
        if _close(answer, levels):
            raise NotYetError(f"{hint}.")
    place = int((answer - right).abs().argmax())
    raise NotYetError(
        f"a magnitude of {magnitude.flatten()[place]:.3g} with reference {reference:g} lies at "
        f"{right.flatten()[place]:.2f} dB and you say {answer.flatten()[place]:.2f}."
    )


def _levels(factor: float, ratio: Tensor, floor_db: float) -> Tensor:
    """Compute factor * log10(ratio), not below the floor; silence ends at the floor."""
    return (factor * ratio.clamp(min=1e-30).log10()).clamp(min=floor_db)


def _close(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first.double(), second.double(), rtol=1e-4, atol=1e-2)
