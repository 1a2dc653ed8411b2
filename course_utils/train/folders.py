"""Folders of sound that may be larger than memory: only an index is kept, of paths and lengths.

A hundred hours of sound fill 23 GB of memory; the index of their files takes a few megabytes.
A piece of a file is read when it is drawn.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import torch

from course_utils.audio import audio_info
from course_utils.datasets import AudioFile
from course_utils.files import AUDIO_SUFFIXES

# From so many subfolders on, whole subfolders are held out for validation instead of files.
MIN_FOLDERS = 5

Index = dict[str, list[AudioFile]]


def list_audio(folder: str | os.PathLike, *, name: str = "folder") -> Index:
    """List every sound file below a folder, with its length from its header.

    Args:
        folder: A folder of WAV, FLAC, Ogg or MP3 files, in subfolders or not.
        name: The parameter's name, used in the messages.

    Returns:
        The files of each subfolder of ``folder``, however deep below it they lie, sorted by path;
        a file that lies in ``folder`` itself stands alone under its own name. Where each voice
        has its subfolder, this groups by voice.

    Raises:
        ValueError: If there is no such folder, no file in it, or a file that cannot be read.

    Notebook: 05
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"{name} must be a folder, got {str(root)!r}; check the path.")
    index: Index = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in AUDIO_SUFFIXES:
            group = path.relative_to(root).parts[0]
            index.setdefault(group, []).append(AudioFile(str(path), audio_info(path).duration))
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

    With five or more subfolders, whole ones are held out, so that a voice is in one part only;
    with fewer, single files.

    Args:
        index: From `list_audio`.
        share: How much to hold out, between 0 and 1; at least one subfolder or file.
        seed: The same seed chooses the same ones.
        name: The parameter's name, used in the message.

    Returns:
        The part for training and the part for validation.

    Raises:
        ValueError: If there are fewer than two files.

    Notebook: 05
    """
    if len(index) >= MIN_FOLDERS:
        held = set(_choose(list(index), share, seed))
        return (
            {group: files for group, files in index.items() if group not in held},
            {group: files for group, files in index.items() if group in held},
        )
    files = all_files(index)
    if len(files) < 2:
        raise ValueError(
            f"{name} must hold at least two files, one to learn from and one to validate with, "
            f"got {len(files)}; add some, or give a folder for validation."
        )
    held = set(_choose(files, share, seed))
    parts: tuple[Index, Index] = ({}, {})
    for group, members in index.items():
        for file in members:
            parts[file in held].setdefault(group, []).append(file)
    return parts


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


def _choose(items: list, share: float, seed: int) -> list:
    """Draw a share of a list, at least one item."""
    count = max(1, round(share * len(items)))
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return [items[k] for k in order[:count].tolist()]
