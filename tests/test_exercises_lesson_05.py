"""The checks of lesson 5: right answers pass, each usual mistake gets its own sentence."""

import copy

import pytest
import torch
from answers import SHARED_MISTAKES, assert_says

from course_utils.exercises.lesson_05 import (
    check_random_crop,
    check_train_step,
    check_validation_loss,
)
from course_utils.training import evaluate_loss

# --- the same window -----------------------------------------------------------------------


def draw(high, generator):
    return int(torch.randint(high, (), generator=generator))


def right_crop(noisy, clean, length, generator):
    start = draw(noisy.shape[-1] - length + 1, generator)
    return noisy[:, start : start + length], clean[:, start : start + length]


def crop_by_permutation(noisy, clean, length, generator):
    start = torch.randperm(noisy.shape[-1] - length + 1, generator=generator)[0]
    return [x[..., start : start + length] for x in (noisy, clean)]


def two_starts(noisy, clean, length, generator):
    a, b = (draw(noisy.shape[-1] - length + 1, generator) for _ in range(2))
    return noisy[:, a : a + length], clean[:, b : b + length]


def no_generator(noisy, clean, length, generator):
    return right_crop(noisy, clean, length, None)


def own_seed(noisy, clean, length, generator):
    return right_crop(noisy, clean, length, torch.Generator().manual_seed(1))


def never_the_end(noisy, clean, length, generator):
    return right_crop(noisy[:, : max(length, noisy.shape[-1] - 1)], clean, length, generator)


def never_the_beginning(noisy, clean, length, generator):
    return right_crop(noisy[:, 1:], clean[:, 1:], length, generator)


def one_place_too_few(noisy, clean, length, generator):
    start = draw(noisy.shape[-1] - length, generator)
    return noisy[:, start : start + length], clean[:, start : start + length]


def wrong_axis_counted(noisy, clean, length, generator):
    start = draw(len(noisy) - length + 1, generator)
    return noisy[:, start : start + length], clean[:, start : start + length]


def past_the_end(noisy, clean, length, generator):
    start = draw(noisy.shape[-1], generator)
    return noisy[:, start : start + length], clean[:, start : start + length]


def in_place(noisy, clean, length, generator):
    noisy *= 1.5
    return right_crop(noisy, clean, length, generator)


@pytest.mark.parametrize("answer", [right_crop, crop_by_permutation])
def test_right_crop_passes(answer):
    feedback = check_random_crop(answer)
    assert feedback.passed, feedback


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda n, c, length, g: (n[:, :length], c[:, :length]), "always starts at sample 0"),
        (lambda n, c, length, g: (n[:, -length:], c[:, -length:]), "gives the same window"),
        (lambda n, c, length, g: right_crop(n, c, length, g)[::-1], "noisy first and clean second"),
        (lambda n, c, length, g: right_crop(n, c, length, g)[0], "return two tensors"),
        (lambda n, c, length, g: (n, c), "should have shape (1, 9)"),
        (lambda n, c, length, g: right_crop(n[0], c[0], length, g), "stopped with IndexError"),
        (lambda n, c, length, g: ("a", "b"), "yours is str"),
        (lambda n, c, length, g: right_crop(2 * n, c, length, g), "unchanged"),
        (two_starts, "torn apart"),
        (no_generator, "the same seed gave two different windows"),
        (own_seed, "gives the same window"),
        (never_the_end, "never starts at 3; torch.randint leaves its upper end out"),
        (never_the_beginning, "never starts at 0; torch.randint begins at 0"),
        (one_place_too_few, "never starts at 3; torch.randint leaves its upper end out"),
        (wrong_axis_counted, "count them with noisy.shape[-1]"),
        (past_the_end, "ran past the end of the clip"),
        (in_place, "changed one of its inputs"),
    ],
)
def test_wrong_crop_gets_its_sentence(answer, message):
    assert_says(check_random_crop(answer), message)


# --- one step ------------------------------------------------------------------------------


def make_step(order, *, swap=False, tensor=False, late=False):
    """Write a training step with its lines in any order: z, f (with the loss), b, s."""

    def step(model, optimizer, loss_fn, noisy, clean):
        def forward():
            estimate = model(noisy)
            if swap:
                return loss_fn(clean, estimate)
            return loss_fn(estimate, clean)

        loss = torch.zeros(())
        for letter in order:
            if letter == "z":
                optimizer.zero_grad()
            if letter == "f":
                loss = forward()
            if letter == "b":
                loss.backward(retain_graph=True)
            if letter == "s":
                optimizer.step()
        loss = forward() if late else loss
        return loss if tensor else loss.item()

    return step


def learn_from(given, wanted):
    """Write a right step whose model sees one side of the pair and whose loss the other."""

    def step(model, optimizer, loss_fn, noisy, clean):
        sides = {"noisy": noisy, "clean": clean}
        return make_step("zfbs")(model, optimizer, loss_fn, sides[given], sides[wanted])

    return step


def one_number_only(model, optimizer, loss_fn, noisy, clean):
    make_step("zfbs")(model, optimizer, loss_fn, noisy, clean)
    return torch.zeros(2)


def detached(*arguments):
    return make_step("zfbs", tensor=True)(*arguments).detach()


def in_eval_mode(model, optimizer, loss_fn, noisy, clean):
    model.eval()
    return make_step("zfbs")(model, optimizer, loss_fn, noisy, clean)


def back_in_time(model, optimizer, loss_fn, noisy, clean):
    model.eval()
    result = make_step("zfbs")(model, optimizer, loss_fn, noisy, clean)
    model.train()
    return result


def left_in_eval_mode(model, optimizer, loss_fn, noisy, clean):
    result = make_step("zfbs")(model, optimizer, loss_fn, noisy, clean)
    model.eval()
    return result


def says_train_first(model, optimizer, loss_fn, noisy, clean):
    model.train()
    return make_step("zfbs")(model, optimizer, loss_fn, noisy, clean)


def too_far(model, optimizer, loss_fn, noisy, clean):
    optimizer.param_groups[0]["lr"] = 0.3
    return make_step("zfbs")(model, optimizer, loss_fn, noisy, clean)


@pytest.mark.parametrize("order", ["zfbs", "fzbs", "fbsz", "zfbsz"])
def test_right_steps_pass(order):
    feedback = check_train_step(make_step(order))
    assert feedback.passed, feedback


@pytest.mark.parametrize("answer", [detached, says_train_first])
def test_a_detached_loss_and_a_mode_that_was_set_pass(answer):
    assert check_train_step(answer).passed


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (make_step("f"), "there is no gradient"),
        (make_step("fs"), "there is no gradient"),
        (make_step("zfb"), "end with optimizer.step()"),
        (make_step("fbzs"), "clear the old ones first"),
        (make_step("zfsb"), "end with optimizer.step()"),
        (make_step("fbs"), "in step 2 the weights go wrong: the gradients of earlier steps"),
        (make_step("sfb"), "after loss.backward()"),
        (make_step("zfbss"), "the step is twice as long"),
        (make_step("zfbbs"), "the step is twice as long"),
        (make_step("zfbs", swap=True), "estimate and reference are swapped"),
        (learn_from("noisy", "noisy"), "write loss_fn(estimate, clean)"),
        (learn_from("clean", "noisy"), "write loss_fn(estimate, clean)"),
        (learn_from("clean", "clean"), "call model(noisy)"),
        (make_step("zfbs", tensor=True), "return loss.item()"),
        (make_step("zfbs", late=True), "return the loss that you called backward on"),
        (one_number_only, "yours has shape (2,)"),
        (in_eval_mode, "leave the mode alone"),
        (back_in_time, "leave the mode alone"),
        (left_in_eval_mode, "leave the mode alone"),
        (too_far, "order is zero_grad, forward, loss, backward, step"),
        (lambda *a: str(make_step("zfbs")(*a)), "not str"),
        (lambda m, o, f, x, y: f(m(x)).item(), "stopped with TypeError"),
    ],
)
def test_wrong_steps_get_their_sentence(answer, message):
    assert_says(check_train_step(answer), message)


# --- measuring without learning ------------------------------------------------------------


def make_measure(*, evaluate=True, no_grad=True, restore=True, combine=None, learn=False):
    def measure(model, loss_fn, batches):
        was_training = model.training
        if evaluate:
            model.eval()
        with torch.set_grad_enabled(not no_grad):
            losses = [loss_fn(model(x), y).item() for x, y in batches]
        if learn:
            with torch.no_grad():
                next(model.parameters()).add_(1.0)
        if restore == "train":
            model.train()
        elif restore:
            model.train(was_training)
        return combine(losses) if combine else sum(losses) / len(losses)

    return measure


def swapped(model, loss_fn, batches):
    return make_measure()(
        model,
        lambda estimate, reference: loss_fn(reference, estimate),
        batches,
    )


def switched_off_for_good(model, loss_fn, batches):
    torch.set_grad_enabled(False)
    model_was_training = model.training
    model.eval()
    losses = [loss_fn(model(x), y).item() for x, y in batches]
    model.train(model_was_training)
    return sum(losses) / len(losses)


def with_inference_mode(model, loss_fn, batches):
    with torch.inference_mode():
        return make_measure()(model, loss_fn, batches)


def on_a_copy(model, loss_fn, batches):
    measured = copy.deepcopy(model)
    measured.eval()
    with torch.no_grad():
        losses = [loss_fn(measured(x), y).item() for x, y in batches]
    return sum(losses) / len(losses)


def on_a_training_copy(model, loss_fn, batches):
    measured = copy.deepcopy(model)
    measured.train()
    with torch.no_grad():
        losses = [loss_fn(measured(x), y).item() for x, y in batches]
    return sum(losses) / len(losses)


@pytest.mark.parametrize(
    "answer",
    [
        make_measure(),
        on_a_copy,
        make_measure(combine=lambda losses: torch.tensor(losses).mean()),
        with_inference_mode,
        lambda model, loss_fn, batches: evaluate_loss(model, batches, loss_fn),
    ],
)
def test_right_measures_pass(answer):
    feedback = check_validation_loss(answer)
    assert feedback.passed, feedback


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *SHARED_MISTAKES,
        (lambda *_: 0.5, "never called"),
        (make_measure(evaluate=False), "measured in training mode"),
        (on_a_training_copy, "measured in training mode"),
        (make_measure(no_grad=False), "torch.no_grad()"),
        (make_measure(restore=False), "came in training mode and left in the other"),
        (make_measure(restore="train"), "came in eval mode and left in the other"),
        (make_measure(learn=True), "must not teach"),
        (make_measure(combine=sum), "this is the sum"),
        (make_measure(combine=lambda losses: losses[-1]), "the last batch alone"),
        (make_measure(combine=lambda losses: losses[0]), "the first batch alone"),
        (make_measure(combine=lambda losses: 2 * losses[0] + 1), "average the loss"),
        (swapped, "estimate and reference are swapped"),
        (switched_off_for_good, "gradients are still switched off"),
        (make_measure(combine=lambda losses: losses), "not list"),
        (make_measure(combine=lambda losses: float("nan")), "came out as nan"),
        (make_measure(combine=lambda losses: torch.tensor(losses)), "yours has shape"),
    ],
)
def test_wrong_measures_get_their_sentence(answer, message):
    assert_says(check_validation_loss(answer), message)
    assert torch.is_grad_enabled()
