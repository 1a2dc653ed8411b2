"""Folders of sound that may be larger than memory: only an index is kept, of paths and lengths.

A hundred hours of sound fill 23 GB of memory; the index of their files takes a few megabytes.
A piece of a file is read when it is drawn.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from course_utils.audio import audio_info
from course_utils.datasets import AudioFile
from course_utils.files import AUDIO_SUFFIXES, folder_sounds
from course_utils.lost_files import LostFiles
from course_utils.public_sets import Group, group_of, is_other_microphone
from course_utils.validate import existing_folder

# From so many subfolders on, whole subfolders are held out for validation instead of files.
MIN_FOLDERS = 5
MIN_SECONDS = 0.1  # a shorter file holds nothing to learn from

Key = TypeVar("Key")

Index = dict[Group | str, list[AudioFile]]
"""Files by what they belong to: a group of a public set, or a subfolder or file by its name."""


def list_audio(folder: str | os.PathLike, *, name: str = "folder") -> Index:
    """List every sound file below a folder, with its length from its header.

    Args:
        folder: A folder of WAV, FLAC, Ogg or MP3 files, in subfolders or not.
        name: The parameter's name, used in the messages.

    Returns:
        The files of each subfolder of ``folder``, however deep below it they lie, sorted by path;
        a file that lies in ``folder`` itself stands alone under its own name. Where each voice
        has its subfolder, this groups by voice. Files of a public set (`public_sets.group_of`)
        stand under the speaker, recording or place that they must stay together with, such as
        ``Group("speaker", "84")``; of several microphones of one moment only the first is listed.
        Hidden files and folders are left out: macOS puts a file ``._name`` beside each name in an
        archive. A file that cannot be read, or lasts less than a tenth of a second, is left out
        with a warning that names it.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there is no file in it, or too many cannot be read (see `LostFiles`).

    Notebook: 05
    """
    root = existing_folder(folder, name)
    sounds, _ = folder_sounds(root, deep=True)
    paths = [path for path in sounds if not is_other_microphone(path)]
    if not paths:
        raise ValueError(
            f"{name} must hold audio files ({', '.join(AUDIO_SUFFIXES)}), got none below "
            f"{str(root)!r}; check the path."
        )
    index: Index = {}
    for path, duration in measure(paths, lambda path: audio_info(path).duration, name).items():
        key = group_of(path) or path.relative_to(root).parts[0]
        index.setdefault(key, []).append(AudioFile(str(path), duration))
    return index


def measure(
    files: Sequence[Key], duration_of: Callable[[Key], float], name: str
) -> dict[Key, float]:
    """Measure how long files are; leave out, with a warning, those that cannot be used.

    Args:
        files: Paths, or names of pairs.
        duration_of: Gives the seconds of one of them, or raises.
        name: What they are, used in the messages.

    Returns:
        File to seconds.

    Raises:
        ValueError: If too many cannot be used (see `LostFiles`).

    Notebook: 05
    """
    lost = LostFiles(files, name)
    durations = {}
    for file in files:
        try:
            seconds = duration_of(file)
            if seconds < MIN_SECONDS:
                raise ValueError(
                    f"{str(file)!r} must last at least {MIN_SECONDS} s, got {seconds:.2g} s."
                )
            durations[file] = seconds
        except (ValueError, OSError) as error:
            lost.note(file, error)
    return durations


def choose_held_out(
    index: Index, *, share: float = 0.1, seed: int = 0, name: str = "folder"
) -> list[str]:
    """Choose what is held out for validation, by name, so that a later sitting holds out the same.

    What a public set keeps together is held out together: all files of a speaker, all clips of a
    recording, all of a place. Elsewhere, with five or more subfolders, whole ones are held out,
    so that a voice is in one part only; with fewer, single files.

    Args:
        index: From `list_audio`.
        share: How much to hold out, between 0 and 1; at least one group, subfolder or file.
        seed: The same seed chooses the same ones.
        name: The parameter's name, used in the message.

    Returns:
        Names of groups ("speaker 84"), subfolders ("anna") or files ("anna/1.wav").

    Raises:
        ValueError: If there is only one of what must stay together.

    Notebook: 05
    """
    units = _units(index)
    if len(units) < 2:
        what = kinds_of_groups(index) or "file"
        raise ValueError(
            f"{name} must hold at least two {what}s, one to learn from and one to validate with, "
            f"got {len(units)}; add some, or give a folder for validation."
        )
    return _choose(units, share, seed)


def split_by_name(
    index: Index, held_out: Collection[str], *, name: str = "folder"
) -> tuple[Index, Index]:
    """Split an index by the names of what is held out; what is there no more, is missing there.

    Args:
        index: From `list_audio`.
        held_out: From `choose_held_out`, now or in an earlier sitting of a run.
        name: The parameter's name, used in the message.

    Returns:
        The part for training and the part for validation.

    Raises:
        ValueError: If nothing is left for one of the parts.

    Notebook: 05
    """
    names = set(held_out)
    parts: tuple[Index, Index] = ({}, {})
    for key, files in index.items():
        for file in files:
            is_held = bool(names & {_label(key), _label(key, file)})
            parts[is_held].setdefault(key, []).append(file)
    if not all(parts):
        raise ValueError(
            f"{name} must hold something to learn from and what was held out to validate with "
            f"({', '.join(list(held_out)[:3])}), got only one of them; put the files back, or "
            "begin anew with --force."
        )
    return parts


def kinds_of_groups(index: Index) -> str:
    """Say what public sets keep together in an index.

    Args:
        index: From `list_audio`.

    Returns:
        "speaker", "recording", "place", several of them joined by "and", or "" if no file
        belongs to a public set.

    Notebook: 05
    """
    return " and ".join(sorted({key.kind for key in index if isinstance(key, Group)}))


def all_files(index: Index) -> list[AudioFile]:
    """Put the files of all subfolders into one list.

    Args:
        index: From `list_audio` or `split_by_name`.

    Returns:
        The files.

    Notebook: 05
    """
    return [file for files in index.values() for file in files]


def fingerprint(items: Iterable[object]) -> str:
    """Shorten a list to sixteen letters: the same letters mean the same list.

    Args:
        items: Names, lengths, checksums: whatever tells two sets of data apart.

    Returns:
        The beginning of a SHA-256 checksum.

    Notebook: 05
    """
    return hashlib.sha256("\n".join(map(repr, items)).encode()).hexdigest()[:16]


def _units(index: Index) -> list[str]:
    """Name what goes into one part or the other as a whole."""
    groups = [_label(key) for key in index if isinstance(key, Group)]
    folders = [key for key in index if not isinstance(key, Group)]
    if len(folders) >= MIN_FOLDERS:
        return groups + folders
    files = [_label(key, file) for key in folders for file in index[key]]
    return groups + list(dict.fromkeys(files))


def _label(key: Group | str, file: AudioFile | None = None) -> str:
    """Name a group or a subfolder, or a file in it; names outlive a move of the whole folder."""
    folder = " ".join(key) if isinstance(key, Group) else key
    if file is None or Path(file.path).name == folder:
        return folder
    return f"{folder}/{Path(file.path).name}"


def _choose(items: list[str], share: float, seed: int) -> list[str]:
    """Draw a share of a list: at least one item, and at least one stays."""
    count = min(len(items) - 1, max(1, round(share * len(items))))
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return [items[k] for k in order[:count].tolist()]
