"""The checks of lesson 4: right answers pass, wrong ones get the sentence that helps."""

import math

import pytest
import torch
from answers import SHARED_MISTAKES, assert_says
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from course_utils.exercises.lesson_04 import (
    check_causal_conv,
    check_conv_cost,
    check_join_skip,
    check_receptive_field,
)

# --- receptive field -----------------------------------------------------------------------


def measured_field(kernels, strides):
    """Ask real layers: which places of the input does one value of the output depend on?"""
    layers = [nn.Conv1d(1, 1, k, s) for k, s in zip(kernels, strides, strict=True)]
    for layer in layers:
        nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 6000, requires_grad=True)
    nn.Sequential(*layers)(x)[0, 0, 0].backward()
    return int(x.grad.flatten().nonzero().max()) + 1


def right_field(kernels, strides):
    return 1 + sum((k - 1) * math.prod(strides[:i]) for i, k in enumerate(kernels))


def from_the_end(kernels, strides):
    seen = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        seen = (seen - 1) * stride + kernel
    return seen


def gaps_for_strides(kernels, strides):
    """Wrong only where a stride is longer than its kernel: places that nobody looks at."""
    x = torch.zeros(1, 1, 6000, requires_grad=True)
    y = x
    for kernel, stride in zip(kernels, strides, strict=True):
        y = functional.conv1d(y, torch.ones(1, 1, kernel), stride=stride)
    y[0, 0, 0].backward()
    return int((x.grad != 0).sum())


@pytest.mark.parametrize("answer", [measured_field, right_field, from_the_end])
def test_right_field_passes(answer):
    assert check_receptive_field(answer).passed


def only_the_last_stride(kernels, strides):
    steps = [1, *strides]
    return 1 + sum((k - 1) * s for k, s in zip(kernels, steps, strict=False))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        *SHARED_MISTAKES,
        (lambda k, s: 1, "that is the stub"),
        (lambda k, s: 1 + sum(n - 1 for n in k), "the strides are not used"),
        (lambda k, s: sum(k), "one place less than it is long"),
        (lambda k, s: right_field(k, s) - 1, "start counting at 1"),
        (lambda k, s: right_field(k[::-1], s[::-1]), "goes the other way"),
        (only_the_last_stride, "yours uses only the one before"),
        (
            lambda k, s: 1 + sum((n - 1) * math.prod(s[: i + 1]) for i, n in enumerate(k)),
            "widens the layers after its own",
        ),
        (
            lambda k, s: 1 + sum(n * math.prod(s[:i]) for i, n in enumerate(k)),
            "its length minus one, times the step",
        ),
        (lambda k, s: 1 + sum((n - 1) * m for n, m in zip(k, s, strict=True)), "uses its own"),
        (gaps_for_strides, "count by hand"),
        (lambda k, s: math.prod(k), "count by hand"),
        (lambda k, s: float(right_field(k, s)), "a whole number"),
        (lambda k, s: str(right_field(k, s)), "a whole number"),
        (lambda k, s: True, "a whole number"),
    ],
)
def test_wrong_field_is_named(answer, sentence):
    assert_says(check_receptive_field(answer), sentence)


def test_the_field_of_the_lessons_network_alone_does_not_pass():
    assert_says(check_receptive_field(lambda k, s: 44), "you say 44")


# --- causal convolution --------------------------------------------------------------------


def conv(x, weight, *, before, after=0, below=None, above=None, mode="constant"):
    half = weight.shape[2] // 2
    below, above = half if below is None else below, half if above is None else above
    return functional.conv2d(functional.pad(x, (before, after, below, above), mode=mode), weight)


def right_conv(x, weight):
    return conv(x, weight, before=weight.shape[3] - 1)


def pad_both_sides_then_cut(x, weight):
    wide = weight.shape[3] - 1
    y = functional.conv2d(x, weight, padding=(weight.shape[2] // 2, wide))
    return y[..., : x.shape[-1]]


def pairs_swapped(x, weight):
    half, past = weight.shape[2] // 2, weight.shape[3] - 1
    return functional.conv2d(functional.pad(x, (half, half, past, 0)), weight)


@pytest.mark.parametrize("answer", [right_conv, pad_both_sides_then_cut])
def test_right_convolution_passes(answer):
    assert check_causal_conv(answer).passed


def changes_its_input(x, weight):
    x *= 2
    return right_conv(x / 2, weight)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        *SHARED_MISTAKES,
        (lambda x, w: functional.conv2d(x, w), "instead of"),
        (
            lambda x, w: functional.conv2d(x, w, padding=(w.shape[2] // 2, w.shape[3] // 2)),
            "it looks ahead",
        ),
        (lambda x, w: conv(x, w, before=0, after=w.shape[3] - 1), "it looks ahead"),
        (pairs_swapped, "the first is time"),
        (lambda x, w: conv(x, w, before=w.shape[3])[..., :-1], "the present frame must count"),
        (lambda x, w: 0 * right_conv(x, w), "the present frame must count"),
        (lambda x, w: right_conv(x, w.flip(2, 3)), "turned round"),
        (lambda x, w: 0.5 * right_conv(x, w), "not those of the convolution"),
        (lambda x, w: right_conv(x, w) + 1, "not those of the convolution"),
        (lambda x, w: conv(x, w, before=w.shape[3] - 1, mode="replicate"), "not those"),
        (
            lambda x, w: conv(x, w, before=w.shape[3] - 1, below=w.shape[2] - 1, above=0),
            "not those of the convolution",
        ),
        (lambda x, w: right_conv(x, w) * math.nan, "NaN"),
        (lambda x, w: right_conv(x, w).tolist(), "return a tensor"),
        (changes_its_input, "changed one of its inputs"),
    ],
)
def test_wrong_convolution_is_named(answer, sentence):
    assert_says(check_causal_conv(answer), sentence)


# --- skip ----------------------------------------------------------------------------------


def right_join(x, skip):
    return torch.cat([x, skip[..., skip.shape[-1] - x.shape[-1] :]], dim=1)


def by_copying(x, skip):
    both = x.new_empty(x.shape[0], x.shape[1] + skip.shape[1], *x.shape[2:])
    for frame in range(1, x.shape[-1] + 1):
        both[:, : x.shape[1], :, -frame] = x[..., -frame]
        both[:, x.shape[1] :, :, -frame] = skip[..., -frame]
    return both


@pytest.mark.parametrize(
    "answer",
    [right_join, by_copying, lambda x, s: torch.cat([x, s[..., -x.shape[-1] :]], dim=1)],
)
def test_right_join_passes(answer):
    assert check_join_skip(answer).passed


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        *SHARED_MISTAKES,
        (lambda x, s: x, "one of the two unchanged"),
        (lambda x, s: s, "one of the two unchanged"),
        (lambda x, s: torch.cat([x, s], dim=1), "Sizes of tensors must match"),
        (lambda x, s: torch.cat([x, s[..., 1:]], dim=1), "Sizes of tensors must match"),
        (lambda x, s: torch.cat([x, s[..., : x.shape[-1]]], dim=1), "you cut the end off"),
        (
            lambda x, s: torch.cat([s[..., s.shape[-1] - x.shape[-1] :], x], dim=1),
            "the channels of x come first",
        ),
        (
            lambda x, s: torch.cat([functional.pad(x, (s.shape[-1] - x.shape[-1], 0)), s], dim=1),
            "those of x; skip has 1 more",
        ),
        (lambda x, s: x + s[:, :1, :, -x.shape[-1] :], "join the channels"),
        (lambda x, s: torch.cat([x, s[:, :1, :, -x.shape[-1] :]], dim=1), "one after the other"),
        (lambda x, s: torch.cat([x, s[..., -x.shape[-1] :].flip(-1)], dim=1), "x is right"),
        (lambda x, s: 2 * right_join(x, s), "only cut and torch.cat"),
        (lambda x, s: right_join(x, s) * math.nan, "only cut and torch.cat"),
        (lambda x, s: right_join(x, s).tolist(), "return a tensor"),
    ],
)
def test_wrong_join_is_named(answer, sentence):
    assert_says(check_join_skip(answer), sentence)


# --- cost ----------------------------------------------------------------------------------


def measured_cost(in_channels, out_channels, kernel, output_size):
    """Ask a real layer and PyTorch's own counter."""
    layer = nn.Conv2d(in_channels, out_channels, kernel)
    size = [n + k - 1 for n, k in zip(output_size, kernel, strict=True)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        layer(torch.zeros(1, in_channels, *size))
    return sum(p.numel() for p in layer.parameters()), counter.get_total_flops() // 2


def cost(i, o, k, n):
    return o * (i * k[0] * k[1] + 1), o * i * k[0] * k[1] * n[0] * n[1]


@pytest.mark.parametrize("answer", [measured_cost, cost, lambda *a: list(cost(*a))])
def test_right_cost_passes(answer):
    assert check_conv_cost(answer).passed


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        *SHARED_MISTAKES,
        (lambda i, o, k, n: (0, 0), "the shape of the weight"),
        (lambda i, o, k, n: cost(i, o, k, n)[0], "return two numbers"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], 1e6), "whole numbers"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0] - o, 0), "one bias"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0] - o + 1, 0), "a bias of its own"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0] - o + i, 0), "belong to the output channels"),
        (lambda i, o, k, n: (i * o * (k[0] * k[1] + 1), 0), "not to each of its kernels"),
        (lambda i, o, k, n: (o * (k[0] * k[1] + 1), 0), "looks at all input channels"),
        (lambda i, o, k, n: (o * (i * k[0] + 1), 0), "as wide as kernel[1]"),
        (lambda i, o, k, n: (o * (i * k[1] + 1), 0), "as tall as kernel[0]"),
        (lambda i, o, k, n: (o * (i * sum(k) + 1), 0), "its two sides are multiplied"),
        (lambda i, o, k, n: cost(i, o, k, n)[::-1], "the wrong way round"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0] * n[0] * n[1], 0), "the same kernel"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], 0), "how often each number of a kernel is used"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], cost(i, o, k, n)[0] - o), "every place"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0],) * 2, "once for every place"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], 2 * cost(i, o, k, n)[1]), "counts as one"),
        (
            lambda i, o, k, n: (cost(i, o, k, n)[0], cost(i, o, k, n)[1] + o * n[0] * n[1]),
            "never multiplied",
        ),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], cost(i, o, k, n)[1] // n[1]), "has frames"),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], cost(i, o, k, n)[1] // n[0]), "has rows"),
        (
            lambda i, o, k, n: (cost(i, o, k, n)[0], cost(i, o, k, n)[1] // o),
            "output channel costs",
        ),
        (lambda i, o, k, n: (cost(i, o, k, n)[0], cost(i, o, k, n)[1] // i), "input channel costs"),
    ],
)
def test_wrong_cost_is_named(answer, sentence):
    assert_says(check_conv_cost(answer), sentence)


def test_the_layers_of_the_lesson_alone_do_not_pass():
    known = {(1, 16): (272, 1_032_192), (16, 32): (4128, 4_096_000)}
    assert_says(check_conv_cost(lambda i, o, k, n: known.get((i, o), (0, 0))), "you say 0")
