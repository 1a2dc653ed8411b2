"""Checks of lesson 1: mix at a ratio, line up a pair, split without a leak."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_utils.exercises.feedback import Feedback, NotYetError, call_answer

_SNR_TOLERANCE_DB = 0.02


def check_mix(mix_by_hand: Callable[[Tensor, Tensor, float], Tensor]) -> Feedback:
    """Check a function that mixes speech and noise at a signal-to-noise ratio.

    Args:
        mix_by_hand: Called as mix_by_hand(clean, noise, snr_db) with two tensors (1, time) and a
            number; returns the noisy tensor (1, time).

    Returns:
        Feedback: what is right, or which mistake the measured ratios point to.

    Notebook: 01
    """
    gains = []
    try:
        for seed, snr_db in enumerate([0.0, 5.0, -5.0, 12.5, 20.0]):
            clean = _sound(seed, level=0.02 + 0.04 * seed, offset=0.1)
            noise = _sound(seed + 50, level=0.3 - 0.05 * seed, offset=0.3)
            noisy = call_answer(mix_by_hand, clean, noise, snr_db)
            gains.append((clean, noise, snr_db, _mixed_gain(noisy, clean, noise)))
        _check_loud_mixture(mix_by_hand)
        for clean, noise, snr_db, gain in gains:
            _check_gain(clean, noise, snr_db, gain, gains)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(True, "five mixtures were measured, and each has the ratio that was asked for.")


def check_line_up(
    line_up: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]],
) -> Feedback:
    """Check a function that finds the delay of a noisy recording and undoes it.

    Args:
        line_up: Called as line_up(noisy, clean, max_delay_samples) with two tensors (1, time) of
            one length, where noisy comes 0 to max_delay_samples later; returns (noisy, clean)
            cut to the part that both have.

    Returns:
        Feedback: what is right, or what is still wrong with the returned pair.

    Notebook: 01
    """
    max_delay = 60
    try:
        for seed, delay in enumerate([17, 0, 60, 1, 42]):
            speech = _sound(seed, num_samples=3000 + max_delay)
            clean = speech[:, max_delay:]
            noisy = speech[:, max_delay - delay : 3000 + max_delay - delay]
            noisy = noisy + 0.3 * _sound(seed + 50, num_samples=3000)
            _check_lined_up(call_answer(line_up, noisy, clean, max_delay), noisy, clean, delay)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(
        True, "five recordings with five delays, and every pair lines up to the sample."
    )


def check_split(
    split_pairs: Callable[[list[dict], set[str], set[str]], tuple[list[dict], list[dict]]],
) -> Feedback:
    """Check a function that splits pairs so that neither voice nor noise leaks.

    Args:
        split_pairs: Called as split_pairs(pairs, test_voices, test_noises) with a list of dicts
            that have "name", "voice" and "noise", and two sets; returns the lists (train, test).

    Returns:
        Feedback: what is right, or which pair is in the wrong place.

    Notebook: 01
    """
    try:
        for seed in range(4):
            draw = random.Random(seed)
            voices = [f"voice {k}" for k in "ABCDE"]
            noises = [f"noise {k}" for k in range(6)]
            pairs = [
                {"name": f"{v[-1]}{n[-1]}_{take}", "voice": v, "noise": n}
                for v in voices
                for n in noises
                for take in range(2)
            ]
            draw.shuffle(pairs)
            test_voices = set(draw.sample(voices, 2))
            test_noises = set(draw.sample(noises, 2))
            answer = call_answer(
                split_pairs, [dict(p) for p in pairs], set(test_voices), set(test_noises)
            )
            _check_parts(answer, pairs, test_voices, test_noises)
    except NotYetError as reason:
        return Feedback(False, str(reason))
    return Feedback(
        True, "no voice and no noise is on both sides, and no usable pair was thrown away."
    )


def _sound(
    seed: int, *, num_samples: int = 4000, level: float = 0.1, offset: float = 0.0
) -> Tensor:
    """Make loud and quiet stretches of noise, (1, num_samples)."""
    generator = torch.Generator().manual_seed(1000 + seed)
    samples = torch.randn(1, num_samples, generator=generator)
    loudness = torch.rand(1, num_samples // 500 + 1, generator=generator)
    envelope = loudness.repeat_interleave(500, dim=1)[:, :num_samples]
    return level * (0.2 + envelope) * samples + offset * level


def _power(waveform: Tensor) -> float:
    return float(waveform.double().square().mean())


def _mixed_gain(noisy: object, clean: Tensor, noise: Tensor) -> float:
    """Return the gain of the noise in the mixture, or say what else is in it."""
    if not isinstance(noisy, Tensor):
        raise NotYetError(f"your function gives back a {type(noisy).__name__}; return a tensor.")
    if noisy.shape != clean.shape:
        raise NotYetError(
            f"the mixture has shape {tuple(noisy.shape)} and the speech {tuple(clean.shape)}; "
            "they must be equal."
        )
    if not bool(torch.isfinite(noisy).all()):
        raise NotYetError("the mixture holds NaN or infinity; look for a division by zero.")
    parts = torch.stack([clean.flatten(), noise.flatten()], dim=1).double()  # (time, 2)
    target = noisy.double().reshape(-1, 1)
    speech_gain, noise_gain = torch.linalg.lstsq(parts, target).solution.flatten().tolist()
    rest = target - parts @ torch.tensor([[speech_gain], [noise_gain]], dtype=torch.float64)
    if _power(rest) > 1e-6 * _power(target):
        raise NotYetError(
            "the mixture is more than speech plus scaled noise; return clean + gain * noise and "
            "nothing else."
        )
    if abs(speech_gain) < 1e-3:
        raise NotYetError("there is no speech in the mixture; return clean + gain * noise.")
    if abs(speech_gain - 1) > 1e-3:
        raise NotYetError(
            f"the speech came out scaled by {speech_gain:.3g}; leave it alone, because it is the "
            "target, and scale only the noise."
        )
    return noise_gain


def _check_gain(
    clean: Tensor, noise: Tensor, snr_db: float, gain: float, gains: Sequence[tuple]
) -> None:
    """Compare one gain with the right one; on a mismatch look for a known mistake in all."""
    asked = _mistakes(clean, noise, snr_db)["right"]
    if abs(gain) < 1e-9 * asked:
        raise NotYetError("there is no noise in the mixture; check that gain is not zero.")
    measured_db = snr_db + 20 * torch.log10(torch.tensor(asked / abs(gain))).item()
    if abs(measured_db - snr_db) <= _SNR_TOLERANCE_DB:
        return
    raise NotYetError(
        f"asked for {snr_db:g} dB, measured {measured_db:.2f} dB; {_hint_about(gains)}."
    )


def _check_loud_mixture(mix_by_hand: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Let speech and noise go past full scale together: an answer that then steps in is wrong."""
    clean = _sound(7, level=0.9)
    noise = _sound(57, level=0.9)
    noisy = call_answer(mix_by_hand, clean, noise, 0.0)
    if isinstance(noisy, Tensor) and noisy.shape == clean.shape and float(noisy.abs().max()) <= 1:
        raise NotYetError(
            "this mixture goes past full scale, and you cut it off or turned it down to 1; return "
            "clean + gain * noise as it is, because both members of a pair are scaled later, "
            "together."
        )
    _mixed_gain(noisy, clean, noise)


def _hint_about(gains: Sequence[tuple]) -> str:
    """Name the mistake that explains all the gains, or say where to look."""
    for name in _mistakes(*gains[0][:3]):
        if all(abs(abs(g) / _mistakes(c, n, s)[name] - 1) < 1e-3 for c, n, s, g in gains):
            return name
    # What must not depend on the case, and does not depend on what it should: the measured
    # ratio on snr_db, or the level of the noise on the two recordings.
    powers = [_power(c) / (g**2 * _power(n)) for c, n, _, g in gains]
    if max(powers) < 1.001 * min(powers):
        return "it comes out the same whatever is asked for, so use the argument snr_db"
    levels = [g * 10 ** (s / 20) for _, _, s, g in gains]
    if max(levels) < min(levels) + 1e-3 * abs(min(levels)):
        return (
            "your gain is the same for quiet and loud recordings; work out both powers inside the "
            "function, from its arguments clean and noise"
        )
    return "compare your gain with the formula, factor by factor"


def _mistakes(clean: Tensor, noise: Tensor, snr_db: float) -> dict[str, float]:
    """List the right gain and the gains of well-known mistakes, each under its hint."""
    c, n = clean.double(), noise.double()
    power = _power(clean) / _power(noise)
    return {
        "right": power**0.5 * 10 ** (-snr_db / 20),
        "your gain is still 1, so the ratio is whatever the two recordings happen to have": 1.0,
        "the gain multiplies samples, not power, so divide snr_db by 20 and not by 10": (
            power**0.5 * 10 ** (-snr_db / 10)
        ),
        "the sign is turned round: more decibels must mean less noise": (
            power**0.5 * 10 ** (snr_db / 20)
        ),
        "the ratio of the powers needs a square root before it multiplies samples": (
            power * 10 ** (-snr_db / 20)
        ),
        "that is the ratio of powers; take the square root of all of it to get the gain": (
            power * 10 ** (-snr_db / 10)
        ),
        "under the square root snr_db is divided by 10; the 20 belongs to a gain without a root": (
            power**0.5 * 10 ** (-snr_db / 40)
        ),
        "your gain is upside down; the power of the speech belongs above the line": (
            power**-0.5 * 10 ** (snr_db / 20)
        ),
        "the levels of the two recordings are missing: divide power by power first": (
            10 ** (-snr_db / 20)
        ),
        "the power of the noise belongs below the line, and that of the speech above it": (
            power**-0.5 * 10 ** (-snr_db / 20)
        ),
        "power is the mean of the squares; a standard deviation leaves the offset out": (
            float(c.std() / n.std()) * 10 ** (-snr_db / 20)
        ),
        "power is the mean of the squares, not of the absolute values": (
            float(c.abs().mean() / n.abs().mean()) * 10 ** (-snr_db / 20)
        ),
        "power is the mean of the squares, not the largest sample": (
            float(c.abs().max() / n.abs().max()) * 10 ** (-snr_db / 20)
        ),
    }


def _check_lined_up(answer: object, noisy: Tensor, clean: Tensor, delay: int) -> None:
    """Compare a returned pair with the two pieces that belong together."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYetError(
            f"your function gives back {type(answer).__name__}; return two tensors: noisy, clean."
        )
    if not all(isinstance(part, Tensor) and part.dim() == 2 for part in answer):
        raise NotYetError("both returned parts must be tensors of shape (1, time).")
    got_noisy, got_clean = answer
    length = clean.shape[-1]
    if got_clean.shape[-1] == 0 and got_noisy.shape[-1] > 0:
        raise NotYetError(
            "with a lag of 0 nothing is left of clean, because clean[:, :-0] is empty; cut with "
            "clean[:, : length - lag]."
        )
    if got_noisy.shape != got_clean.shape:
        raise NotYetError(
            f"noisy has shape {tuple(got_noisy.shape)} and clean {tuple(got_clean.shape)}; after "
            "cutting the start of noisy, cut as much off the end of clean."
        )
    want_noisy = noisy[:, delay:]
    want_clean = clean[:, : length - delay]
    if torch.equal(got_noisy, want_noisy) and torch.equal(got_clean, want_clean):
        return
    if torch.equal(got_noisy, want_clean) and torch.equal(got_clean, want_noisy):
        raise NotYetError("the pair lines up, but its order is turned round; return noisy, clean.")
    if got_noisy.shape[-1] == length:
        raise NotYetError(
            f"noisy came {delay} samples late and both parts still have all {length} samples; "
            "rolling or padding leaves ends without a partner, so cut them off."
        )
    kept = got_noisy.shape[-1]
    if kept < length - delay and _is_lined_up(got_noisy, got_clean, noisy, clean, delay):
        raise NotYetError(
            f"the pair lines up, but only {kept} samples of it are left, and {length - delay} have "
            "a partner; cut off no more than the delay."
        )
    cut = length - kept
    if cut != delay:
        raise NotYetError(
            f"noisy came {delay} samples late and you cut {cut}; try every lag from 0 up to and "
            "including max_delay_samples, and keep the one with the largest sum."
        )
    raise NotYetError(
        f"the delay of {delay} samples is right, but the wrong ends were cut: late means that the "
        "start of noisy has no partner, and neither has the end of clean."
    )


def _is_lined_up(
    got_noisy: Tensor, got_clean: Tensor, noisy: Tensor, clean: Tensor, delay: int
) -> bool:
    """Ask whether a shorter pair was cut out of the right one, at any place."""
    kept = got_noisy.shape[-1]
    for start in range(noisy.shape[-1] - delay - kept + 1):
        late = noisy[:, start + delay : start + delay + kept]
        if torch.equal(got_noisy, late):
            return torch.equal(got_clean, clean[:, start : start + kept])
    return False


def _check_parts(
    answer: object, pairs: list[dict], test_voices: set[str], test_noises: set[str]
) -> None:
    """Look at where every pair went."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise NotYetError(
            f"your function gives back {type(answer).__name__}; return two lists: train, test."
        )
    try:
        train, test = ([pair["name"] for pair in part] for part in answer)
    except (TypeError, KeyError):
        raise NotYetError(
            "both returned parts must be lists of the pairs you were given."
        ) from None
    if len(set(train)) < len(train) or len(set(test)) < len(test):
        raise NotYetError("a pair stands twice in one list; go through the pairs once.")
    strangers = set(train + test) - {pair["name"] for pair in pairs}
    if strangers:
        raise NotYetError(f"{min(strangers)} is none of the pairs you were given.")
    for pair in pairs:
        name = pair["name"]
        new = (pair["voice"] in test_voices) + (pair["noise"] in test_noises)
        is_known = f"pair {name} ({pair['voice']}, {pair['noise']})"
        if name in train and new:
            what = "voice" if pair["voice"] in test_voices else "noise"
            raise NotYetError(
                f"{is_known} is in train, but its {what} is kept for the test: a leak."
            )
        if name in test and new < 2:
            what = "noise" if pair["voice"] in test_voices else "voice"
            raise NotYetError(
                f"{is_known} is in test, but its {what} is one of the training ones: a leak. "
                "Half-new pairs belong to neither side."
            )
        if name not in train and new == 0 or name not in test and new == 2:
            raise NotYetError(
                f"{is_known} is missing from {'test' if new else 'train'}, where it could be used "
                "without a leak."
            )
