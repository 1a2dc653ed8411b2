"""Scores that compare an estimate with the clean reference, and tables made of them.

Every score is called by keyword, because most of them change when the two sounds are swapped
and other libraries disagree about the order. Higher is better everywhere.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from course_utils.audio import SAMPLE_RATE
from course_utils.levels import audible_rms
from course_utils.validate import (
    validate_choice,
    validate_integer,
    validate_not_empty,
    validate_number,
    validate_one_channel,
    validate_pair,
)

SCORES = ("pesq", "stoi", "estoi", "si_sdr")
MAX_DB = 100.0
"""snr and si_sdr stop at +100 and -100 dB: a perfect estimate scores 100, not infinity."""

_MIN_STOI_SECONDS = 0.4
_MIN_PESQ_SECONDS = 0.25
# The reference C code keeps room for 50 utterances and writes past the end without a check: a
# long recording ends the whole Python process. 20 s cannot hold more than 50.
_MAX_PESQ_SECONDS = 20.0


def snr(*, estimate: Tensor, reference: Tensor) -> float | Tensor:
    """Signal-to-noise ratio in dB: everything that is not exactly the reference counts as noise.

    Formula: 10 * log10(sum(reference**2) / sum((reference - estimate)**2)), held between
    -100 and 100 dB. The level counts: an estimate that is only quieter loses points.

    Args:
        estimate: What is judged, (..., time).
        reference: The clean sound, the same shape.

    Returns:
        A float for one clip of shape (time,) or (1, time), else a tensor over the leading
        dimensions (...). In dB; a perfect estimate has 100.

    Raises:
        TypeError: Not float tensors.
        ValueError: Empty, not finite, different shapes or devices, or a silent reference.

    Notebook: 06
    """
    estimate, reference, finish = _prepare(estimate, reference)
    audible_rms(reference, "reference")
    noise = reference - estimate
    return finish(_ratio_db(_energy(reference), _energy(noise)))


def si_sdr(*, estimate: Tensor, reference: Tensor) -> float | Tensor:
    """Scale-invariant signal-to-distortion ratio in dB: the SNR after the best possible gain.

    Formula, with both means removed: target = (<estimate, reference> / <reference, reference>)
    * reference; 10 * log10(sum(target**2) / sum((estimate - target)**2)), held between -100 and
    100 dB. Only the angle between the two sounds counts, so swapping them changes nothing, and
    turning the sign round changes nothing either.

    Args:
        estimate: What is judged, (..., time).
        reference: The clean sound, the same shape.

    Returns:
        A float for one clip of shape (time,) or (1, time), else a tensor over the leading
        dimensions (...). In dB; a perfect estimate has 100, a silent one -100.

    Raises:
        TypeError: Not float tensors.
        ValueError: Empty, not finite, different shapes or devices, or a reference without any
            sound.

    Source: Le Roux, Wisdom, Erdogan, Hershey, "SDR - half-baked or well done?", ICASSP 2019.
    Notebook: 06
    """
    estimate, reference, finish = _prepare(estimate, reference)
    reference = reference - reference.mean(dim=-1, keepdim=True)
    estimate = estimate - estimate.mean(dim=-1, keepdim=True)
    audible_rms(reference, "reference")
    product = (estimate * reference).sum(dim=-1, keepdim=True)
    target = product / _energy(reference).unsqueeze(-1) * reference  # (..., time)
    return finish(_ratio_db(_energy(target), _energy(estimate - target)))


def stoi(
    *,
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int = SAMPLE_RATE,
    extended: bool = False,
) -> float:
    """Short-time objective intelligibility: how much of the speech could be understood.

    It compares how the loudness of 15 bands between 150 Hz and 5 kHz rises and falls in pieces
    of 0.4 s. Frames where the reference is 40 dB below its loudest are left out.

    Args:
        estimate: What is judged, one clip (time,) or (1, time).
        reference: The clean sound, the same shape.
        sample_rate: Samples per second of both, at least 8000.
        extended: ESTOI, which also notices noise that comes and goes.

    Returns:
        About 0 (nothing) to 1 (everything).

    Raises:
        TypeError: Not float tensors, or a rate that is not an integer.
        ValueError: Empty, not finite, different shapes or devices, more than one clip, silence, a
            rate below 8000 Hz, or less than 0.4 s of speech.

    Source: Taal et al., IEEE TASLP 19(7), 2011; Jensen and Taal, IEEE TASLP 24(11), 2016.
    Notebook: 06
    """
    estimate, reference = _one_clip(estimate, reference)
    import pystoi  # here, because it loads SciPy: a second that no other score needs

    validate_integer(sample_rate, "sample_rate", minimum=8000)
    audible_rms(reference, "reference")
    too_short = (
        f"reference must hold at least {_MIN_STOI_SECONDS} s of speech for STOI, got a clip of "
        f"{reference.shape[-1] / sample_rate:.2f} s, pauses included; choose a longer one."
    )
    if reference.shape[-1] < _MIN_STOI_SECONDS * sample_rate:
        raise ValueError(too_short)
    with warnings.catch_warnings():
        # With too few frames of speech pystoi warns and returns 1e-5, which looks like a score.
        warnings.filterwarnings("error", message="Not enough STFT frames")
        try:
            score = pystoi.stoi(reference.numpy(), estimate.numpy(), sample_rate, extended=extended)
        except RuntimeWarning:
            raise ValueError(too_short) from None
    return float(score)


def pesq(*, estimate: Tensor, reference: Tensor, sample_rate: int = SAMPLE_RATE) -> float:
    """Perceptual evaluation of speech quality: a guess at what listeners would vote.

    Wide band (P.862.2) at 16 kHz, narrow band (P.862.1) at 8 kHz; the two scales differ, so
    never compare a number of one with a number of the other. Levels are made equal inside.

    Args:
        estimate: What is judged, one clip (time,) or (1, time).
        reference: The clean sound, the same shape.
        sample_rate: 16000 or 8000.

    Returns:
        About 1.0 (bad) to 4.64 (as good as the reference; 4.55 in narrow band).

    Raises:
        TypeError: Not float tensors.
        ValueError: Empty, not finite, different shapes or devices, more than one clip, another
            rate, silence, or a clip under 0.25 s or over 20 s.
        ImportError: The package pesq is not installed.

    Source: ITU-T P.862, P.862.1, P.862.2.
    Notebook: 06
    """
    estimate, reference = _one_clip(estimate, reference)
    validate_choice(sample_rate, "sample_rate of PESQ", (8000, 16000))
    seconds = reference.shape[-1] / sample_rate
    if not _MIN_PESQ_SECONDS < seconds <= _MAX_PESQ_SECONDS:
        raise ValueError(
            f"reference must last more than {_MIN_PESQ_SECONDS} s and at most "
            f"{_MAX_PESQ_SECONDS:.0f} s for PESQ, got {seconds:.2f} s; score it in pieces."
        )
    audible_rms(reference, "reference")
    audible_rms(estimate, "estimate")
    try:
        import pesq as pesq_package  # here, because it is built from C, and not every machine can
    except ImportError as error:
        raise ImportError(
            "PESQ needs the package pesq, which is not installed; install a C compiler, then run: "
            "python -m pip install pesq==0.0.4."
        ) from error
    mode = "wb" if sample_rate == 16000 else "nb"
    # The package divides both by one common peak; with levels far apart the quieter one would
    # round to nothing, and PESQ makes the levels equal anyway.
    reference = reference / reference.abs().max()
    estimate = estimate / estimate.abs().max()
    try:
        score = pesq_package.pesq(sample_rate, reference.numpy(), estimate.numpy(), mode)
    except pesq_package.PesqError as error:
        reason = str(error).strip("b'\". ") or type(error).__name__
        raise ValueError(
            f"reference must hold speech that PESQ can find in both sounds, got {seconds:.2f} s "
            f"in which it reports {reason!r}; choose a clip with speech in it."
        ) from error
    return float(score)


def pesq_in_pieces(*, estimate: Tensor, reference: Tensor, sample_rate: int = SAMPLE_RATE) -> float:
    """PESQ of a clip of any length: the mean over equal pieces of at most 20 s.

    P.862 was made for clips of half a minute at most, and its reference code fails on longer ones.
    A piece in which the reference has no speech to compare is left out: a long pause, for example.

    Args:
        estimate: What is judged, one clip (time,) or (1, time).
        reference: The clean sound, the same shape.
        sample_rate: 16000 or 8000.

    Returns:
        As `pesq`; for a clip of at most 20 s the same number.

    Raises:
        TypeError: As `pesq`.
        ValueError: As `pesq`, but for the length; no piece with speech in it.
        ImportError: The package pesq is not installed.

    Source: ITU-T P.862, P.862.3.
    Notebook: 06
    """
    estimate, reference = _one_clip(estimate, reference)
    count = math.ceil(reference.shape[-1] / (_MAX_PESQ_SECONDS * sample_rate))
    if count == 1:
        return pesq(estimate=estimate, reference=reference, sample_rate=sample_rate)
    values = []
    for ours, theirs in zip(estimate.chunk(count), reference.chunk(count), strict=True):
        try:
            values.append(pesq(estimate=ours, reference=theirs, sample_rate=sample_rate))
        except ValueError:
            if _has_speech(theirs, sample_rate):
                raise  # what is wrong lies in the estimate, and counts
    if not values:
        raise ValueError(
            f"reference must hold speech that PESQ can find, got {count} pieces without; choose "
            "a clip with speech in it."
        )
    return sum(values) / len(values)


def score_clip(
    *,
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int = SAMPLE_RATE,
    scores: Sequence[str] = SCORES,
) -> dict[str, float]:
    """Take several scores of one clip, of any length: see `pesq_in_pieces`.

    Args:
        estimate: What is judged, one clip (time,) or (1, time).
        reference: The clean sound, the same shape.
        sample_rate: 16000, or 8000 for narrow-band PESQ.
        scores: Names out of "pesq", "stoi", "estoi", "si_sdr", "snr".

    Returns:
        Name to score.

    Raises:
        TypeError: As the scores themselves.
        ValueError: As the scores themselves, or an unknown name in `scores`.

    Notebook: 06
    """
    for name in scores:
        validate_choice(name, "scores", _SCORERS)
    _one_clip(estimate, reference)
    return {name: _SCORERS[name](estimate, reference, sample_rate) for name in scores}


def evaluate_pair(
    *,
    noisy: Tensor,
    estimate: Tensor,
    reference: Tensor,
    sample_rate: int = SAMPLE_RATE,
    scores: Sequence[str] = SCORES,
) -> dict[str, float]:
    """Score one clip before and after denoising.

    Args:
        noisy: What went into the denoiser, one clip (time,) or (1, time).
        estimate: What came out, the same shape.
        reference: The clean sound, the same shape.
        sample_rate: 16000, or 8000 for narrow-band PESQ.
        scores: Names out of "pesq", "stoi", "estoi", "si_sdr", "snr".

    Returns:
        Three keys for each score: input_x (of the noisy clip), x (of the estimate) and
        x_improvement, their difference.

    Raises:
        TypeError: As the scores themselves.
        ValueError: As the scores themselves, or an unknown name in `scores`.

    Notebook: 06
    """
    _one_clip(noisy, reference, name="noisy")
    before, after = (
        score_clip(estimate=sound, reference=reference, sample_rate=sample_rate, scores=scores)
        for sound in (noisy, estimate)
    )
    return compare_scores(before, after)


def compare_scores(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Put the scores of a clip before and after denoising side by side.

    Args:
        before: Name to score of the noisy clip.
        after: Name to score of the estimate, the same names.

    Returns:
        Three keys for each score: input_x (before), x (after) and x_improvement, their
        difference.

    Notebook: 06
    """
    row = {}
    for name in before:
        row[f"input_{name}"] = before[name]
        row[name] = after[name]
        row[f"{name}_improvement"] = after[name] - before[name]
    return row


def summarize(
    rows: Iterable[Mapping],
    *,
    by: str | Sequence[str] = (),
    scores: str | Sequence[str] = SCORES,
    unit: str | None = None,
    confidence: float = 0.95,
    num_resamples: int = 1000,
    generator: torch.Generator | None = None,
) -> list[dict]:
    """Average scores in groups, each mean with a bootstrap interval.

    The interval answers: how far would the mean move had other clips been drawn? The rows of a
    group are drawn again with replacement `num_resamples` times; the interval holds the middle
    `confidence` of the means found. Rows that share a noise recording or a sentence are no
    independent draws: name that key in `unit`, and whole units are drawn instead.

    Args:
        rows: One mapping for each scored clip.
        by: Key or keys whose values make the groups; () puts all rows in one group.
        scores: Key or keys to average.
        unit: Key of the rows that are drawn together; None draws row by row.
        confidence: Share of the means inside the interval, above 0 and at most 1.
        num_resamples: How often to draw, at least 1.
        generator: Source of the draws; None uses seed 0 for each group, so tables repeat.

    Returns:
        One dict for each group, in order of first appearance: the keys of `by`, n (rows), and
        for each score x its mean x and the interval x_low, x_high.

    Raises:
        TypeError: A score or an option that is not a number.
        KeyError: A row without one of the keys.
        ValueError: No rows, a score that is not finite, options out of range.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    Notebook: 06
    """
    by = _as_names(by)
    scores = _as_names(scores)
    validate_not_empty(scores, "scores")
    validate_number(confidence, "confidence", above=0, maximum=1)
    validate_integer(num_resamples, "num_resamples", minimum=1)
    rows = list(rows)
    validate_not_empty(rows, "rows")
    groups: dict[tuple, list[Mapping]] = {}
    for index, row in enumerate(rows):
        for name in scores:
            validate_number(row[name], f"{name} in row {index}")
        groups.setdefault(tuple(row[key] for key in by), []).append(row)
    tails = torch.tensor([(1 - confidence) / 2, (1 + confidence) / 2], dtype=torch.float64)
    table = []
    for values, members in groups.items():
        # Every group has draws of its own: its interval does not hang on its neighbours.
        draws = generator or torch.Generator().manual_seed(0)
        weights = _bootstrap_weights(members, unit, num_resamples, draws)
        line = dict(zip(by, values, strict=True)) | {"n": len(members)}
        for name in scores:
            column = torch.tensor([row[name] for row in members], dtype=torch.float64)
            means = weights @ column / weights.sum(dim=1)  # (num_resamples,)
            low, high = torch.quantile(means, tails).tolist()
            line |= {name: float(column.mean()), f"{name}_low": low, f"{name}_high": high}
        table.append(line)
    return table


_SCORERS = {
    "pesq": lambda e, r, rate: pesq_in_pieces(estimate=e, reference=r, sample_rate=rate),
    "stoi": lambda e, r, rate: stoi(estimate=e, reference=r, sample_rate=rate),
    "estoi": lambda e, r, rate: stoi(estimate=e, reference=r, sample_rate=rate, extended=True),
    "si_sdr": lambda e, r, rate: float(si_sdr(estimate=e, reference=r)),
    "snr": lambda e, r, rate: float(snr(estimate=e, reference=r)),
}


def _prepare(
    estimate: Tensor, reference: Tensor
) -> tuple[Tensor, Tensor, Callable[[Tensor], float | Tensor]]:
    """Check a pair; return both in float64 and a function that shapes the result."""
    validate_pair(estimate, reference, ("estimate", "reference"))
    dtype = estimate.dtype
    device = estimate.device
    single = estimate.ndim == 1 or estimate.shape[:-1] == (1,)

    def finish(values: Tensor) -> float | Tensor:
        return float(values) if single else values.to(dtype).to(device)

    wide = torch.device("cpu") if device.type == "mps" else device  # MPS has no 64 bits
    return estimate.to(wide, torch.float64), reference.to(wide, torch.float64), finish


def _one_clip(
    estimate: Tensor, reference: Tensor, *, name: str = "estimate"
) -> tuple[Tensor, Tensor]:
    """Check a pair of mono clips; return both as (time,) float64 on the CPU."""
    validate_pair(estimate, reference, (name, "reference"))
    validate_one_channel(estimate, name=name)
    estimate = estimate.detach().reshape(-1).cpu()
    reference = reference.detach().reshape(-1).cpu()
    return estimate.double(), reference.double()


def _has_speech(reference: Tensor, sample_rate: int) -> bool:
    """Tell whether PESQ finds speech in a clip, by comparing it with itself."""
    try:
        pesq(estimate=reference, reference=reference, sample_rate=sample_rate)
    except ValueError:
        return False
    return True


def _energy(waveform: Tensor) -> Tensor:
    """Sum of squares over time: (..., time) -> (...)."""
    return waveform.square().sum(dim=-1)


def _ratio_db(signal: Tensor, noise: Tensor) -> Tensor:
    """10 * log10(signal / noise) within +-MAX_DB, where 0 / 0 counts as the worst."""
    smallest = torch.finfo(torch.float64).tiny
    ratio = 10 * (torch.log10(signal.clamp_min(smallest)) - torch.log10(noise.clamp_min(smallest)))
    return torch.where(signal > 0, ratio.clamp(-MAX_DB, MAX_DB), -MAX_DB)


def _as_names(names: str | Sequence[str]) -> list[str]:
    """One name or several, as a list."""
    return [names] if isinstance(names, str) else list(names)


def _bootstrap_weights(
    members: Sequence[Mapping], unit: str | None, num_resamples: int, generator: torch.Generator
) -> Tensor:
    """How often each row is drawn in each resample: (num_resamples, rows)."""
    labels = [row[unit] for row in members] if unit else list(range(len(members)))
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    num_units = len(numbers)
    drawn = torch.randint(num_units, (num_resamples, num_units), generator=generator)
    counts = torch.zeros(num_resamples, num_units, dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    return counts[:, torch.tensor([numbers[label] for label in labels])]
