"""Checks of lesson 5: one window for both, one step of training, one honest look at the loss.

Notebook: 05
"""

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer

_LEARNING_RATE = 0.1


def check_random_crop(answer: Callable[..., tuple[Tensor, Tensor]]) -> Feedback:
    """Check a function that cuts the same random window out of both members of a pair.

    Args:
        answer: Takes noisy (1, time), clean (1, time), length and a generator; returns both cut.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 05
    """
    try:
        for num_samples, length in ((12, 9), (40, 39), (1000, 16), (10, 10)):
            starts = set()
            for seed in range(100):
                start = _crop(answer, num_samples, length, seed)
                if _crop(answer, num_samples, length, seed) != start:
                    raise NotYetError(
                        "the same seed gave two different windows; hand generator=generator on "
                        "to torch.randint."
                    )
                starts.add(start)
            _check_starts(starts, num_samples, length)
    except NotYetError as error:
        return Feedback(False, str(error))
    return Feedback(True, "one window for both, every window possible, and the seed decides.")


def check_train_step(answer: Callable[..., float]) -> Feedback:
    """Check a function that takes one step of training.

    Args:
        answer: Takes model, optimizer, loss_fn, noisy and clean; returns the loss as a number.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 05
    """
    try:
        for seed in (1, 2, 3):
            _check_steps(answer, seed)
    except NotYetError as error:
        return Feedback(False, str(error))
    return Feedback(True, "four steps of yours land exactly where they should.")


def check_validation_loss(answer: Callable[..., float]) -> Feedback:
    """Check a function that measures the loss without learning.

    Args:
        answer: Takes model, loss_fn and a list of (noisy, clean) batches; returns the mean loss.

    Returns:
        Solved, or a sentence about what is still wrong.

    Notebook: 05
    """
    try:
        for seed, training, num_batches in ((1, True, 3), (2, False, 4), (3, True, 1)):
            _check_validation(answer, seed, training, num_batches)
    except NotYetError as error:
        return Feedback(False, str(error))
    return Feedback(True, "measured with everything switched off, and put back as it was.")


# --- the same window ------------------------------------------------------------------------


def _crop(answer: Callable, num_samples: int, length: int, seed: int) -> int:
    """Cut one window from numbered samples and return where it starts."""
    noisy = torch.arange(num_samples, dtype=torch.float32)[None]  # the value tells the place
    generator = torch.Generator().manual_seed(seed)
    try:
        result = call_answer(answer, noisy, -noisy, length, generator)
    except NotYetError as error:
        if "random_ expects" not in str(error):
            raise
        raise NotYetError(
            f"torch.randint had nothing to choose from, but a clip of {num_samples} samples has "
            f"{num_samples - length + 1} place(s) for a window of {length}; count them with "
            "noisy.shape[-1]."
        ) from error
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotYetError("return two tensors, the noisy window and the clean one.")
    starts = []
    for name, window, sign in zip(("noisy", "clean"), result, (1, -1), strict=True):
        if isinstance(window, Tensor) and window.dim() == 2 and 0 < window.shape[1] < length:
            raise NotYetError(
                f"the {name} window holds {window.shape[1]} samples instead of {length}: it ran "
                "past the end of the clip; draw a start that leaves room for the whole window."
            )
        if not isinstance(window, Tensor) or window.shape != (1, length):
            got = tuple(window.shape) if isinstance(window, Tensor) else type(window).__name__
            raise NotYetError(
                f"the {name} window should have shape (1, {length}), and yours is {got}; cut "
                "with [:, start : start + length]."
            )
        places = sign * window[0]
        if not torch.equal(places, places[0] + torch.arange(length)):
            raise NotYetError(
                f"the {name} window should be {length} neighbouring samples of the {name} clip; "
                "return noisy first and clean second, unchanged."
            )
        starts.append(int(places[0]))
    if starts[0] != starts[1]:
        raise NotYetError(
            f"noisy was cut from sample {starts[0]} and clean from {starts[1]}: the pair is torn "
            "apart; draw one start and use it twice."
        )
    return starts[0]


def _check_starts(starts: set[int], num_samples: int, length: int) -> None:
    """Refuse windows that always lie in one place, or that never reach an end."""
    last = num_samples - length
    if last and starts == {0}:
        raise NotYetError(
            "the window always starts at sample 0, so the rest of the clip is never learned; "
            "draw the start with torch.randint."
        )
    if last and len(starts) == 1:
        raise NotYetError("another seed gives the same window; let the generator draw the start.")
    if last < 10 and starts != set(range(last + 1)):
        missing = max(set(range(last + 1)) - starts)
        hint = "leaves its upper end out" if missing == last else "begins at 0 if given one number"
        raise NotYetError(
            f"a window of {length} samples out of {num_samples} can start anywhere from 0 to "
            f"{last}, and yours never starts at {missing}; torch.randint {hint}."
        )


# --- one step -------------------------------------------------------------------------------


def _check_steps(answer: Callable, seed: int) -> None:
    """Take four steps with the answer, and compare the weights with the right ones after each."""
    model, batches = _material(seed)
    start = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=_LEARNING_RATE)
    fed: list[Tensor] = []
    modes: list[bool] = []
    judged: list[tuple[Tensor, Tensor]] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        fed.append(inputs[0])
        modes.append(module.training)

    model.register_forward_pre_hook(watch)

    def loss_fn(estimate: Tensor, reference: Tensor) -> Tensor:
        judged.append((estimate, reference))
        return _lopsided_loss(estimate, reference)

    for step, (noisy, clean) in enumerate(batches):
        with torch.no_grad():
            before = _lopsided_loss(model(noisy), clean).item()
        fed.clear()
        modes.clear()
        judged.clear()
        result = call_answer(answer, model, optimizer, loss_fn, noisy, clean)
        _check_mode(model, modes)
        _check_roles(fed, judged, noisy, clean)
        _compare_weights(model, start, batches[: step + 1])
        if isinstance(result, Tensor) and result.requires_grad:
            raise NotYetError(
                "the loss you return still holds on to the whole computation; return loss.item()."
            )
        value = _number(result)
        if not math.isclose(value, before, rel_tol=1e-4):
            raise NotYetError(
                f"the weights are right, but you return {value:.4f} where the loss before the "
                f"step was {before:.4f}; return the loss that you called backward on."
            )


def _check_mode(model: nn.Module, modes: Sequence[bool]) -> None:
    """Refuse a step that learns, or leaves the model, in eval mode: it came in training mode."""
    if not all(modes) or not model.training:
        raise NotYetError(
            "the model came in training mode and was switched to eval mode; there Dropout and "
            "BatchNorm do not learn as they should, so leave the mode alone in a training step."
        )


def _check_roles(fed: Sequence, judged: Sequence, noisy: Tensor, clean: Tensor) -> None:
    """Refuse a step that hands the right things to the wrong places."""
    for estimate, reference in judged:
        if reference.requires_grad and not estimate.requires_grad:
            raise NotYetError(
                "estimate and reference are swapped: estimate is what the model made, reference "
                "is clean."
            )
        if not torch.equal(reference, clean):
            raise NotYetError(
                "the loss compares with something else than clean, so the model learns to copy "
                "that; write loss_fn(estimate, clean)."
            )
    if not all(torch.equal(given, noisy) for given in fed):
        raise NotYetError("the model was given something else than noisy; call model(noisy).")


def _compare_weights(model: nn.Module, start: nn.Module, batches: Sequence) -> None:
    """Compare with what the right order of lines gives, then with what each wrong one gives."""
    weights = _flat(model)
    if torch.allclose(weights, _simulate(start, batches, "zfbs"), rtol=1e-4, atol=1e-6):
        return
    if torch.equal(weights, _flat(start)):
        if all(p.grad is None for p in model.parameters()):
            raise NotYetError(
                "nothing was learned, and there is no gradient; clear the old ones first, then "
                "call loss.backward(), then optimizer.step()."
            )
        raise NotYetError(
            "nothing was learned although gradients came in; end with optimizer.step(), after "
            "loss.backward()."
        )
    for order, sentence in (
        ("fbs", "the gradients of earlier steps pile up; start with optimizer.zero_grad()."),
        ("zfbss", "the step is twice as long; call backward once and step once."),
    ):
        if torch.allclose(weights, _simulate(start, batches, order), rtol=1e-4, atol=1e-6):
            raise NotYetError(f"in step {len(batches)} the weights go wrong: {sentence}")
    raise NotYetError(
        f"in step {len(batches)} the weights go wrong; the order is zero_grad, forward, loss, "
        "backward, step, each once."
    )


def _simulate(start: nn.Module, batches: Sequence, order: str) -> Tensor:
    """Train a copy, each step made of: z zero_grad, f forward and loss, b backward, s step."""
    model = copy.deepcopy(start)
    optimizer = torch.optim.SGD(model.parameters(), lr=_LEARNING_RATE)
    for noisy, clean in batches:
        loss = torch.zeros(())
        for letter in order:
            if letter == "z":
                optimizer.zero_grad()
            elif letter == "f":
                loss = _lopsided_loss(model(noisy), clean)
            elif letter == "b":
                loss.backward(retain_graph=True)
            else:
                optimizer.step()
    return _flat(model)


def _lopsided_loss(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compare in a way that is not the same when the two are swapped."""
    return ((estimate - reference) * (1 + reference.square())).square().mean()


def _material(seed: int) -> tuple[nn.Module, list[tuple[Tensor, Tensor]]]:
    """Make a tiny model and four batches (4, 1, 6)."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Linear(6, 6)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    pairs = 0.5 * torch.randn(4, 2, 4, 1, 6, generator=generator)
    return model, [(noisy, clean) for noisy, clean in pairs]


def _flat(model: nn.Module) -> Tensor:
    """Lay all weights into one row."""
    return torch.cat([p.detach().clone().flatten() for p in model.parameters()])


# --- measuring without learning -------------------------------------------------------------


class _Diary:
    """How a model was used; a copy of the model goes on writing in the same one."""

    def __init__(self) -> None:
        self.modes: list[bool] = []
        self.grads: list[bool] = []

    def __deepcopy__(self, memo: dict) -> "_Diary":
        return self


class _Watched(nn.Module):
    """A model with Dropout and BatchNorm that writes down how it, or a copy of it, is used."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(6, 6), nn.Dropout(0.5))
        self.diary = _Diary()

    def forward(self, noisy: Tensor) -> Tensor:
        self.diary.modes.append(any(module.training for module in self.net))
        self.diary.grads.append(torch.is_grad_enabled())
        return self.net(noisy)


def _check_validation(answer: Callable, seed: int, training: bool, num_batches: int) -> None:
    """Measure once with the answer and compare value, mode, gradients and weights."""
    generator = torch.Generator().manual_seed(seed)
    model = _Watched()
    pairs = torch.randn(num_batches, 2, 4, 1, 6, generator=generator)
    batches = [(noisy, clean) for noisy, clean in pairs]
    model.eval()
    with torch.no_grad():
        right = [_lopsided_loss(model(x), y).item() for x, y in batches]
        swapped = [_lopsided_loss(y, model(x)).item() for x, y in batches]
    model.train(training)
    model.diary.modes.clear()
    model.diary.grads.clear()
    before = copy.deepcopy(model.state_dict())
    grad_enabled = torch.is_grad_enabled()
    result = call_answer(answer, model, _lopsided_loss, batches)
    if torch.is_grad_enabled() != grad_enabled:
        torch.set_grad_enabled(grad_enabled)
        raise NotYetError(
            "gradients are still switched off when your function is done, and nothing could be "
            "trained any more; with torch.no_grad(): switches them on again."
        )
    if not model.diary.modes:
        raise NotYetError("the model was never called; compute estimate = model(noisy).")
    if any(model.diary.modes):
        raise NotYetError(
            "the model was measured in training mode, where Dropout deletes and BatchNorm looks "
            "at its neighbours; call model.eval() first."
        )
    if any(model.diary.grads):
        raise NotYetError(
            "PyTorch kept everything for a backward pass that never comes; measure inside "
            "with torch.no_grad()."
        )
    if any(not torch.equal(before[name], value) for name, value in model.state_dict().items()):
        raise NotYetError("the model's weights were changed; measuring must not teach it anything.")
    if model.training != training:
        raise NotYetError(
            f"the model came in {'training' if training else 'eval'} mode and left in the other; "
            "remember model.training at the start and give it to model.train(...) at the end."
        )
    _compare_mean(_number(result), right, swapped)


def _compare_mean(value: float, right: list[float], swapped: list[float]) -> None:
    """Compare with the mean over the batches and with the usual wrong numbers."""
    mean = sum(right) / len(right)
    if math.isclose(value, mean, rel_tol=1e-4):
        return
    hint = "average the loss over the batches."
    if math.isclose(value, sum(right), rel_tol=1e-4):
        hint = "this is the sum; divide it by the number of batches."
    elif math.isclose(value, right[-1], rel_tol=1e-4):
        hint = "this is the last batch alone; collect the losses of all of them."
    elif math.isclose(value, right[0], rel_tol=1e-4):
        hint = "this is the first batch alone; return after the loop, not inside it."
    elif math.isclose(value, sum(swapped) / len(swapped), rel_tol=1e-4):
        hint = "estimate and reference are swapped; reference is clean."
    raise NotYetError(f"yours gives {value:.4f} where {mean:.4f} is right: {hint}")


def _number(result: object) -> float:
    """Turn a result into one finite float, or say why that is impossible."""
    if isinstance(result, bool) or not isinstance(result, float | int | Tensor):
        raise NotYetError(f"return the loss as one number, not {type(result).__name__}.")
    if isinstance(result, Tensor) and result.numel() != 1:
        raise NotYetError(
            f"return the loss as one number, and yours has shape {tuple(result.shape)}."
        )
    value = float(result)
    if not math.isfinite(value):
        raise NotYetError(f"the loss came out as {value}; look for a division by zero.")
    return value
