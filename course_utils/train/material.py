"""What a training run learns from: clips with a manifest, folders of any size, recorded pairs."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from course_utils.audio import SAMPLE_RATE
from course_utils.augmentation import Augmentation
from course_utils.corpus import DATA_DIR, select
from course_utils.datasets import AudioFile, MixtureDataset, NoisyCleanDataset, SegmentDataset
from course_utils.public_sets import group_of
from course_utils.train.folders import (
    Index,
    all_files,
    fingerprint,
    hold_out,
    kinds_of_groups,
    list_audio,
)

SEGMENT_LENGTH = 2 * SAMPLE_RATE
PAIRS_PER_EPOCH = 800
SNR_DB = (-5.0, 20.0)
VALIDATION_CLIPS = 40


@dataclass(frozen=True)
class Material:
    """What a run learns from.

    Args:
        train_set: Pairs to learn from, others in every epoch.
        validation_set: Pairs to validate with, always the same.
        about: How much it is, in words.
        fingerprint: The same for the same list of files.

    Notebook: 05
    """

    train_set: Dataset
    validation_set: Dataset
    about: str
    fingerprint: str


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
    size: int,
    segment_length: int = SEGMENT_LENGTH,
    seed: int = 0,
) -> Material:
    """Learn from two folders of any sound files, which may be larger than memory.

    Args:
        speech: Folder of clean voices, in subfolders by voice or not.
        noise: Folder of noises.
        validation: Folder with speech/ and noise/; None holds out a tenth, the same for all seeds.
        size: Pairs in an epoch.
        segment_length: Length of each pair, in samples.
        seed: Of the training mixtures.

    Returns:
        Mixtures, with every augmentation; the rooms are the course's own.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If one is empty or cannot be split, or a file cannot be read.

    Notebook: 05
    """
    voices, held_voices = _parts(speech, "speech", validation)
    noises, held_noises = _parts(noise, "noise", validation)
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
    return Material(train_set, validation_set, about, fingerprint(names))


def from_pairs(
    noisy: str | os.PathLike,
    clean: str | os.PathLike,
    *,
    validation: str | os.PathLike | None = None,
    size: int,
    segment_length: int = SEGMENT_LENGTH,
    seed: int = 0,
) -> Material:
    """Learn from recorded pairs: two folders of files with the same names, of any size.

    Args:
        noisy: Folder of noisy recordings.
        clean: Folder of their clean references.
        validation: Folder with noisy/ and clean/; None holds out a tenth, the same for all seeds.
        size: Segments in an epoch.
        segment_length: Length of each segment, in samples.
        seed: Of the training segments.

    Returns:
        Segments from random places, as they were recorded.

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If the pairs cannot be split, or a file has no partner or another length.

    Notebook: 05
    """
    index = _pair_index(noisy, clean)
    held_out_by = _held_out_by(index) if validation is None else ""
    if validation is None:
        index, held_index = hold_out(index, name="noisy and clean")
        held = NoisyCleanDataset(noisy, clean, names=_names(held_index))
    else:
        held_dirs = Path(validation) / "noisy", Path(validation) / "clean"
        held, held_index = NoisyCleanDataset(*held_dirs), _pair_index(*held_dirs)
    train_set = SegmentDataset(
        NoisyCleanDataset(noisy, clean, names=_names(index)),
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
    )


def _by_weight(voices: list[list[Tensor]]) -> list[list[Tensor]]:
    """List long voices several times: they are drawn by the root of their length.

    A voice of an hour has more to teach than one of a minute, but not sixty times as much. Voices
    of about one length, as in data/, stand once each.
    """
    lengths = [sum(clip.shape[-1] for clip in voice) for voice in voices]
    times = [round(math.sqrt(length / min(lengths))) for length in lengths]
    return [voice for voice, n in zip(voices, times, strict=True) for _ in range(n)]


def _parts(folder: str | os.PathLike, name: str, validation: str | os.PathLike | None):
    """List a folder and what to validate it with: a tenth of it, or a folder of its own."""
    index = list_audio(folder, name=name)
    if validation is None:
        return hold_out(index, name=name)
    return index, list_audio(Path(validation) / name, name=f"validation's {name}")


def _pair_index(noisy: str | os.PathLike, clean: str | os.PathLike) -> Index:
    """List pairs with their lengths, which checks that both sides are equally long.

    Pairs of a public set stand under their speaker, others each under its own name.
    """
    pairs = NoisyCleanDataset(noisy, clean)
    index: Index = {}
    for number, name in enumerate(pairs.names):
        key = group_of(Path(noisy) / name) or name
        index.setdefault(key, []).append(AudioFile(name, pairs.duration(number)))
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
