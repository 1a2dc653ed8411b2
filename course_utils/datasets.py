"""Pairs for a DataLoader: read from two folders, or mixed afresh in every epoch."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset

from course_utils.audio import SAMPLE_RATE, audio_info, load_audio
from course_utils.augmentation import (
    NO_AUGMENTATION,
    Augmentation,
    change_speed,
    codec_noise,
    draw_speed,
    equalize,
    happens,
    level_jump,
    silence,
    swell,
    uniform,
)
from course_utils.files import AUDIO_SUFFIXES, folder_sounds
from course_utils.levels import SILENCE_RMS, WORKING_LEVEL, rms
from course_utils.lost_files import LostFile, LostFiles
from course_utils.mixing import add_reverberation, fit_noise, mix_at_snr
from course_utils.noise import (
    babble,
    colored_noise,
    fan_noise,
    keyboard_clicks,
    knocks,
    mains_hum,
    tones,
)
from course_utils.preprocessing import pad_or_trim
from course_utils.validate import (
    existing_folder,
    validate_integer,
    validate_not_empty,
    validate_waveform,
)

# Hiss, tones and knocks come in more shapes than the others, so they come more often.
_FORMULAS: tuple[Callable[..., Tensor], ...] = (
    *(colored_noise, colored_noise, tones, tones, knocks, knocks),
    *(mains_hum, fan_noise, keyboard_clicks),
)  # fmt: skip
_SILENT = 1e-4
# A piece of a file that stays below this RMS (-50 dBFS) is taken for a pause.
_PAUSE = 0.003
# Sentences of less than a tenth of a second, in samples, are followed by a pause.
_SHORTEST = SAMPLE_RATE // 10
# Places in recorded pairs lie on a grid of 40 ms: whole samples at every usual rate.
_GRID = 25


@dataclass(frozen=True, slots=True)
class AudioFile:
    """One file of an index.

    Attributes:
        path: Where it lies.
        duration: Its length in seconds.
    """

    path: str
    duration: float

    def read_piece(self, num_samples: int, *, generator: torch.Generator) -> Tensor:
        """Read a piece from a random place; the rest of the file stays unread.

        Args:
            num_samples: Its length at 16 kHz; a shorter file is read whole.
            generator: Source of the random place.

        Returns:
            Shape (1, time), at 16 kHz.

        Raises:
            FileNotFoundError: If the file has gone.
            ValueError: If it is damaged.

        Notebook: 05
        """
        seconds = num_samples / SAMPLE_RATE
        latest = max(0.0, self.duration - seconds)
        offset = latest * torch.rand((), generator=generator).item()
        return load_audio(self.path, sample_rate=SAMPLE_RATE, offset=offset, duration=seconds)[0]


Clip = Tensor | AudioFile
Item = TypeVar("Item")


class NoisyCleanDataset(Dataset):
    """Recorded pairs: two folders whose files carry the same names, as in VoiceBank+DEMAND.

    Args:
        noisy_dir: Folder of noisy recordings.
        clean_dir: Folder of their clean references.
        sample_rate: Rate of the items, in Hz; files at another rate are resampled.
        segment_length: Pad or trim every item to so many samples; None keeps each length, and
            then a DataLoader needs ``batch_size=1``.
        names: Take only these; None takes all.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If a folder is empty, or a file has no partner.

    Notebook: 01, 05
    """

    def __init__(
        self,
        noisy_dir: str | os.PathLike,
        clean_dir: str | os.PathLike,
        *,
        sample_rate: int = SAMPLE_RATE,
        segment_length: int | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        noisy = _audio_files(noisy_dir, "noisy_dir")
        clean = _audio_files(clean_dir, "clean_dir")
        alone = sorted(set(noisy) ^ set(clean))
        if alone:
            where = "clean_dir" if alone[0] in noisy else "noisy_dir"
            raise ValueError(
                f"noisy_dir and clean_dir must hold the same names, got {len(alone)} without a "
                f"partner ({alone[0]!r} is missing in {where}); rename or remove them."
            )
        self.names = sorted(noisy) if names is None else list(names)
        self._noisy = noisy
        self._clean = clean
        self._sample_rate = sample_rate
        self._segment_length = segment_length

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Load one pair.

        Args:
            index: 0 to ``len(self) - 1``; the name is ``self.names[index]``.

        Returns:
            noisy and clean, both ``(1, time)``.

        Raises:
            ValueError: If the two differ in length by more than a hundredth of a second.
        """
        name = self.names[index]
        noisy, _ = load_audio(self._noisy[name], sample_rate=self._sample_rate)
        clean, _ = load_audio(self._clean[name], sample_rate=self._sample_rate)
        self._check_lengths(name, noisy.shape[-1], clean.shape[-1])
        length = self._segment_length or min(noisy.shape[-1], clean.shape[-1])
        return pad_or_trim(noisy, length), pad_or_trim(clean, length)

    def duration(self, index: int) -> float:
        """Look up how long a pair is, from the headers of its files.

        Args:
            index: 0 to ``len(self) - 1``.

        Returns:
            Seconds, of the shorter one.

        Raises:
            ValueError: If the two differ by more than a hundredth of a second.
        """
        name = self.names[index]
        noisy, clean = (audio_info(side[name]).duration for side in (self._noisy, self._clean))
        self._check_lengths(name, *(round(self._sample_rate * x) for x in (noisy, clean)))
        return min(noisy, clean)

    def read_segment(
        self, index: int, segment_length: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Read the same piece of both sides, from a random place; the rest stays unread.

        Args:
            index: 0 to ``len(self) - 1``.
            segment_length: Its length in samples; a shorter pair is padded with silence.
            generator: Source of the random place.

        Returns:
            noisy and clean, both ``(1, segment_length)``.
        """
        name = self.names[index]
        seconds = segment_length / self._sample_rate
        latest = max(0, int((self.duration(index) - seconds) * _GRID))
        offset = int(torch.randint(latest + 1, (), generator=generator)) / _GRID
        segments = []
        for side in (self._noisy, self._clean):
            segment, _ = load_audio(
                side[name], sample_rate=self._sample_rate, offset=offset, duration=seconds
            )
            segments.append(pad_or_trim(segment, segment_length))
        return segments[0], segments[1]

    def _check_lengths(self, name: str, n_noisy: int, n_clean: int) -> None:
        """Refuse a pair whose sides end more than a hundredth of a second apart."""
        if abs(n_noisy - n_clean) > self._sample_rate // 100:
            raise ValueError(
                f"{name!r} must be equally long in both folders, got {n_noisy} and {n_clean} "
                "samples; align the pair first."
            )


class _SeededDataset(Dataset):
    """Items drawn at random: others in every epoch, and the same ones again for the same seed.

    A file that cannot be read any more is told of and left out from then on; something else is
    drawn in its place.
    """

    def __init__(self, *, segment_length: int, size: int, seed: int) -> None:
        validate_integer(segment_length, "segment_length", minimum=1)
        validate_integer(size, "size", minimum=1)
        self._segment_length = segment_length
        self._size = size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch's items are given.

        Args:
            epoch: Any whole number from 0.
        """
        self._epoch = epoch

    def __len__(self) -> int:
        """Count the items of an epoch."""
        return self._size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Make one item.

        Args:
            index: 0 to ``len(self) - 1``.

        Returns:
            noisy and clean, both ``(1, segment_length)``.

        Raises:
            ValueError: If too many files cannot be read any more.
        """
        generator = self._generator(index)
        while True:
            try:
                return self._draw_item(generator)
            except LostFile:
                continue  # it is left out now

    def _draw_item(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw everything random in one item, and make it."""
        raise NotImplementedError

    def left_out(self) -> list[str]:
        """List the files that turned out damaged or gone.

        Returns:
            Their paths, or names.
        """
        raise NotImplementedError

    def _generator(self, index: int) -> torch.Generator:
        """Make the source of everything random in one item."""
        if not 0 <= index < self._size:  # what ends a for loop over a dataset
            raise IndexError(f"index must lie between 0 and {self._size - 1}, got {index}.")
        seed = (self._seed * 1_000_003 + self._epoch) * 1_000_003 + index
        return torch.Generator().manual_seed(seed % 2**63)


class SegmentDataset(_SeededDataset):
    """Segments of recorded pairs: another recording and place in every epoch, seeded.

    Args:
        pairs: The recordings.
        segment_length: Length of every item, in samples.
        size: Number of items in an epoch.
        seed: The same seed and epoch give the same items.

    Raises:
        ValueError: If a number is out of range.

    Notebook: 05
    """

    def __init__(
        self, pairs: NoisyCleanDataset, *, segment_length: int, size: int, seed: int = 0
    ) -> None:
        super().__init__(segment_length=segment_length, size=size, seed=seed)
        self._pairs = pairs
        self._lost = LostFiles(range(len(pairs)), "noisy and clean")

    def left_out(self) -> list[str]:
        """List the pairs that turned out damaged or gone.

        Returns:
            Their names.
        """
        return [self._pairs.names[number] for number in self._lost.found()]

    def _draw_item(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Read one segment, scaled by one gain to an RMS of 0.1 (silence stays silence)."""
        number = _choose_left(range(len(self._pairs)), self._lost, generator)
        try:
            noisy, clean = self._pairs.read_segment(
                number, self._segment_length, generator=generator
            )
        except (ValueError, OSError) as error:
            self._lost.note(number, error)
            raise LostFile from error
        gain = WORKING_LEVEL / rms(noisy).clamp(min=_SILENT)
        return noisy * gain, clean * gain


class MixtureDataset(_SeededDataset):
    """Pairs mixed on the fly: another sentence, noise, place and SNR in every epoch, seeded.

    Args:
        speech: Clean clips at 16 kHz, each ``(1, time)``, grouped in one list per voice; or
            files (`AudioFile`), of which pieces are read when they are drawn.
        noise: Noise clips at 16 kHz, each ``(1, time)``, or files.
        segment_length: Length of every item, in samples.
        snr_db: Lowest and highest signal-to-noise ratio, in dB.
        size: Number of items in an epoch.
        seed: The same seed and epoch give the same items (but for rounding) with any number of
            workers.
        rooms: Room impulse responses, each ``(1, time)``, for ``augmentation.room``.
        augmentation: How often each change is made; None makes none of them.

    Raises:
        ValueError: If there is no speech or no noise, or a number is out of range.

    Notebook: 05
    """

    def __init__(
        self,
        speech: Sequence[Sequence[Clip]],
        noise: Sequence[Clip],
        *,
        segment_length: int,
        snr_db: tuple[float, float] = (-5.0, 20.0),
        size: int,
        seed: int = 0,
        rooms: Sequence[Tensor] = (),
        augmentation: Augmentation | None = None,
    ) -> None:
        validate_not_empty(speech, "speech")
        for number, voice in enumerate(speech):
            validate_not_empty(voice, f"speech[{number}]")
        validate_not_empty(noise, "noise")
        super().__init__(segment_length=segment_length, size=size, seed=seed)
        if snr_db[0] > snr_db[1]:
            raise ValueError(f"snr_db must be (lowest, highest), got {snr_db}; swap them.")
        sentences = [clip for voice in speech for clip in voice]
        for clip in [*sentences, *noise]:
            if not isinstance(clip, AudioFile):
                validate_waveform(clip, name="speech and noise")
        self._lost_speech = LostFiles(_files(sentences), "speech")
        self._lost_noise = LostFiles(_files(noise), "noise")
        self._speech = speech
        self._noise = noise
        self._rooms = rooms
        self._snr_db = snr_db
        self._augmentation = augmentation or NO_AUGMENTATION

    def left_out(self) -> list[str]:
        """List the files that turned out damaged or gone.

        Returns:
            Their paths.
        """
        return [file.path for file in [*self._lost_speech.found(), *self._lost_noise.found()]]

    def _draw_item(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mix one pair; its RMS is 0.1, or less where it was clipped or silent."""
        odds = self._augmentation
        clean = self._draw_voice(generator)
        noise = self._draw_noises(generator)
        if happens(odds.equalizer, generator):
            both = equalize(torch.cat([clean, noise]), band_limit=0.2, generator=generator)
            clean, noise = both.split(1)
        clean = self._maybe_codec(clean, generator)
        clean = self._maybe_in_a_room(clean, generator)
        noise = self._maybe_codec(noise, generator)
        if happens(odds.noise_only, generator) or rms(clean) < _SILENT:  # also in a pause
            noisy = noise
            clean = torch.zeros_like(clean)
        elif happens(odds.clean_only, generator):
            noisy = clean.clone()
        else:
            noisy = mix_at_snr(clean, noise, uniform(*self._snr_db, generator))
        gain = WORKING_LEVEL / rms(noisy)
        noisy = noisy * gain
        clean = clean * gain
        if happens(odds.clipping, generator):
            peak = float(noisy.abs().max() * uniform(0.3, 0.9, generator))
            noisy = noisy.clamp(-peak, peak)
        pair = torch.cat([noisy, clean])  # what follows happens to both alike
        if happens(odds.level_jump, generator):
            pair = level_jump(pair, generator=generator)
            pair = pair * (WORKING_LEVEL / rms(pair[0]))
        if happens(odds.silence, generator):
            pair = silence(pair, generator=generator)
        return pair[:1], pair[1:]

    def _draw_voice(self, generator: torch.Generator) -> Tensor:
        """Fill one segment with sentences of one voice, faster or slower as the odds say."""
        voice = self._choose_voice(generator)
        speed = self._maybe_speed(generator)
        needed = math.ceil(self._segment_length * speed)
        parts: list[Tensor] = []
        n_joined = 0
        while n_joined < needed:
            clip = _piece(voice, needed, generator, self._lost_speech)
            clip = pad_or_trim(clip, max(clip.shape[-1], _SHORTEST))  # or thousands make one item
            # The first sentence begins anywhere in its first half, a long one anywhere.
            latest = 0 if parts else max(clip.shape[-1] // 2, clip.shape[-1] - needed)
            start = int(uniform(0, latest + 1, generator))
            gain = WORKING_LEVEL / rms(clip).clamp(min=_SILENT)
            parts.append(gain * clip[..., start : start + needed - n_joined])
            n_joined += parts[-1].shape[-1]
        return change_speed(torch.cat(parts, dim=-1), speed)[..., : self._segment_length]

    def _choose_voice(self, generator: torch.Generator) -> Sequence[Clip]:
        """Draw a voice of which something is left."""
        voice = _choose(self._speech, generator)
        if all(clip in self._lost_speech for clip in voice):
            left = [each for each in self._speech if self._lost_speech.left(each)]
            voice = _choose(left, generator)
        return voice

    def _crowd(self, generator: torch.Generator) -> Tensor | None:
        """Let three to eight voices speak at once; None if all of them pause."""
        n_voices = int(torch.randint(3, 9, (), generator=generator))
        voices = [
            _piece(
                self._choose_voice(generator), self._segment_length, generator, self._lost_speech
            )
            for _ in range(n_voices)
        ]
        voices = [voice for voice in voices if rms(voice) > SILENCE_RMS]
        return babble(voices, self._segment_length, generator=generator) if voices else None

    def _draw_noises(self, generator: torch.Generator) -> Tensor:
        """Make one segment of one noise, or of two at once, as the odds say."""
        noise = self._draw_noise(generator)
        if happens(self._augmentation.second_noise, generator):
            second = self._draw_noise(generator)
            noise = mix_at_snr(noise, second, uniform(-5, 15, generator))
        return noise

    def _draw_noise(self, generator: torch.Generator) -> Tensor:
        """Make one segment of noise: from a formula, of other voices, or recorded."""
        odds = self._augmentation
        draw = uniform(0, 1, generator)
        if draw < odds.formula_noise:
            return _formula_noise(self._segment_length, generator)
        if draw < odds.formula_noise + odds.babble:
            crowd = self._crowd(generator)
            if crowd is not None:
                return self._maybe_in_a_room(crowd, generator)
        return self._recorded_noise(generator)

    def _recorded_noise(self, generator: torch.Generator) -> Tensor:
        """Make one segment of a recorded noise, faster, slower or backwards as the odds say."""
        speed = self._maybe_speed(generator, slowest=0.5, fastest=2.0)
        needed = math.ceil(self._segment_length * speed)
        clip = _piece(self._noise, needed, generator, self._lost_noise)
        clip = fit_noise(clip, needed, generator=generator)
        clip = change_speed(clip, speed)[..., : self._segment_length]
        if happens(self._augmentation.reverse, generator):
            clip = clip.flip(-1)
        if rms(clip) < _SILENT:  # a gap in the recording
            return colored_noise(self._segment_length, exponent=1.0, generator=generator)
        return clip

    def _maybe_speed(self, generator: torch.Generator, **bounds: float) -> float:
        """Choose how much faster to play a recording; 1, unless the odds say otherwise."""
        if happens(self._augmentation.speed, generator):
            return draw_speed(generator=generator, **bounds)
        return 1.0

    def _maybe_in_a_room(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """Put a sound into a room, as the odds say."""
        if self._rooms and happens(self._augmentation.room, generator):
            return add_reverberation(clip, _choose(self._rooms, generator))
        return clip

    def _maybe_codec(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """Add the noise of a codec, as the odds say."""
        if happens(self._augmentation.codec, generator):
            return codec_noise(clip, generator=generator)
        return clip


def _formula_noise(num_samples: int, generator: torch.Generator) -> Tensor:
    """Make noise from a formula, (1, num_samples); half of it rises and falls slowly."""
    formula = _choose(_FORMULAS, generator)
    settings: dict[str, float] = {}
    if formula is colored_noise:
        settings["exponent"] = uniform(-0.5, 2.5, generator)
    elif formula is mains_hum:  # engines and tools hum at any pitch
        settings["frequency"] = uniform(40, 400, generator)
    clip = formula(num_samples, generator=generator, **settings)
    return swell(clip, generator=generator) if happens(0.5, generator) else clip


def _piece(
    clips: Sequence[Clip], num_samples: int, generator: torch.Generator, lost: LostFiles
) -> Tensor:
    """Draw a clip as it is, or a piece of a file; a pause is given back and drawn again."""
    clip = _choose_left(clips, lost, generator)
    if not isinstance(clip, AudioFile):
        return clip
    try:
        for _ in range(4):
            piece = clip.read_piece(num_samples, generator=generator)
            if rms(piece) > _PAUSE:
                break
    except (ValueError, OSError) as error:
        lost.note(clip, error)
        raise LostFile from error
    return piece


def _files(clips: Sequence[Clip]) -> list[AudioFile]:
    """Take the files among clips, each once."""
    return list(dict.fromkeys(clip for clip in clips if isinstance(clip, AudioFile)))


def _choose(items: Sequence[Item], generator: torch.Generator) -> Item:
    """Draw one item, each as likely as the other."""
    return items[int(torch.randint(len(items), (), generator=generator))]


def _choose_left(items: Sequence[Item], lost: LostFiles, generator: torch.Generator) -> Item:
    """Draw one item of those that are not lost."""
    item = _choose(items, generator)
    return _choose(lost.left(items), generator) if item in lost else item


def _audio_files(folder: str | os.PathLike, name: str) -> dict[str, Path]:
    """Map file names to paths for all audio in a folder, or say what is missing."""
    folder = existing_folder(folder, name)
    files = {path.name: path for path in folder_sounds(folder)[0]}
    if not files:
        raise ValueError(
            f"{name} must hold audio files ({', '.join(AUDIO_SUFFIXES)}), got none in "
            f"{str(folder)!r}; check the path."
        )
    return files
