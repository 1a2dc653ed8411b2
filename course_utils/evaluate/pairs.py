"""Score denoisers on voices and noises they never heard: `python -m course_utils.evaluate`.

The test pairs are the same on every machine: each noise recording of the test split under a few
sentences of the test voices at each signal-to-noise ratio, all places drawn from one seed.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from course_utils.audio import SAMPLE_RATE
from course_utils.baselines import do_nothing, spectral_subtraction, wiener_filter
from course_utils.corpus import DATA_DIR, Clip, select
from course_utils.datasets import NoisyCleanDataset
from course_utils.metrics import SCORES, compare_scores, score_clip
from course_utils.mixing import add_reverberation, fit_noise, mix_at_snr
from course_utils.preprocessing import normalize_pair
from course_utils.validate import validate_integer, validate_number

_ABOUT = ("name", "kind", "snr_db", "noise", "voice", "room")
SNRS_DB = (-5, 0, 5, 10, 15)
BASELINES = {
    "do nothing": do_nothing,
    "spectral subtraction": spectral_subtraction,
    "Wiener filter": wiener_filter,
}


@dataclass(frozen=True)
class EvaluationPair:
    """One clip to score, with what is known about it.

    Attributes:
        name: Says which voice, sentence, noise and SNR.
        noisy: What the denoiser gets, (1, time).
        clean: The reference, (1, time).
        kind: Kind of noise.
        snr_db: Signal-to-noise ratio in dB; None for recorded pairs.
        noise: Which noise recording.
        voice: Who speaks.
        room: "dry", or the room that the voice stands in; the reference keeps the room.
    """

    name: str
    noisy: Tensor
    clean: Tensor
    kind: str = ""
    snr_db: float | None = None
    noise: str = ""
    voice: str = ""
    room: str = "dry"


def make_test_pairs(
    *,
    snrs_db: Sequence[float] = SNRS_DB,
    sentences_per_noise: int = 2,
    noises_per_kind: int | None = None,
    seconds: float = 4.0,
    in_rooms: bool = False,
    split: str = "test",
    seed: int = 0,
    data_dir: Path = DATA_DIR,
) -> list[EvaluationPair]:
    """Mix the fixed list of pairs on which everything in the course is scored.

    Each noise recording meets `sentences_per_noise` sentences, taken in turn from the voices of
    the split; each such couple is mixed at every SNR from the same piece of noise, so that the
    SNRs differ in nothing else. The same arguments give the same pairs on every machine.

    Args:
        snrs_db: Signal-to-noise ratios in dB.
        sentences_per_noise: Sentences for each noise recording, at least 1.
        noises_per_kind: At most so many recordings of a kind; None takes all.
        seconds: Sentences are cut to this length.
        in_rooms: Also put the voice of every pair into each room of the split, one pair more
            for each. The reference is the voice in the same room: only noise has to go.
        split: "test"; "validation" for choosing settings.
        seed: Seed of the random places.
        data_dir: Folder with manifest.csv.

    Returns:
        The pairs at 16 kHz, ordered by noise, sentence, room, then SNR.

    Raises:
        FileNotFoundError: There is no manifest in `data_dir`.
        TypeError: A number of the wrong type.
        ValueError: Options out of range, or clips that the folder lacks.

    Notebook: 06
    """
    validate_integer(sentences_per_noise, "sentences_per_noise", minimum=1)
    validate_number(seconds, "seconds", minimum=0.5)  # STOI and PESQ need as much
    if noises_per_kind is not None:
        validate_integer(noises_per_kind, "noises_per_kind", minimum=1)
    sentences = _take_turns(select(role="speech", split=split, data_dir=data_dir))
    noises = _first_of_each_kind(
        select(role="noise", split=split, data_dir=data_dir), noises_per_kind
    )
    rooms: dict[str, Tensor | None] = {"dry": None}
    if in_rooms:
        rooms |= {c.kind: c.load() for c in select(role="room", split=split, data_dir=data_dir)}
    generator = torch.Generator().manual_seed(seed)
    pairs: list[EvaluationPair] = []
    turn = 0
    for noise_clip in noises:
        recording = noise_clip.load()
        for _ in range(sentences_per_noise):
            sentence = sentences[turn % len(sentences)]
            turn += 1
            dry = sentence.load()[:, : round(seconds * SAMPLE_RATE)]  # (1, time)
            noise = fit_noise(recording, dry.shape[-1], generator=generator)
            for room, response in rooms.items():
                clean = dry if response is None else add_reverberation(dry, response)
                for snr_db in snrs_db:
                    pairs.append(_mix_pair(sentence, noise_clip, clean, noise, snr_db, room))
    return pairs


def read_pairs(
    noisy_dir: str | os.PathLike,
    clean_dir: str | os.PathLike,
    *,
    at_most: int | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> list[EvaluationPair]:
    """Take recorded pairs from two folders, matched by file name, as in VoiceBank+DEMAND.

    Args:
        noisy_dir: Folder of noisy recordings.
        clean_dir: Folder of clean recordings with the same names.
        at_most: Read about so many, evenly spread (fewer than twice as many); None reads all.
        on_failure: Called with the error of a pair that cannot be read, which is then left out;
            None raises it.

    Returns:
        The pairs at 16 kHz; kind, noise and voice stay empty, snr_db None.

    Raises:
        FileNotFoundError: A folder is missing.
        ValueError: Folders without sound, or that do not match; a pair that cannot be read.

    Notebook: 06
    """
    dataset = NoisyCleanDataset(noisy_dir, clean_dir, sample_rate=SAMPLE_RATE)
    pairs = []
    step = max(1, len(dataset) // at_most) if at_most else 1
    for index in range(0, len(dataset), step):
        name = dataset.names[index]
        try:
            noisy, clean = dataset[index]
        except (ValueError, OSError) as error:
            _fail(f"{name!r}: {error}", error, on_failure)
        else:
            pairs.append(EvaluationPair(name=name, noisy=noisy, clean=clean))
    return pairs


def score_pairs(
    pairs: Sequence[EvaluationPair],
    methods: Mapping[str, Callable[[Tensor], Tensor]],
    *,
    scores: Sequence[str] = SCORES,
    on_pair: Callable[[int, int], None] | None = None,
    on_failure: Callable[[Exception], None] | None = None,
) -> list[dict]:
    """Run every method over every pair and score what comes out.

    A pair that one method fails on has no row at all: all methods are averaged over the same pairs.

    Args:
        pairs: What `make_test_pairs` or `read_pairs` returned.
        methods: Name to denoiser; each maps (1, time) to the same shape.
        scores: Names out of those of `metrics.evaluate_pair`.
        on_pair: Called with (pairs done, pairs in all) after each, to show progress.
        on_failure: Called with the error of a pair that cannot be scored, whose rows are then
            left out; None raises it.

    Returns:
        One row for each pair and method: method, name, kind, snr_db, noise, voice, room, and for
        each score x the keys input_x, x and x_improvement.

    Raises:
        ValueError: A clip that cannot be scored; the message names clip and method.

    Notebook: 06
    """
    rows = []
    for number, pair in enumerate(pairs, start=1):
        try:
            rows += _score_pair(pair, methods, scores)
        except ValueError as error:
            _fail(str(error), error, on_failure)
        if on_pair is not None:
            on_pair(number, len(pairs))
    return rows


def _mix_pair(
    sentence: Clip, noise_clip: Clip, clean: Tensor, noise: Tensor, snr_db: float, room: str
) -> EvaluationPair:
    """Mix one pair; where it would pass full scale, both members get one smaller gain."""
    noisy = mix_at_snr(clean, noise, snr_db)
    if float(noisy.abs().max()) > 0.99:
        noisy, clean = normalize_pair(noisy, clean)
    return EvaluationPair(
        name=f"{sentence.path.stem} ({room}) + {noise_clip.path.stem} at {snr_db:g} dB",
        noisy=noisy,
        clean=clean,
        kind=noise_clip.kind,
        snr_db=snr_db,
        noise=noise_clip.path.stem,
        voice=sentence.kind,
        room=room,
    )


def _take_turns(sentences: Sequence[Clip]) -> list[Clip]:
    """Order clips so that the voices follow one another in turn."""
    voices: dict[str, list[Clip]] = {}
    for clip in sentences:
        voices.setdefault(clip.kind, []).append(clip)
    rounds = max(map(len, voices.values()))
    return [clips[i] for i in range(rounds) for clips in voices.values() if i < len(clips)]


def _first_of_each_kind(noises: Sequence[Clip], at_most: int | None) -> list[Clip]:
    """Keep the first few recordings of each kind, kinds together."""
    kinds: dict[str, list[Clip]] = {}
    for clip in noises:
        kinds.setdefault(clip.kind, []).append(clip)
    return [clip for clips in kinds.values() for clip in clips[:at_most]]


def _score_pair(
    pair: EvaluationPair, methods: Mapping[str, Callable[[Tensor], Tensor]], scores: Sequence[str]
) -> list[dict]:
    """Make the rows of one pair; an error says which pair and method it was."""
    about = {key: getattr(pair, key) for key in _ABOUT}
    method = "before denoising"
    rows = []
    try:
        before = score_clip(estimate=pair.noisy, reference=pair.clean, scores=scores)
        for method, denoiser in methods.items():
            with torch.inference_mode():
                estimate = denoiser(pair.noisy)
            same = torch.equal(estimate, pair.noisy)  # saves scoring "do nothing" twice
            after = before
            if not same:
                after = score_clip(estimate=estimate, reference=pair.clean, scores=scores)
            rows.append({"method": method, **about, **compare_scores(before, after)})
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{pair.name!r}, {method}: {error}") from error
    return rows


def _fail(sentence: str, cause: Exception, on_failure: Callable[[Exception], None] | None) -> None:
    """Tell of a pair that is left out, or raise where nobody wants to know."""
    failure = ValueError(sentence)
    failure.__cause__ = cause
    if on_failure is None:
        raise failure
    on_failure(failure)
