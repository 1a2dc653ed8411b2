"""Say in words what is still wrong with a pair, and what mends it."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from course_utils.levels import SILENCE_PEAK
from course_utils.preprocessing import centred, cross_correlation
from course_utils.validate import validate_integer, validate_waveform

_CLIP_RUN = 4  # samples in a row at the very same extreme value
_CLIP_LEVEL = 0.05  # softer plateaus are the steps of 16-bit numbers
_OFFSET_LIMIT = 0.01  # of full scale
_MIN_CORRELATION = 0.25
_MAX_DELAY = 0.5  # seconds; a later partner is taken for another sentence

# Delays are measured in short windows all along the pair, where somebody speaks.
_WINDOW = 0.75  # seconds
_MAX_WINDOWS = 24
_SPOKEN = 0.4  # of the RMS of the whole clip
_MIN_PLACES = 4
_NEAR = 0.75  # samples: so far from the line a delay still lies on it
_MIN_SHARE = 0.6  # of the delays must lie on a line or on two steps
_MIN_DRIFT = 1.0  # samples from one end to the other
_MIN_JUMP = 2.0  # samples
_MAX_PPM = 2000.0

# One gain is judged by how well it explains the pair, frame by frame.
_FRAME = 0.064  # seconds
_GAIN_TOLERANCE_DB = 0.25
_GAIN_ERRORS = 4.0  # standard errors; chance makes noise look a little like the voice
_SWAPPED_RATIO = 1.5
_NO_NOISE_DB = 60.0


class _Places(NamedTuple):
    """Delays of noisy, measured at several moments; each tensor has shape (place,)."""

    moments: Tensor  # middle of the window, in samples of clean
    delays: Tensor  # in samples, with a fraction
    size: int  # length of a window in samples
    matches: Tensor  # correlation there, -1 to 1; negative where noisy is upside down


class _Drift(NamedTuple):
    """A straight line through the delays."""

    ppm: float
    at_start: float  # samples
    at_end: float


class _Jump(NamedTuple):
    """Two constant delays, and the moment where one ends and the other begins."""

    moment: float  # samples
    before: float
    after: float


def check_pair(
    noisy: Tensor, clean: Tensor, *, noisy_sample_rate: int, clean_sample_rate: int
) -> list[str]:
    """Say in words what is still wrong with a pair; an empty list means it is fine.

    Looked at, in this order: kind of samples, NaN, sample rate, channels, length; then silence,
    clipping, DC offset; then whether both hold the same speech, polarity, clock drift, lost
    samples, delay; and, once the two line up, whether they differ at all, whether they are
    swapped, and a gain on one member alone. Every sentence ends with the repair. One repair may
    bring the next fault to light, so check again after each.

    Whether both line up is measured by cross-correlation, over the whole pair and in windows of
    0.75 s; drift counts from one sample between the ends of the pair, a gain from 0.25 dB or
    from four standard errors, whichever is more. Drift and lost samples show only where at least
    four windows hold speech, so in clips of some three seconds or more. Noise of more
    than ten times the power of the voice can hide the voice from these measurements.

    Args:
        noisy: Tensor (channel, time).
        clean: Tensor (channel, time).
        noisy_sample_rate: Rate of `noisy` in Hz.
        clean_sample_rate: Rate of `clean` in Hz.

    Returns:
        One sentence for each problem found.

    Raises:
        TypeError: A rate that is not an integer.
        ValueError: A rate below 1.

    Notebook: 01, 02
    """
    validate_integer(noisy_sample_rate, "noisy_sample_rate", minimum=1)
    validate_integer(clean_sample_rate, "clean_sample_rate", minimum=1)
    problems = _sample_problems(noisy, "noisy") + _sample_problems(clean, "clean")
    if problems:
        return problems
    problems = _shape_problems(noisy, clean, noisy_sample_rate, clean_sample_rate)
    levels = _level_problems(noisy, "noisy") + _level_problems(clean, "clean")
    if noisy_sample_rate != clean_sample_rate or noisy.shape[0] != clean.shape[0]:
        return problems + levels
    matches = _match_problems(noisy, clean, noisy_sample_rate, judge_gain=not levels)
    return problems + levels + matches


def _sample_problems(waveform: Tensor, name: str) -> list[str]:
    """Turn what `validate_waveform` refuses into a list of problems."""
    try:
        validate_waveform(waveform, name=name)
    except (TypeError, ValueError) as error:
        return [str(error)]
    if waveform.ndim != 2:
        return [f"{name} has shape {tuple(waveform.shape)}: bring it to (channel, time)."]
    return []


def _shape_problems(noisy: Tensor, clean: Tensor, noisy_rate: int, clean_rate: int) -> list[str]:
    """Compare rates, channels and lengths."""
    problems = []
    if noisy_rate != clean_rate:
        problems.append(
            f"The sample rates differ, {noisy_rate} Hz for noisy and {clean_rate} Hz for clean: "
            "resample one of them."
        )
    if noisy.shape[0] != clean.shape[0]:
        problems.append(
            f"The channels differ, {noisy.shape[0]} in noisy and {clean.shape[0]} in clean: "
            "fold both to mono."
        )
    if noisy.shape[1] != clean.shape[1] and noisy_rate == clean_rate:
        problems.append(
            f"noisy is {noisy.shape[1]} samples long and clean {clean.shape[1]}: "
            "align them and cut both to one length."
        )
    return problems


def _level_problems(waveform: Tensor, name: str) -> list[str]:
    """Look for clipping and a DC offset in one member."""
    peak = float(waveform.abs().max())
    if peak < SILENCE_PEAK:
        return [f"{name} is silent: leave the pair out or find the recording."]
    problems = []
    flat = waveform.abs() >= peak * (1 - 1e-6)
    long_enough = flat.shape[-1] >= _CLIP_RUN
    if peak > 1.0:
        problems.append(
            f"{name} reaches {peak:.2f}, beyond full scale: scale both members by one gain."
        )
    elif peak > _CLIP_LEVEL and long_enough and bool(flat.unfold(-1, _CLIP_RUN, 1).all(-1).any()):
        problems.append(
            f"{name} is clipped, {int(flat.sum())} samples lie flat at its peak of {peak:.2f}: "
            "record it again at a lower level."
        )
    offset = float(waveform.mean(-1).abs().max())
    if offset > _OFFSET_LIMIT:
        problems.append(
            f"{name} has a DC offset of {offset:.3f}: subtract the mean of each channel."
        )
    return problems


def _match_problems(
    noisy: Tensor, clean: Tensor, sample_rate: int, *, judge_gain: bool
) -> list[str]:
    """Ask whether noisy holds the speech of clean, at the same time and with the same gain."""
    limit = round(_MAX_DELAY * sample_rate)
    try:
        lags, correlation = cross_correlation(noisy, clean, limit)
    except ValueError:  # one member is silent or constant, and that has been reported
        return []
    places = _measure_delays(noisy, clean, sample_rate)
    drift = _find_drift(places, clean.shape[-1])
    jump = _find_jump(places)
    best = int(correlation.abs().argmax())
    strongest = float(correlation[best])
    # Where the clocks drift, no single lag fits, so the line through many counts too.
    if abs(strongest) < _MIN_CORRELATION and drift is None and jump is None:
        return [
            f"noisy and clean hardly resemble each other (correlation {strongest:.2f}): "
            "check that both files hold the same sentence."
        ]
    problems = []
    is_inverted = float(places.matches.sum()) < 0 if len(places.matches) else strongest < 0
    if is_inverted:
        problems.append(
            "noisy is upside down, its polarity is inverted: multiply one of the two by -1."
        )
    delay = int(lags[best])
    length = min(noisy.shape[-1], clean.shape[-1])
    first = centred(noisy[..., :length])
    second = centred(clean[..., :length])
    if is_inverted:
        first = -first
    frame_length = max(1, min(round(_FRAME * sample_rate), length // 8))
    if delay == 0 and _are_swapped(first, second, frame_length):
        return [
            *problems,
            "The sides are swapped, clean holds the noise and noisy does not: exchange the two.",
        ]
    line_up = _line_up_problem(drift, jump, delay, sample_rate)
    if line_up:
        return [*problems, line_up]
    if _are_equal(first, second):
        problems.append(
            "noisy and clean are the same recording, no noise was added: find the noisy file, or "
            "mix noise into it."
        )
    elif judge_gain:  # a clipped member has another gain wherever it is clipped
        problems += _gain_problems(first, second, frame_length)
    return problems


def _line_up_problem(drift: _Drift | None, jump: _Jump | None, delay: int, sample_rate: int) -> str:
    """Name what keeps sample n of both from being one moment; empty if nothing does."""
    if jump is not None:
        return (
            f"noisy comes {jump.before:z.1f} samples late before "
            f"{jump.moment / sample_rate:.2f} s and {jump.after:z.1f} after it, samples were "
            "lost or added there: cut both clips in two at that moment and align each part."
        )
    if drift is not None:
        return (
            f"noisy comes {drift.at_start:z.1f} samples late at the start and "
            f"{drift.at_end:z.1f} at the end, its clock drifts by {drift.ppm:.1f} ppm: "
            f"use correct_drift(noisy, {drift.ppm:.1f}), then check again."
        )
    if delay:
        side = "later" if delay > 0 else "earlier"
        unit = "sample" if abs(delay) == 1 else "samples"
        return (
            f"noisy comes {abs(delay)} {unit} ({1000 * abs(delay) / sample_rate:.1f} ms) {side} "
            "than clean: align them."
        )
    return ""


def _measure_delays(noisy: Tensor, clean: Tensor, sample_rate: int) -> _Places:
    """Measure the delay in short windows, wherever somebody speaks in clean."""
    num_samples = min(noisy.shape[-1], clean.shape[-1])
    noisy = centred(noisy)
    clean = centred(clean)
    limit = round(_MAX_DELAY * sample_rate)
    size = min(round(_WINDOW * sample_rate), num_samples // 4)
    moments = []
    delays = []
    matches = []
    if size > 1:
        num_windows = min(_MAX_WINDOWS, num_samples // size)
        starts = torch.linspace(0, num_samples - size, num_windows).long().tolist()
        spoken = _SPOKEN * clean.square().mean().sqrt()
        for start in starts:
            window = clean[:, start : start + size]
            around = noisy[:, max(0, start - limit) : start + size + limit]
            if window.square().mean().sqrt() < spoken or around.abs().max() < SILENCE_PEAK:
                continue
            lags, correlation = cross_correlation(around, window)
            lags = lags + max(0, start - limit) - start
            near = lags.abs() <= limit
            moments.append(start + size / 2)
            delays.append(_peak(lags[near], correlation[near]))
            matches.append(float(correlation[near][correlation[near].abs().argmax()]))
    return _Places(
        torch.tensor(moments, dtype=torch.float64),
        torch.tensor(delays, dtype=torch.float64),
        size,
        torch.tensor(matches, dtype=torch.float64),
    )


def _peak(lags: Tensor, correlation: Tensor) -> float:
    """Return the lag of the strongest correlation; a parabola places it between the samples."""
    best = int(correlation.abs().argmax())
    if best in (0, len(lags) - 1):
        return float(lags[best])
    before, top, after = correlation[best - 1 : best + 2].tolist()
    bend = before - 2 * top + after
    return float(lags[best]) + (0.5 * (before - after) / bend if bend else 0.0)


def _find_drift(places: _Places, length: int) -> _Drift | None:
    """Ask whether the delays lie on a line that rises or falls."""
    moments, delays, *_ = places
    if len(moments) < _MIN_PLACES:
        return None
    slope, at_start = _line(places)
    near = _NEAR + abs(slope) * places.size / 2  # a peak is blunt where the delay moves
    share_on_line = float((_distance(places) <= near).double().mean())
    is_clock = 1e6 * abs(slope) <= _MAX_PPM and abs(slope) * length >= _MIN_DRIFT
    if not is_clock or share_on_line < _MIN_SHARE:
        return None
    return _Drift(1e6 * slope, at_start, at_start + slope * length)


def _find_jump(places: _Places) -> _Jump | None:
    """Look for two constant delays, one after the other, that fit better than a line."""
    moments, delays, *_ = places
    if len(moments) < _MIN_PLACES:
        return None
    num_on_line = int((_distance(places) <= _NEAR).sum())
    most = max(num_on_line, _MIN_SHARE * len(delays))
    best = None
    for split in range(2, len(delays) - 1):
        before = float(delays[:split].median())
        after = float(delays[split:].median())
        num_before = int(((delays[:split] - before).abs() <= _NEAR).sum())
        num_after = int(((delays[split:] - after).abs() <= _NEAR).sum())
        is_jump = abs(after - before) >= _MIN_JUMP and min(num_before, num_after) >= 2
        if is_jump and num_before + num_after > most:
            most = num_before + num_after
            moment = float(moments[split - 1] + moments[split]) / 2
            best = _Jump(moment, before, after)
    return best


def _line(places: _Places) -> tuple[float, float]:
    """Lay a line through the delays (Theil and Sen: the median of the slopes of all pairs)."""
    moments, delays, *_ = places
    first, second = torch.combinations(torch.arange(len(moments))).T
    slope = ((delays[second] - delays[first]) / (moments[second] - moments[first])).median()
    return float(slope), float((delays - slope * moments).median())


def _distance(places: _Places) -> Tensor:
    """Measure how far each delay lies from the line, in samples."""
    slope, at_start = _line(places)
    return (places.delays - at_start - slope * places.moments).abs()


def _are_swapped(noisy: Tensor, clean: Tensor, frame_length: int) -> bool:
    """Ask whether noise explains the pair better with the roles exchanged."""
    as_labelled = _left_over(clean, noisy, frame_length)
    turned_round = _left_over(noisy, clean, frame_length)
    return as_labelled > _SWAPPED_RATIO * turned_round and not _are_equal(noisy, clean)


def _are_equal(noisy: Tensor, clean: Tensor) -> bool:
    rest = noisy - _gain_of(clean, noisy) * clean
    return bool(rest.norm() < 10 ** (-_NO_NOISE_DB / 20) * noisy.norm())


def _gain_problems(noisy: Tensor, clean: Tensor, frame_length: int) -> list[str]:
    """Compare the size of the speech on both sides; both are lined up and without mean."""
    gain = _gain_of(clean, noisy)
    error = _gain_error(clean, noisy, frame_length)
    gain_db = 20 * math.log10(max(gain, 1e-10))
    if abs(gain_db) > _GAIN_TOLERANCE_DB and abs(gain - 1) > _GAIN_ERRORS * error:
        return [
            f"The speech is {abs(gain_db):.1f} dB {'louder' if gain > 1 else 'softer'} in noisy "
            f"than in clean, one member alone got a gain: divide noisy by {gain:.3f}."
        ]
    return []


def _gain_of(part: Tensor, whole: Tensor) -> float:
    """Find the gain g for which g * part comes nearest to whole."""
    return float((whole * part).sum() / part.square().sum())


def _frame_products(part: Tensor, whole: Tensor, frame_length: int) -> tuple[Tensor, Tensor]:
    """Return, for each frame, rest * part and the most it could be; rest = whole - gain * part."""
    rest = whole - _gain_of(part, whole) * part
    num_frames = part.shape[-1] // frame_length
    kept = slice(num_frames * frame_length)

    def per_frame(values: Tensor) -> Tensor:
        return values.sum(0)[kept].reshape(num_frames, frame_length).sum(-1)

    products = per_frame(rest * part)
    most = (per_frame(rest.square()) * per_frame(part.square())).sqrt()
    return products, most


def _left_over(part: Tensor, whole: Tensor, frame_length: int) -> float:
    """Measure how much of `part` is left in whole - gain * part, frame by frame, from 0 to 1.

    If whole is part plus noise, one gain removes the part everywhere, and what is left is chance.
    The other way round no gain fits: it leaves voice where the voice is loud, and takes away too
    much where it pauses.
    """
    products, most = _frame_products(part, whole, frame_length)
    return float(products.abs().sum() / most.sum().clamp_min(1e-30))


def _gain_error(part: Tensor, whole: Tensor, frame_length: int) -> float:
    """Estimate the standard error of the gain from how much the frames disagree."""
    products, _ = _frame_products(part, whole, frame_length)
    return float(products.square().sum().sqrt() / part.square().sum())
