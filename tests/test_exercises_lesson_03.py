"""The checks of lesson 3: right answers pass, wrong ones get the sentence that helps."""

import math

import pytest
import torch
from answers import assert_says

from course_utils.exercises.lesson_03 import (
    check_spectrogram_shape,
    check_swap_phase,
    check_to_decibels,
)
from course_utils.features import decibels

# --- shape ---------------------------------------------------------------------------------


def test_right_shape_passes():
    def through_torch(num_samples, n_fft, hop_length):
        made = torch.stft(
            torch.ones(num_samples),
            n_fft,
            hop_length,
            window=torch.ones(n_fft),
            return_complex=True,
        )
        return list(made.shape)

    for answer in (lambda n, f, h: (f // 2 + 1, n // h + 1), through_torch):
        assert check_spectrogram_shape(answer).passed


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda n, f, h: (0, 0), "0 Hz to half the sample rate"),
        (lambda n, f, h: (n // h + 1, f // 2 + 1), "the wrong way round"),
        (lambda n, f, h: (f // 2, n // h + 1), "one bin is missing"),
        (lambda n, f, h: (f, n // h + 1), "mirror images"),
        (lambda n, f, h: (f // 2 + 1, n // h), "the frame around sample 0"),
        (lambda n, f, h: (f // 2 + 1, -(-n // h)), "the frame around sample 0"),
        (lambda n, f, h: (f // 2 + 1, -(-n // h) + 1), "round down"),
        (lambda n, f, h: (f // 2 + 1, 1 + (n - f) // h), "center=False"),
        (lambda n, f, h: (f // 2 + 1, 7), "how many whole hops"),
        (lambda n, f, h: (f / 2 + 1, n / h + 1), "divide with //"),
        (lambda n, f, h: f // 2 + 1, "return two numbers"),
        (lambda n, f, h: None, "gives back None"),
        (lambda n, f, h: 1 / 0, "stopped with ZeroDivisionError"),
        ((257, 63), "needs the function itself"),
    ],
)
def test_wrong_shape_is_named(answer, sentence):
    assert_says(check_spectrogram_shape(answer), sentence)


def test_a_shape_that_fits_only_the_lessons_clip_does_not_pass():
    assert not check_spectrogram_shape(lambda n, f, h: (257, n // 256 + 1)).passed


# --- phase ---------------------------------------------------------------------------------


def test_right_swap_passes():
    def with_exp(first, second):
        return first.abs() * torch.exp(1j * second.angle())

    def with_division(first, second):
        return first.abs() * second / second.abs().clamp(min=1e-12)

    for answer in (lambda a, b: torch.polar(a.abs(), b.angle()), with_exp, with_division):
        assert check_swap_phase(answer).passed


def in_place(first, second):
    first *= 0
    return second


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda a, b: a, "the first spectrogram unchanged"),
        (lambda a, b: b, "the second spectrogram unchanged"),
        (lambda a, b: torch.polar(b.abs(), a.angle()), "the wrong way round"),
        (lambda a, b: a * b, "a product multiplies the loudness"),
        (lambda a, b: torch.complex(a.abs(), b.angle()), "torch.polar takes loudness and angle"),
        (lambda a, b: torch.complex(a.real, b.imag), "each hold some of both"),
        (lambda a, b: a.abs(), "the phase is gone"),
        (lambda a, b: torch.polar(a.abs(), -b.angle()), "the loudness is right, the phase is not"),
        (lambda a, b: torch.polar(a.abs() ** 2, b.angle()), "the phase is right, the loudness"),
        (lambda a, b: torch.polar(b.abs() + 1, a.angle()), "neither loudness nor phase"),
        (lambda a, b: a.abs() * torch.polar(b.abs(), b.angle()), "the loudness is not"),
        (lambda a, b: a / a * torch.polar(a.abs(), b.angle()), "became NaN"),
        (lambda a, b: a.abs() * b / b.abs(), "became NaN"),
        (lambda a, b: torch.polar(a.abs(), b.angle())[0], "has shape"),
        (lambda a, b: 1.0, "gives back a float"),
        (in_place, "changed one of its inputs"),
    ],
)
def test_wrong_swap_is_named(answer, sentence):
    assert_says(check_swap_phase(answer), sentence)


# --- decibels ------------------------------------------------------------------------------


def test_right_decibels_pass():
    def by_hand(magnitude, reference, floor_db):
        return 20 * (magnitude / reference).clamp(min=10 ** (floor_db / 20)).log10()

    def clamped_late(magnitude, reference, floor_db):
        return (20 * torch.log10(magnitude / reference)).clamp(min=floor_db)

    def helper(magnitude, reference, floor_db):
        return decibels(magnitude, top_db=-floor_db, reference=reference)

    def with_power(magnitude, reference, floor_db):
        return (10 * torch.log10((magnitude / reference) ** 2)).clamp(min=floor_db)

    for answer in (by_hand, clamped_late, helper, with_power):
        assert check_to_decibels(answer).passed


def scale(factor, *, log=torch.log10):
    return lambda m, r, f: (factor * log(m / r)).clamp(min=f)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda m, r, f: m, "not yet decibels"),
        (scale(10), "20 * log10, and 10 is for power"),
        (scale(20, log=torch.log), "natural logarithm"),
        (scale(-20), "sign is turned round"),
        (lambda m, r, f: (20 * torch.log10(m)).clamp(min=f), "the reference is not used"),
        (
            lambda m, r, f: (20 * torch.log10(m / m.max())).clamp(min=f),
            "changes from clip to clip",
        ),
        (lambda m, r, f: 20 * torch.log10(m / r), "log10(0) has no value"),
        (lambda m, r, f: 20 * torch.log10((m / r).clamp(min=1e-9)), "no floor under it"),
        (
            lambda m, r, f: torch.maximum(
                d := 20 * torch.log10((m / r).clamp(min=1e-20)), d.max() + f
            ),
            "hangs below the loudest cell",
        ),
        (lambda m, r, f: scale(20)(m, r, f).clamp(max=0.0), "above the reference was cut off"),
        (lambda m, r, f: scale(20)(m, 128, f), "always 128"),
        (lambda m, r, f: scale(20)(m, r, 0.0), "the floor is floor_db"),
        (lambda m, r, f: (20 * torch.log10(m / r)).clamp(max=f), "sets a ceiling"),
        (lambda m, r, f: scale(20)(m, r, -f), "negative number already"),
        (lambda m, r, f: scale(20)(m, r, f) + 1, "and you say"),
        (lambda m, r, f: scale(20)(m, r, f)[0], "they must be equal"),
        (lambda m, r, f: -80.0, "gives back a float"),
        (lambda m, r, f: math.log10(m), "stopped with"),
    ],
)
def test_wrong_decibels_are_named(answer, sentence):
    assert_says(check_to_decibels(answer), sentence)
