"""Checks of lesson 4: a convolution that never looks ahead, a skip, its cost, its view."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer

Kernel = tuple[int, int]


def check_receptive_field(
    receptive_field: Callable[[Sequence[int], Sequence[int]], int],
) -> Feedback:
    """Check a function that says how much of its input one value behind some layers has seen.

    Args:
        receptive_field: Called as receptive_field(kernels, strides) with two lists of ints, one
            entry for each layer, the first layer first; returns an int.

    Returns:
        Feedback: what is right, or which mistake the numbers point to.

    Notebook: 04
    """
    draw = random.Random(4)
    cases = [([5], [1]), ([3, 3], [1, 1]), ([3, 3], [2, 1]), ([8, 4, 4], [4, 2, 2])]
    for _ in range(8):
        num_layers = draw.randint(1, 5)
        cases.append(
            (
                [draw.randint(1, 9) for _ in range(num_layers)],
                [draw.randint(1, 4) for _ in range(num_layers)],
            )
        )
    try:
        answers = [
            call_answer(receptive_field, list(kernels), list(strides)) for kernels, strides in cases
        ]
        for answer, case in zip(answers, cases, strict=True):
            _check_field(answer, case, answers, cases)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, f"right for {len(cases)} stacks of layers, with and without strides.")


def check_causal_conv(causal_conv: Callable[[Tensor, Tensor], Tensor]) -> Feedback:
    """Check a convolution over frequency and time that keeps the shape and sees no future.

    Args:
        causal_conv: Called as causal_conv(x, weight) with tensors of shape (batch, in_channels,
            freq, frame) and (out_channels, in_channels, kernel_freq, kernel_frame), where
            kernel_freq is odd; returns (batch, out_channels, freq, frame).

    Returns:
        Feedback: what is right, or what the answer did with the frames that come later.

    Notebook: 04
    """
    shapes = [(1, 1, 1, 3, 3), (2, 3, 4, 3, 2), (1, 2, 3, 5, 4), (3, 4, 2, 1, 5), (1, 2, 2, 7, 1)]
    try:
        for seed, (batch, n_in, n_out, tall, wide) in enumerate(shapes):
            generator = torch.Generator().manual_seed(seed)
            x = torch.randn(batch, n_in, 9, 12, generator=generator)
            weight = torch.randn(n_out, n_in, tall, wide, generator=generator)
            answer = call_answer(causal_conv, x, weight)
            _check_causal(
                answer, call_answer(causal_conv, _with_later_frames_changed(x), weight), x, weight
            )
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "every shape is kept, the past is unmoved, and the present counts.")


def check_join_skip(join_skip: Callable[[Tensor, Tensor], Tensor]) -> Feedback:
    """Check a function that joins a decoder's input with the encoder's result, in time.

    Args:
        join_skip: Called as join_skip(x, skip) with tensors of shape (batch, channel, freq,
            frame) and (batch, channel, freq, frame + extra), the extra frames at the beginning;
            returns (batch, channels of both, freq, frame).

    Returns:
        Feedback: what is right, or what became of the channels or of the moments.

    Notebook: 04
    """
    sizes = [(1, 3, 2, 1), (2, 4, 4, 1), (1, 2, 5, 0), (2, 5, 3, 3)]
    try:
        for seed, (batch, n_x, n_skip, extra) in enumerate(sizes):
            generator = torch.Generator().manual_seed(seed)
            x = torch.randn(batch, n_x, 6, 10, generator=generator)
            skip = torch.randn(batch, n_skip, 6, 10 + extra, generator=generator)
            _check_join(call_answer(join_skip, x, skip), x, skip)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "both sets of channels are there, and every frame is one moment.")


def check_conv_cost(
    conv_cost: Callable[[int, int, Kernel, Kernel], tuple[int, int]],
) -> Feedback:
    """Check a function that counts what a convolution stores and what it multiplies.

    Args:
        conv_cost: Called as conv_cost(in_channels, out_channels, kernel, output_size) with two
            ints and two pairs (freq, frame); returns (parameters, multiply_adds) as ints.

    Returns:
        Feedback: what is right, or which factor is missing.

    Notebook: 04
    """
    draw = random.Random(4)
    # No size of the first layer appears twice, so a missing factor can be named.
    cases = [(16, 32, (4, 2), (20, 50)), (1, 16, (8, 2), (64, 63))]
    for _ in range(8):
        channels = draw.randint(1, 24), draw.randint(2, 24)
        kernel = draw.randint(2, 7), draw.randint(2, 5)
        cases.append((*channels, kernel, (draw.randint(3, 80), draw.randint(3, 80))))
    try:
        for case in cases:
            _check_cost(call_answer(conv_cost, *case), *case)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, f"parameters and multiply-adds are right for {len(cases)} layers.")


def _field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Add what each layer sees beyond one place, in places of the input."""
    seen = 1
    step = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        seen += (kernel - 1) * step
        step *= stride
    return seen


def _field_mistakes(kernels: Sequence[int], strides: Sequence[int]) -> dict[str, int]:
    """List what well-known mistakes give, each under its hint."""
    steps = [1]
    for stride in strides:
        steps.append(steps[-1] * stride)
    pairs = list(zip(kernels, steps[1:], strict=True))
    return {
        "that is the stub: work it out layer by layer": 1,
        "the strides are not used: behind a stride of 2, one place covers two of the input": (
            1 + sum(k - 1 for k in kernels)
        ),
        "a kernel adds one place less than it is long, because one place was counted already": (
            sum(kernels)
        ),
        "a kernel adds its length minus one, times the step": (
            1 + sum(k * step for k, step in zip(kernels, steps, strict=False))
        ),
        "start counting at 1, the place itself": _field(kernels, strides) - 1,
        "a stride widens the layers after its own, not its own": (
            1 + sum((k - 1) * step for k, step in pairs)
        ),
        "a layer is widened by the strides before it, all multiplied; yours uses its own": (
            1 + sum((k - 1) * s for k, s in zip(kernels, strides, strict=True))
        ),
        "walk from the first layer to the last; yours goes the other way": (
            _field(kernels[::-1], strides[::-1])
        ),
        "strides multiply from layer to layer; yours uses only the one before": (
            1 + sum((k - 1) * s for k, s in zip(kernels, [1, *strides], strict=False))
        ),
    }


def _check_field(answer: object, case: tuple, answers: list, cases: list) -> None:
    """Compare one count; on a mismatch look for a known mistake that explains all answers."""
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise NotYetError(f"return a whole number of places; your function gave {answer!r}.")
    right = _field(*case)
    if answer == right:
        return
    hint = "draw the layers as rows of dots and count by hand"
    for name in _field_mistakes(*case):
        if all(a == _field_mistakes(*c)[name] for a, c in zip(answers, cases, strict=True)):
            hint = name
            break
    kernels, strides = case
    raise NotYetError(
        f"with kernels {kernels} and strides {strides} one value sees {right} places, and you "
        f"say {answer}; {hint}."
    )


def _with_later_frames_changed(x: Tensor) -> Tensor:
    """Change everything from frame 7 on."""
    later = x.clone()
    later[..., 7:] += 10.0
    return later


def _check_causal(answer: object, moved: object, x: Tensor, weight: Tensor) -> None:
    """Look at the shape, then at what the future moved, then at the values."""
    if not isinstance(answer, Tensor) or not isinstance(moved, Tensor):
        raise NotYetError(f"return a tensor; your function gave back {type(answer).__name__}.")
    wanted = (x.shape[0], weight.shape[0], *x.shape[2:])
    size = f"a kernel of {weight.shape[2]} bins and {weight.shape[3]} frames"
    if tuple(answer.shape) != wanted or moved.shape != answer.shape:
        raise NotYetError(
            f"with {size} the answer has shape {tuple(answer.shape)} instead of {wanted}; pad "
            "half of kernel_freq - 1 below and above, and kernel_frame - 1 before the first frame."
        )
    if not bool(torch.isfinite(answer).all()):
        raise NotYetError("the answer holds NaN or infinity; pad with zeros.")
    change = (moved - answer).abs().amax(dim=(0, 1, 2))  # (frame,)
    first = int((change > 1e-4).float().argmax()) if bool((change > 1e-4).any()) else len(change)
    tall, wide = weight.shape[2:]
    if first < 7:
        swapped = functional.pad(x, (tall // 2, tall // 2, wide - 1, 0))
        if torch.allclose(answer, functional.conv2d(swapped, weight), rtol=1e-3, atol=1e-3):
            raise NotYetError("the pairs of F.pad are swapped: the first is time, the last one.")
        raise NotYetError(
            f"with {size}, a change from frame 7 on already moved frame {first} of the answer: it "
            "looks ahead; put all of the padding of time before the first frame."
        )
    if first > 7:
        raise NotYetError(
            f"with {size}, a change from frame 7 on first shows in frame {first} of the answer: "
            "the present frame must count too; pad kernel_frame - 1 frames and no more."
        )
    padding = (wide - 1, 0, tall // 2, tall // 2)
    right = functional.conv2d(functional.pad(x, padding), weight)
    if torch.allclose(answer, right, rtol=1e-3, atol=1e-3):
        return
    flipped = functional.conv2d(functional.pad(x, padding), weight.flip(2, 3))
    if torch.allclose(answer, flipped, rtol=1e-3, atol=1e-3):
        raise NotYetError("the weight is turned round; nn.functional.conv2d takes it as it is.")
    raise NotYetError(
        f"with {size} no future is seen, but the values are not those of the convolution; pad "
        "with zeros, equally below and above, and call nn.functional.conv2d once."
    )


def _check_join(answer: object, x: Tensor, skip: Tensor) -> None:
    """Look at the shape, then at both halves."""
    if not isinstance(answer, Tensor):
        raise NotYetError(f"return a tensor; your function gave back {type(answer).__name__}.")
    extra = skip.shape[-1] - x.shape[-1]
    right = torch.cat([x, skip[..., extra:]], dim=1)
    case = f"with an x of shape {tuple(x.shape)} and a skip of shape {tuple(skip.shape)}"
    if torch.equal(answer, x) or torch.equal(answer, skip):
        raise NotYetError("that is one of the two unchanged; torch.cat joins them along dim=1.")
    if answer.shape != right.shape:
        frequencies = (x.shape[0], x.shape[1], 2 * x.shape[2], x.shape[3])
        if tuple(answer.shape) == frequencies or answer.shape == x.shape:
            hint = "join the channels, dim=1, and leave rows and frames as they are"
        elif answer.shape[-1] != x.shape[-1]:
            hint = f"the result has {x.shape[-1]} frames, those of x; skip has {extra} more"
        else:
            hint = "the channels of both stand one after the other"
        raise NotYetError(
            f"{case} the answer has shape {tuple(answer.shape)} instead of "
            f"{tuple(right.shape)}; {hint}."
        )
    if torch.equal(answer, right):
        return
    if torch.equal(answer, torch.cat([skip[..., extra:], x], dim=1)):
        raise NotYetError("the channels of x come first, those of skip second.")
    own, joined = answer[:, : x.shape[1]], answer[:, x.shape[1] :]
    if torch.equal(own, x) and torch.equal(joined, skip[..., : x.shape[-1]]):
        raise NotYetError(
            f"{case} you cut the end off, so the skip comes {extra} frames late; its extra frames "
            "stand at the beginning."
        )
    if torch.equal(own, x):
        raise NotYetError(
            f"{case} x is right, and the channels of skip are not its last {x.shape[-1]} frames."
        )
    raise NotYetError(f"{case} the values are not those of the two; only cut and torch.cat.")


def _check_cost(
    answer: object, in_channels: int, out_channels: int, kernel: Kernel, output_size: Kernel
) -> None:
    """Compare both counts of one layer, and name the factor that is missing."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYetError(f"return two numbers, (parameters, multiply_adds), not {answer!r}.")
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in answer):
        raise NotYetError(f"counts are whole numbers, and your function gave {answer!r}.")
    area = kernel[0] * kernel[1]
    places = output_size[0] * output_size[1]
    weights = out_channels * in_channels * area
    layer = (
        f"for {in_channels} to {out_channels} channels, kernel {kernel} and output {output_size}"
    )
    parameters, multiply_adds = answer
    if (multiply_adds, parameters) == (weights + out_channels, weights * places):
        raise NotYetError("the two are the wrong way round: parameters first.")
    if parameters != weights + out_channels:
        hint = {
            weights: "each output channel also has one bias",
            weights + 1: "each output channel has a bias of its own",
            weights + in_channels: "the biases belong to the output channels",
            weights + in_channels * out_channels: "a bias belongs to an output channel, not to "
            "each of its kernels",
            out_channels * (area + 1): "each output channel looks at all input channels",
            in_channels * (area + 1): "each output channel has a kernel for every input channel",
            weights // kernel[0] + out_channels: "a kernel is as tall as kernel[0], too",
            weights // kernel[1] + out_channels: "a kernel is as wide as kernel[1], too",
            out_channels * in_channels * sum(kernel) + out_channels: "a kernel is a rectangle: "
            "its two sides are multiplied",
            (weights + out_channels) * places: "the same kernel is used in every place: that is "
            "the point of a convolution",
        }.get(parameters, "think of the shape of the weight of nn.Conv2d")
        raise NotYetError(
            f"{layer} there are {weights + out_channels} parameters and you say {parameters}; "
            f"{hint}."
        )
    if multiply_adds != weights * places:
        hint = {
            weights: "every place of the output costs that much",
            2 * weights * places: "a multiplication with its addition counts as one here",
            (weights + out_channels) * places: "a bias is added, and never multiplied",
            weights + out_channels: "the kernel is used once for every place of the output",
            weights * output_size[0]: "the output has frames, too",
            weights * output_size[1]: "the output has rows of frequency, too",
            weights * places // out_channels: "every output channel costs that much",
            weights * places // in_channels: "every input channel costs that much",
        }.get(multiply_adds, "ask how often each number of a kernel is used")
        raise NotYetError(
            f"{layer} there are {weights * places} multiply-adds and you say {multiply_adds}; "
            f"{hint}."
        )
