"""What a training run learns from: clips with a manifest, folders of any size, recorded pairs."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from course_utils.audio import SAMPLE_RATE, load_audio, to_mono
from course_utils.augmentation import Augmentation
from course_utils.corpus import DATA_DIR, select
from course_utils.datasets import AudioFile, MixtureDataset, NoisyCleanDataset, SegmentDataset
from course_utils.levels import rms
from course_utils.public_sets import group_of
from course_utils.train.folders import (
    Index,
    all_files,
    choose_held_out,
    fingerprint,
    kinds_of_groups,
    list_audio,
    measure,
    split_by_name,
)

SEGMENT_LENGTH = 2 * SAMPLE_RATE
PAIRS_PER_EPOCH = 800
SNR_DB = (-5.0, 20.0)
VALIDATION_CLIPS = 40
_SILENT = 1e-4
_CANCELLED = 0.03  # the mean of all channels is 30 dB below them
_LOOK_FILES, _LOOK_SECONDS = 40, 1.0


@dataclass(frozen=True)
class Material:
    """What a run learns from.

    Args:
        train_set: Pairs to learn from, others in every epoch.
        validation_set: Pairs to validate with, always the same.
        about: How much it is, in words.
        fingerprint: The same for the same list of files.
        held_out: What of each folder was held out for validation, by name; empty where a folder
            or a split of its own was there for that.

    Notebook: 05
    """

    train_set: MixtureDataset | SegmentDataset
    validation_set: MixtureDataset | SegmentDataset
    about: str
    fingerprint: str
    held_out: dict[str, list[str]] = field(default_factory=dict)


def make_datasets(
    data_dir: str | Path = DATA_DIR,
    *,
    size: int = PAIRS_PER_EPOCH,
    segment_length: int = SEGMENT_LENGTH,
    augmentation: Augmentation | None = None,
    seed: int = 0,
) -> tuple[MixtureDataset, MixtureDataset]:
    """Load the clips of the training and validation split and mix pairs from them.

    Args:
        data_dir: Folder with a manifest.csv.
        size: Pairs in an epoch of training.
        segment_length: Length of each pair, in samples.
        augmentation: How often each change is made to training pairs; None makes none.
        seed: Seed of the training mixtures; the validation pairs are the same for every seed.

    Returns:
        The training set, other pairs in every epoch, and the validation set, always the same
        40 pairs, without augmentation.

    Raises:
        ValueError: If the folder has no manifest or a split is empty.

    Notebook: 05
    """
    sets = []
    for split, n_pairs, changes in (
        ("train", size, augmentation),
        ("validation", VALIDATION_CLIPS, None),
    ):
        voices: dict[str, list] = {}
        for clip in select(role="speech", split=split, data_dir=data_dir):
            voices.setdefault(clip.kind, []).append(clip.load())
        sets.append(
            MixtureDataset(
                _by_weight(list(voices.values())),
                [clip.load() for clip in select(role="noise", split=split, data_dir=data_dir)],
                rooms=[clip.load() for clip in select(role="room", split=split, data_dir=data_dir)],
                segment_length=segment_length,
                snr_db=SNR_DB,
                size=n_pairs,
                seed=seed if split == "train" else 0,  # runs with other seeds stay comparable
                augmentation=changes,
            )
        )
    return sets[0], sets[1]


def from_manifest(
    data_dir: str | Path, *, size: int, segment_length: int = SEGMENT_LENGTH, seed: int = 0
) -> Material:
    """Learn from clips with a manifest: the course's own, all of them in memory.

    Args:
        data_dir: Folder with a manifest.csv.
        size: Pairs in an epoch.
        segment_length: Length of each pair, in samples.
        seed: Of the training mixtures.

    Returns:
        Mixtures, with every augmentation.

    Raises:
        ValueError: If the folder has no manifest or a split is empty.

    Notebook: 05
    """
    sets = make_datasets(
        data_dir, size=size, segment_length=segment_length, augmentation=Augmentation(), seed=seed
    )
    clips = [c for c in select(data_dir=data_dir) if c.split in ("train", "validation")]
    minutes = {
        role: sum(c.duration for c in clips if (c.role, c.split) == (role, "train")) / 60
        for role in ("speech", "noise")
    }
    about = f"{minutes['speech']:.0f} min of speech, {minutes['noise']:.0f} min of recorded noise"
    return Material(*sets, about, fingerprint((c.file, c.sha256) for c in clips))


def from_folders(
    speech: str | os.PathLike,
    noise: str | os.PathLike,
    *,
    validation: str | os.PathLike | None = None,
    held_out: Mapping[str, Sequence[str]] | None = None,
    size: int,
    segment_length: int = SEGMENT_LENGTH,
    seed: int = 0,
) -> Material:
    """Learn from two folders of any sound files, which may be larger than memory.

    Args:
        speech: Folder of clean voices, in subfolders by voice or not.
        noise: Folder of noises.
        validation: Folder with speech/ and noise/; None holds out a tenth, the same for all seeds.
        held_out: What an earlier sitting of the run held out (`Material.held_out`), to be held
            out again; None chooses.
        size: Pairs in an epoch.
        segment_length: Length of each pair, in samples.
        seed: Of the training mixtures.

    Returns:
        Mixtures, with every augmentation; the rooms are the course's own.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If one is empty, silent or cannot be split, or too many files cannot be read.

    Notebook: 05
    """
    chosen: dict[str, list[str]] = {}
    parts = {}
    for name, folder in (("speech", speech), ("noise", noise)):
        index = list_audio(folder, name=name)
        refuse_silence(all_files(index), name)
        if validation is None:
            chosen[name] = _held_out(index, held_out, name)
            parts[name] = split_by_name(index, chosen[name], name=name)
        else:
            parts[name] = index, list_audio(Path(validation) / name, name=f"validation's {name}")
    (voices, held_voices), (noises, held_noises) = parts["speech"], parts["noise"]
    train_set = MixtureDataset(
        list(voices.values()),
        all_files(noises),
        rooms=[room.load() for room in select(role="room", split="train")],
        segment_length=segment_length,
        snr_db=SNR_DB,
        size=size,
        seed=seed,
        augmentation=Augmentation(),
    )
    validation_set = MixtureDataset(
        list(held_voices.values()),
        all_files(held_noises),
        segment_length=segment_length,
        snr_db=SNR_DB,
        size=VALIDATION_CLIPS,
    )
    about = f"{_amount(voices)} of speech, {_amount(noises)} of noise"
    if validation is None:
        about += _held_out_by(voices, noises)
    files = [all_files(index) for index in (voices, held_voices, noises, held_noises)]
    names = [[(Path(file.path).name, file.duration) for file in part] for part in files]
    return Material(train_set, validation_set, about, fingerprint(names), chosen)


def from_pairs(
    noisy: str | os.PathLike,
    clean: str | os.PathLike,
    *,
    validation: str | os.PathLike | None = None,
    held_out: Mapping[str, Sequence[str]] | None = None,
    size: int,
    segment_length: int = SEGMENT_LENGTH,
    seed: int = 0,
) -> Material:
    """Learn from recorded pairs: two folders of files with the same names, of any size.

    Args:
        noisy: Folder of noisy recordings.
        clean: Folder of their clean references.
        validation: Folder with noisy/ and clean/; None holds out a tenth, the same for all seeds.
        held_out: What an earlier sitting of the run held out (`Material.held_out`), to be held
            out again; None chooses.
        size: Segments in an epoch.
        segment_length: Length of each segment, in samples.
        seed: Of the training segments.

    Returns:
        Segments from random places, as they were recorded.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If the pairs cannot be split, a file has no partner, too many cannot be used,
            or both sides are the same.

    Notebook: 05
    """
    index = _pair_index(noisy, clean)
    chosen: dict[str, list[str]] = {}
    held_out_by = _held_out_by(index) if validation is None else ""
    if validation is None:
        chosen["pairs"] = _held_out(index, held_out, "pairs")
        index, held_index = split_by_name(index, chosen["pairs"], name="noisy and clean")
        held = NoisyCleanDataset(noisy, clean, names=_names(held_index))
    else:
        held_dirs = Path(validation) / "noisy", Path(validation) / "clean"
        held_index = _pair_index(*held_dirs)
        held = NoisyCleanDataset(*held_dirs, names=_names(held_index))
    pairs = NoisyCleanDataset(noisy, clean, names=_names(index))
    refuse_equal_sides(pairs, segment_length)
    train_set = SegmentDataset(
        pairs,
        segment_length=segment_length,
        size=size,
        seed=seed,
    )
    validation_set = SegmentDataset(held, segment_length=segment_length, size=VALIDATION_CLIPS)
    return Material(
        train_set,
        validation_set,
        f"{_amount(index)} of recorded pairs{held_out_by}",
        fingerprint([all_files(index), all_files(held_index)]),
        chosen,
    )


def _by_weight(voices: list[list[Tensor]]) -> list[list[Tensor]]:
    """List long voices several times: they are drawn by the root of their length.

    A voice of an hour has more to teach than one of a minute, but not sixty times as much. Voices
    of about one length, as in data/, stand once each.
    """
    lengths = [sum(clip.shape[-1] for clip in voice) for voice in voices]
    times = [round(math.sqrt(length / min(lengths))) for length in lengths]
    return [voice for voice, n in zip(voices, times, strict=True) for _ in range(n)]


def refuse_silence(files: Sequence[AudioFile], name: str) -> None:
    """Refuse a folder in which nothing is heard, and name single files of that kind.

    So many files are looked at, spread over the list, each at a few places.

    Args:
        files: From an index.
        name: What they are, used in the messages.

    Raises:
        ValueError: If none of them holds sound, or every one is cancelled by its own channels.

    Notebook: 05
    """
    looked_at = _some(files)
    silent = {}
    for file in looked_at:
        try:
            if reason := _why_silent(file):
                silent[file.path] = reason
        except (ValueError, OSError):
            continue  # damaged: training names it when it meets it
    if not silent:
        return
    path, reason = next(iter(silent.items()))
    sentence = (
        f"{name} must hold sound, got {len(silent)} of {len(looked_at)} files without, such as "
        f"{path!r}, {reason}"
    )
    if len(silent) == len(looked_at):
        raise ValueError(f"{sentence}; choose other files.")
    warnings.warn(f"{sentence}; training goes on with the others.", stacklevel=2)


def refuse_equal_sides(pairs: NoisyCleanDataset, segment_length: int) -> None:
    """Refuse pairs that teach nothing: every noisy side is its clean one, or one is silent.

    Args:
        pairs: Recorded pairs, of which some are looked at.
        segment_length: How much of each is read, in samples.

    Raises:
        ValueError: If none of them can be learned from.

    Notebook: 05
    """
    generator = torch.Generator().manual_seed(0)
    found = set()
    for number in _some(range(len(pairs))):
        try:
            noisy, clean = pairs.read_segment(number, segment_length, generator=generator)
        except (ValueError, OSError):
            continue
        if float(noisy.abs().max()) < _SILENT or float(clean.abs().max()) < _SILENT:
            found.add("silence on one side")
        elif torch.equal(noisy, clean):
            found.add("the same sound on both sides")
        else:
            return
    if found:
        raise ValueError(
            f"noisy and clean must hold recordings with and without noise, got "
            f"{' or '.join(sorted(found))} in every pair that was looked at; check both folders."
        )


def _why_silent(file: AudioFile) -> str:
    """Say why nothing is heard in a file; an empty text if something is."""
    for place in (0.0, 0.3, 0.6, 0.9):
        sound, _ = load_audio(
            file.path, mono=False, offset=place * file.duration, duration=_LOOK_SECONDS
        )
        level, folded = float(rms(sound).max()), float(rms(to_mono(sound)))
        if folded > max(_SILENT, _CANCELLED * level):
            return ""
        if level > _SILENT:
            return "whose channels cancel each other out (one is the other, turned upside down)"
    return "in which all is silence"


def _some(items: Sequence) -> list:
    """Take some of many items, evenly spread."""
    step = max(1, len(items) // _LOOK_FILES)
    return list(items[::step])


def _held_out(index: Index, held_out: Mapping[str, Sequence[str]] | None, name: str) -> list[str]:
    """Take what was held out before, or choose."""
    before = (held_out or {}).get(name)
    if before is None:  # a first sitting, or one with data of another kind, which is refused later
        return choose_held_out(index, name="noisy and clean" if name == "pairs" else name)
    return list(before)


def _pair_index(noisy: str | os.PathLike, clean: str | os.PathLike) -> Index:
    """List pairs with their lengths, which checks that both sides are equally long.

    Pairs of a public set stand under their speaker, others each under its own name.
    """
    pairs = NoisyCleanDataset(noisy, clean)
    index: Index = {}
    numbers = {name: number for number, name in enumerate(pairs.names)}
    durations = measure(pairs.names, lambda name: pairs.duration(numbers[name]), "noisy and clean")
    for name, duration in durations.items():
        key = group_of(Path(noisy) / name) or name
        index.setdefault(key, []).append(AudioFile(name, duration))
    return index


def _names(index: Index) -> list[str]:
    """List the names of the pairs of an index."""
    return [file.path for file in all_files(index)]


def _held_out_by(*indices: Index) -> str:
    """Say what was kept together in the split, if a public set asked for it."""
    kinds = [kind for kind in map(kinds_of_groups, indices) if kind]
    return f", held out by {' and by '.join(dict.fromkeys(kinds))}" if kinds else ""


def _amount(index: Index) -> str:
    """Say how much sound an index lists."""
    files = all_files(index)
    return f"{sum(file.duration for file in files) / 60:.0f} min in {len(files)} files"
