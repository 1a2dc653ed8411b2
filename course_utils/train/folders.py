"""Folders of sound that may be larger than memory: only an index is kept, of paths and lengths.

A hundred hours of sound fill 23 GB of memory; the index of their files takes a few megabytes.
A piece of a file is read when it is drawn.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import torch

from course_utils.audio import audio_info
from course_utils.datasets import AudioFile
from course_utils.files import AUDIO_SUFFIXES
from course_utils.public_sets import Group, group_of, is_other_microphone
from course_utils.validate import existing_folder

# From so many subfolders on, whole subfolders are held out for validation instead of files.
MIN_FOLDERS = 5

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
        archive.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there is no file in it, or a file that cannot be read.

    Notebook: 05
    """
    root = existing_folder(folder, name)
    index: Index = {}
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() not in AUDIO_SUFFIXES or hidden or not path.is_file():
            continue
        if is_other_microphone(path):
            continue
        key = group_of(path) or path.relative_to(root).parts[0]
        index.setdefault(key, []).append(AudioFile(str(path), audio_info(path).duration))
    if not index:
        raise ValueError(
            f"{name} must hold audio files ({', '.join(AUDIO_SUFFIXES)}), got none below "
            f"{str(root)!r}; check the path."
        )
    return index


def hold_out(
    index: Index, *, share: float = 0.1, seed: int = 0, name: str = "folder"
) -> tuple[Index, Index]:
    """Split an index in two: one to learn from, and one to be validated with.

    What a public set keeps together is held out together: all files of a speaker, all clips of a
    recording, all of a place. Elsewhere, with five or more subfolders, whole ones are held out,
    so that a voice is in one part only; with fewer, single files.

    Args:
        index: From `list_audio`.
        share: How much to hold out, between 0 and 1; at least one group, subfolder or file.
        seed: The same seed chooses the same ones.
        name: The parameter's name, used in the message.

    Returns:
        The part for training and the part for validation.

    Raises:
        ValueError: If there is only one of what must stay together, so that nothing is left for
            one of the parts.

    Notebook: 05
    """
    units = _units(index)
    if len(units) < 2:
        what = kinds_of_groups(index) or "file"
        raise ValueError(
            f"{name} must hold at least two {what}s, one to learn from and one to validate with, "
            f"got {len(units)}; add some, or give a folder for validation."
        )
    held = {file for unit in _choose(units, share, seed) for file in unit}
    parts: tuple[Index, Index] = ({}, {})
    for key, files in index.items():
        for file in files:
            parts[file in held].setdefault(key, []).append(file)
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
        index: From `list_audio` or `hold_out`.

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


def _units(index: Index) -> list[list[AudioFile]]:
    """List what goes into one part or the other as a whole."""
    groups = [files for key, files in index.items() if isinstance(key, Group)]
    folders = [files for key, files in index.items() if not isinstance(key, Group)]
    if len(folders) < MIN_FOLDERS:
        folders = [[file] for files in folders for file in files]
    return groups + folders


def _choose(items: list, share: float, seed: int) -> list:
    """Draw a share of a list: at least one item, and at least one stays."""
    count = min(len(items) - 1, max(1, round(share * len(items))))
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return [items[k] for k in order[:count].tolist()]
