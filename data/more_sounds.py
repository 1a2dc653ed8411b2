"""Read the voices and noises that only the full set holds: more_catalogue.py says which.

Quality is measured clip by clip. Nothing is drawn at random without a fixed seed.
"""

from __future__ import annotations

import fnmatch
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import more_catalogue
import numpy as np
import soundfile
from shaping import (
    FRAME,
    SAMPLE_RATE,
    cut_at_pauses,
    dynamic_range,
    finish,
    frame_db,
    trim,
)

QUIETEST_PAUSE = 30.0  # dB that the pauses must lie below the speech
CLIPPED_SHARE = 0.001  # of a clip's samples, at most
WORDS_SECONDS = (3.0, 6.0)
SENTENCE_SECONDS = (1.0, 8.0)
LOW_CUT_HZ = 50.0
SHORTEST_NOISE, LONGEST_NOISE = 1.5, 15.0
TYPING_CLIPS, TYPING_SECONDS = 10, 12.0


def find(package: Path, pattern: str, archive: str = "") -> list[tuple[str, Path | bytes]]:
    """List (name, file or its bytes) that match a pattern, in the order of their names."""
    if not archive:
        return [(path.name, path) for path in sorted(package.glob(pattern)) if path.is_file()]
    with zipfile.ZipFile(package / archive) as bundle:
        names = sorted(name for name in bundle.namelist() if fnmatch.fnmatchcase(name, pattern))
        return [(Path(name).name, bundle.read(name)) for name in names]


def ogg_streams(data: bytes) -> list[bytes]:
    """Cut a file that holds several Ogg streams one after the other into those streams."""
    starts = [match.start() for match in re.finditer(rb"OggS\x00\x02", data)]
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def is_clean(source: Path | bytes, quietest_pause: float = QUIETEST_PAUSE) -> bool:
    """Whether a recording of speech has quiet pauses, no clipped peaks, and 16 kHz or more."""
    handle = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        samples, rate = soundfile.read(handle, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:  # some folders hold text files too
        return False
    samples = samples.mean(axis=1)
    peak = np.abs(samples).max(initial=0)
    if rate < SAMPLE_RATE or len(samples) < rate // 5 or peak < 0.01:
        return False
    clipped = (np.abs(samples) > 0.99 * peak).mean()
    step = max(1, rate // SAMPLE_RATE)  # frames of about the usual length
    return bool(clipped <= CLIPPED_SHARE) and dynamic_range(samples[::step]) >= quietest_pause


def active_level(samples: np.ndarray) -> float:
    """Root of the mean square over the parts that are not pauses."""
    levels = frame_db(samples)
    active = levels[levels > np.percentile(levels, 95) - 30]
    return float(10 ** (np.mean(active) / 20))


def join_words(words: list[np.ndarray], seed: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Join words to utterances: yields (first word, last word + 1, samples).

    Between two words is a pause of digital silence, so that a recording's hiss is no part of what
    a network should give back. Every word has the same level, but for 3 dB.
    """
    generator = np.random.default_rng(seed)
    shortest, longest = (int(seconds * SAMPLE_RATE) for seconds in WORDS_SECONDS)
    parts, first, length = [], 0, 0
    for number, word in enumerate(words):
        pause = np.zeros(int(generator.uniform(0.06, 0.35) * SAMPLE_RATE), word.dtype)
        gain = 10 ** (generator.uniform(-3, 3) / 20) / active_level(word)
        if parts and length + len(word) > longest:
            yield first, number, np.concatenate(parts)
            parts, first, length = [], number, 0
        parts += [word * gain, pause]
        length += len(word) + len(pause)
        if length >= shortest and generator.uniform() < 0.4:
            yield first, number + 1, np.concatenate(parts)
            parts, first, length = [], number + 1, 0
    if length >= SAMPLE_RATE:
        yield first, len(words), np.concatenate(parts)


def without_rumble(samples: np.ndarray) -> np.ndarray:
    """Remove what lies below 50 Hz, without moving anything in time.

    Nobody speaks there; a network that is to give back a room's rumble learns to keep rumble.
    """
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    spectrum *= 1 / (1 + (LOW_CUT_HZ / hz.clip(1)) ** 8)
    return np.fft.irfft(spectrum, len(samples)).astype(samples.dtype)


def fade(samples: np.ndarray, milliseconds: int = 15) -> np.ndarray:
    """Let a word come out of silence and go back into it."""
    ramp = np.linspace(0, 1, milliseconds * SAMPLE_RATE // 1000, dtype=samples.dtype)
    samples = samples.copy()
    samples[: len(ramp)] *= ramp
    samples[-len(ramp) :] *= ramp[::-1]
    return samples


def more_speech(packages: Path, read_audio, make_piece) -> Iterator:
    """Every usable utterance of the further voices, each recording once."""
    for number, voice in enumerate(more_catalogue.MORE_VOICES):
        sources = find(packages / voice.package, voice.pattern, voice.archive)
        quietest_pause = 25.0 if voice.split == "validation" else QUIETEST_PAUSE
        sources = [(name, source) for name, source in sources if is_clean(source, quietest_pause)]
        names, words, seen = [], [], set()
        for name, source in sources:
            samples = without_rumble(read_audio(source))
            if samples.tobytes() in seen:
                continue
            seen.add(samples.tobytes())
            samples = trim(samples, 40, FRAME * 5 if voice.sentences else FRAME)
            if len(samples) >= SAMPLE_RATE // 5:
                names.append(name.rpartition(".")[0])
                words.append(samples)
        about = {
            "role": "speech", "kind": voice.name, "language": voice.language,
            "author": voice.author, "licence": voice.licence, "source": voice.package,
            "family": voice.name, "split": voice.split,
        }  # fmt: skip
        if voice.sentences:
            for name, samples in zip(names, words, strict=True):
                parts = cut_at_pauses(samples, SENTENCE_SECONDS[1])
                for index, part in enumerate(parts, start=1):
                    part = trim(part, 40, FRAME * 5)
                    if not len(part) >= SENTENCE_SECONDS[0] * SAMPLE_RATE:
                        continue
                    yield make_piece(
                        **about, title=f"{name}, part {index}" if len(parts) > 1 else name,
                        name=f"{voice.name}_{name}_{index}", samples=finish(part),
                    )  # fmt: skip
        else:
            joined = join_words([fade(word) for word in words], seed=number)
            for index, (first, last, samples) in enumerate(joined, start=1):
                yield make_piece(
                    **about, title="; ".join(names[first:last]),
                    name=f"{voice.name}_{index:03d}", samples=finish(samples),
                )  # fmt: skip


def noise_recordings(packages: Path) -> Iterator[tuple[str, str, dict, Path | bytes]]:
    """Yield (package, name, about, source) for every recording of noise."""
    blanket = packages / "blanket" / more_catalogue.BLANKET_FILE
    streams = ogg_streams(blanket.read_bytes()) if blanket.is_file() else []
    for entry, data in zip(more_catalogue.BLANKET, streams, strict=bool(streams)):
        if entry is not None:
            name, kind, author, licence, split = entry
            about = {"kind": kind, "author": author, "licence": licence, "split": split}
            yield "blanket", name, about, data
    for noises in more_catalogue.MORE_NOISES:
        about = {"kind": noises.kind, "author": noises.author, "licence": noises.licence}
        about["split"] = noises.split
        for name, source in find(packages / noises.package, noises.pattern, noises.archive):
            if not any(part in name for part in noises.without):
                yield noises.package, name.rpartition(".")[0], about, source


def more_noise(packages: Path, read_audio, make_piece) -> Iterator:
    """Every recording of noise of at least 1.5 s, long ones in parts of at most 15 s.

    A part is as likely to be drawn as a short recording, so long ones come more often.
    """
    seen = set()
    for package, name, about, source in noise_recordings(packages):
        samples = trim(read_audio(source), 45, FRAME)
        if len(samples) < SHORTEST_NOISE * SAMPLE_RATE or samples.tobytes() in seen:
            continue
        seen.add(samples.tobytes())
        count = -(-len(samples) // int(LONGEST_NOISE * SAMPLE_RATE))
        stem = f"{about['kind']}_{package.split('-')[0]}-{name.lower().replace('_', '-')}"
        for index, part in enumerate(np.array_split(samples, count), start=1):
            if np.abs(part).max() < 1e-3:  # a pause within a recording
                continue
            yield make_piece(
                role="noise", language="", source=package, family=f"{package}/{name}", **about,
                title=f"{name}, part {index}" if count > 1 else name,
                name=f"{stem}_{index}" if count > 1 else stem, samples=finish(part),
            )  # fmt: skip


def typing(packages: Path, read_audio, make_piece) -> Iterator:
    """Somebody types: single key presses at the times of a fast, a slow or a careless writer."""
    keys = more_catalogue.KEYS
    sources = find(packages / keys.package, keys.pattern)
    presses = [fade(read_audio(source), 2) for _, source in sources]
    for index in range(1, TYPING_CLIPS + 1):
        generator = np.random.default_rng(index)
        pace = generator.uniform(0.09, 0.3)  # seconds from one key to the next
        samples = np.zeros(int((TYPING_SECONDS + 2) * SAMPLE_RATE), np.float32)
        place = 0.0
        while place < TYPING_SECONDS:
            press = presses[generator.integers(len(presses))]
            start = int(place * SAMPLE_RATE)
            end = min(len(samples), start + len(press))
            gain = 10 ** (generator.uniform(-6, 0) / 20)
            samples[start:end] += gain * press[: end - start]
            place += pace * generator.lognormal(0, 0.5)
            place += generator.uniform(0.3, 1.0) * (generator.uniform() < 0.05)
        yield make_piece(
            role="noise", kind=keys.kind, language="", source=keys.package, author=keys.author,
            licence=keys.licence, split=keys.split, family="typing", title=f"typing {index}",
            name=f"household_typing_{index}", samples=finish(samples),
        )  # fmt: skip
