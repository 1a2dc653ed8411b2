import pytest
import torch
from answers import SHARED_MISTAKES, assert_says

from course_utils.exercises.lesson_02 import (
    check_int_to_float,
    check_masked_mse,
    check_one_gain,
)
from course_utils.preprocessing import normalize_pair

# --- integers to floats --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda samples, bits: samples.float() / 2 ** (bits - 1),
        lambda samples, bits: samples / (1 << (bits - 1)),  # true division gives float32
        lambda samples, bits: (samples.double() * 2.0 ** (1 - bits)).float(),
    ],
)
def test_right_conversions_pass(answer):
    assert check_int_to_float(answer).passed


def convert_in_place(samples, bits):
    result = samples.float() / 2 ** (bits - 1)
    samples.zero_()
    return result


def right(samples, bits):
    return samples.float() / 2 ** (bits - 1)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda s, b: s, "whole numbers (torch.int16); call .float()"),
        (lambda s, b: s // 2 ** (b - 1), "whole numbers"),
        (lambda s, b: s.float(), "still reach 32768; full scale should be 1"),
        (lambda s, b: s.float() / (2 ** (b - 1) - 1), "-32768 became -1.000031"),
        (lambda s, b: s.float() / 2**b, "65536 counts all the marks"),
        (lambda s, b: (s.float() / (2 ** (b - 1) - 1)).clamp(-1, 1), "both became -1"),
        (lambda s, b: (s // 2 ** (b - 1)).float(), "with a single /"),
        (lambda s, b: s.float() // 2 ** (b - 1), "with a single /"),
        (lambda s, b: s.float() / 32768, "with 24 bits full scale became 256"),
        (lambda s, b: s.float() / 1000, "-32768 became -32.768002 instead of -1.0"),
        (lambda s, b: right(s, b) * 2 + 0.5, "one and the same number"),
        (lambda s, b: s.float() / s.float().abs().max(), "a whisper comes out as loud as a shout"),
        (lambda s, b: s / s.abs().max(), "a whisper comes out as loud as a shout"),
        (lambda s, b: s / s.max(), "a whisper comes out as loud as a shout"),
        (lambda s, b: s.double() / 2 ** (b - 1), "torch.float64"),
        (lambda s, b: right(s, b).mean(0, keepdim=True)[:, :5], "shape"),
        (lambda s, b: right(s, b)[..., :-1], "shape"),
        (lambda s, b: right(s, b).clamp(-0.9, 0.9), "instead of"),
        (lambda s, b: s.float() / 0, "NaN or infinity"),
        (lambda s, b: s.tolist(), "should be a tensor and is list"),
        (lambda s: s.float() / 32768, "stopped with TypeError"),
        (convert_in_place, "changed one of its inputs"),
    ],
)
def test_wrong_conversions_fail_with_a_sentence(answer, message):
    assert_says(check_int_to_float(answer), message)


# --- the loss that skips padding -----------------------------------------------------------------


def masked_mse(estimate, reference, lengths):
    positions = torch.arange(estimate.shape[-1])
    mask = positions < lengths[:, None, None]
    return (estimate - reference)[mask.expand_as(estimate)].square().mean()


def masked_mse_by_loop(estimate, reference, lengths):
    total = 0.0
    for item, length in enumerate(lengths):
        total += (estimate[item, :, :length] - reference[item, :, :length]).square().sum()
    return total / lengths.sum()


@pytest.mark.parametrize("answer", [masked_mse, masked_mse_by_loop])
def test_right_losses_pass(answer):
    assert check_masked_mse(answer).passed


def mask_then_mean(estimate, reference, lengths):
    mask = torch.arange(estimate.shape[-1]) < lengths[:, None, None]
    return ((estimate - reference) * mask).square().mean()


def mean_of_means(estimate, reference, lengths):
    parts = zip(estimate, reference, lengths, strict=True)
    return torch.stack([(e[:, :n] - r[:, :n]).square().mean() for e, r, n in parts]).mean()


def sum_over(mask_of):
    """Square, keep what the mask keeps, divide by the number of real samples."""

    def answer(estimate, reference, lengths):
        mask = mask_of(torch.arange(estimate.shape[-1]), lengths)
        return ((estimate - reference).square() * mask).sum() / lengths.sum()

    return answer


def one_too_many(estimate, reference, lengths):
    mask = torch.arange(estimate.shape[-1]) <= lengths[:, None, None]
    return (estimate - reference)[mask].square().mean()


def in_place(estimate, reference, lengths):
    estimate.mul_(torch.arange(estimate.shape[-1]) < lengths[:, None, None])
    return masked_mse(estimate, reference, lengths)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda e, r, n: (e - r).square().mean(), "padding is still counted"),
        (lambda e, r, n: torch.tensor(0.0), "should be"),
        (lambda e, r, n: (e - r).square(), "one number and has shape (2, 1, 500)"),
        (lambda e, r, n: "small", "one number and is str"),
        (lambda e, r, n: masked_mse(e, r, n) * n.sum(), "divide it by the number of real"),
        (lambda e, r, n: masked_mse(e, r, n).sqrt(), "the root of the right number"),
        (lambda e, r, n: masked_mse(e, r, n - 10), "should be"),
        (lambda e, r, n: masked_mse(e, r, n) * float("nan"), "should be"),
        (lambda e, r, n: masked_mse(e, r, n).item(), "nothing can be learnt from it"),
        (lambda e, r, n: masked_mse(e, r, n).detach(), "nothing can be learnt from it"),
        (torch.no_grad()(masked_mse), "nothing can be learnt from it"),
        (lambda e, r, n: masked_mse(e.detach(), r, n), "nothing can be learnt from it"),
        (mask_then_mean, "still divided by all samples"),
        (mean_of_means, "average of one mean per clip"),
        (lambda e, r, n: (e - r)[r != 0].square().mean(), "a pause is silent too"),
        (lambda e, r, n: (e - r)[..., : n.min()].square().mean(), "cut to the shortest"),
        (lambda e, r, n: (e - r)[..., : n.max()].square().mean(), "cut to the longest"),
        (one_too_many, "write < instead of <="),
        (sum_over(lambda time, n: time < n[:, None]), "write lengths[:, None, None]"),
        (sum_over(lambda time, n: 1), "errors in the padding are still in the sum"),
        (lambda e, r, n: masked_mse(e, r, n) * n.sum() / len(n), "the number of clips"),
        (lambda e, r, n: masked_mse((e - r).abs().sqrt(), 0 * r, n), "square them"),
        (lambda e, r, n: 4 * masked_mse(e, r, n), "should be"),
        (in_place, "changed one of its inputs"),
    ],
)
def test_wrong_losses_fail_with_a_sentence(answer, message):
    assert_says(check_masked_mse(answer), message)


# --- one gain ------------------------------------------------------------------------------------


def one_gain(noisy, clean):
    gain = 0.99 / torch.maximum(noisy.abs().max(), clean.abs().max())
    return noisy * gain, clean * gain


@pytest.mark.parametrize("answer", [one_gain, normalize_pair, lambda n, c: list(one_gain(n, c))])
def test_right_gains_pass(answer):
    assert check_one_gain(answer).passed


def own_gains(noisy, clean):
    return 0.99 * noisy / noisy.abs().max(), 0.99 * clean / clean.abs().max()


def gain_of_noisy(noisy, clean):
    gain = 0.99 / noisy.abs().max().clamp_min(1e-9)
    return noisy * gain, clean * gain


def only_if_too_loud(noisy, clean):
    gain = min(1.0, float(0.99 / max(noisy.abs().max(), clean.abs().max())))
    return noisy * gain, clean * gain


def without_abs(noisy, clean):
    gain = 0.99 / max(noisy.max(), clean.max())
    return noisy * gain, clean * gain


def in_place_gain(noisy, clean):
    gain = 0.99 / torch.maximum(noisy.abs().max(), clean.abs().max())
    return noisy.mul_(gain), clean.mul_(gain)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda n, c: (n, c), "peaks at 0.80"),
        (own_gains, "the same number has to multiply both"),
        (gain_of_noisy, "louder of the two"),
        (only_if_too_loud, "peaks at 0.80"),
        (without_abs, "take abs() before max()"),
        (lambda n, c: one_gain(n, c)[::-1], "noisy first, then clean"),
        (lambda n, c: (n.clamp(-0.5, 0.5), c), "changed its form"),
        (lambda n, c: (2 * n / n.abs().max(), 2 * c / n.abs().max()), "peaks at 2.00"),
        (lambda n, c: one_gain(n, c)[0], "return two tensors"),
        (lambda n, c: (n[..., :5], c), "scaled noisy has shape (1, 5)"),
        (lambda n, c: (n, c.double()), "scaled clean is torch.float64"),
        (lambda n, c: (n / 0, c), "NaN or infinity"),
        (in_place_gain, "changed one of its inputs"),
    ],
)
def test_wrong_gains_fail_with_a_sentence(answer, message):
    assert_says(check_one_gain(answer), message)


def test_noisy_alone_sets_the_gain_only_where_it_is_louder():
    """Half right: an answer that looks at noisy first must fail on a pair with a louder clean."""

    def answer(noisy, clean):
        return gain_of_noisy(noisy, clean) if noisy.abs().max() > 0 else one_gain(noisy, clean)

    assert_says(check_one_gain(answer), "peaks at 1.98")
