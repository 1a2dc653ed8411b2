"""Find your way in the public sets of speech and noise, once they lie on your disk.

Each set's function reads its layout and returns its recordings with two labels: what is heard,
and the group that must stay together when you split (a voice, a recording, a place). `group_of`
tells the same of a single file, wherever it lies: what a split of any folder has to ask.
"""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from course_utils.validate import existing_folder, validate_choice

DEMAND_PLACES = frozenset(
    "DKITCHEN DLIVING DWASHING NFIELD NPARK NRIVER OHALLWAY OMEETING OOFFICE PCAFETER PRESTO "
    "PSTATION SCAFE SPSQUARE STRAFFIC TBUS TCAR TMETRO".split()
)
"""The folders of DEMAND. An audiobook, too, has files named ch01 and ch02, but not in these."""


@dataclass(frozen=True)
class Recording:
    """One file of a public set.

    Args:
        path: The file.
        label: What is heard: a voice, a kind of noise, a place.
        group: Recordings of one group belong in one split.
    """

    path: Path
    label: str
    group: str


class Group(NamedTuple):
    """What must stay together: a "speaker", "recording" or "place", and its name."""

    kind: str
    name: str


def group_of(path: str | os.PathLike) -> Group | None:
    """Tell which other files of a public set a file must stay together with in a split.

    The names that a set gives its files and folders tell the group, so a part of a set is known
    as well as its top, and a copy in another format as well as the original:

    - ESC-50: ``fold-recording-take-kind``, such as ``1-100032-A-0``
    - MUSAN: ``part-source-number``, such as ``noise-free-sound-0001``
    - LibriSpeech: ``speaker/chapter/speaker-chapter-number``
    - VoiceBank+DEMAND: ``speaker_number``, such as ``p226_001``
    - DEMAND: ``PLACE/ch01`` to ``PLACE/ch16``

    Args:
        path: The file.

    Returns:
        The group; None if the file belongs to no set that is known here.

    Source:
        The README of ESC-50 for its names.

    Notebook: 05
    """
    # Resolved, because "." and links hide names; a link's own name counts first.
    named = Path(path).parent.resolve() / Path(path).name
    return _group(named) or _group(named.resolve())


def is_other_microphone(path: str | os.PathLike) -> bool:
    """Tell whether a file holds a moment of DEMAND that another microphone's file holds already.

    Args:
        path: The file.

    Returns:
        False for the first microphone of a place, and for every file of another set.

    Notebook: 05
    """
    file = Path(path)
    if not _is_microphone(file):
        return False
    microphones = (other.name for other in file.parent.iterdir() if _is_microphone(other))
    return file.name != min(microphones)


def voicebank_demand(folder: str | os.PathLike, *, split: str) -> tuple[Path, Path]:
    """Find the two folders of VoiceBank+DEMAND, ready for ``NoisyCleanDataset``.

    Args:
        folder: The folder that holds ``noisy_trainset_28spk_wav``, ``clean_trainset_28spk_wav``,
            ``noisy_testset_wav`` and ``clean_testset_wav``, or folders named like them.
        split: "train" or "test".

    Returns:
        The folder of the noisy files and the folder of the clean ones. Where the sets of 28 and
        of 56 speakers both lie there, the smaller one.

    Raises:
        FileNotFoundError: If ``folder`` is missing.
        ValueError: If ``split`` is unknown or a folder of the set is missing.

    Source:
        Valentini-Botinhao et al., "Investigating RNN-based speech enhancement methods for
        noise-robust Text-to-Speech", SSW 2016.

    Notebook: 05
    """
    validate_choice(split, "split", ("train", "test"))
    root = existing_folder(folder)
    noisy = [path for path in sorted(root.glob(f"noisy_{split}set*")) if path.is_dir()]
    for path in noisy:
        clean = path.with_name(path.name.replace("noisy", "clean", 1))
        if clean.is_dir():
            return path, clean
    raise ValueError(
        f"folder must hold noisy_{split}set... and clean_{split}set... of one name, got "
        f"{str(root)!r}; unpack both archives there."
    )


def librispeech(folder: str | os.PathLike) -> list[Recording]:
    """List LibriSpeech: read English, ``speaker/chapter/*.flac``; label and group: the speaker.

    Args:
        folder: ``LibriSpeech`` with its parts, or one part such as ``train-clean-100``.

    Returns:
        The recordings, sorted by path.

    Raises:
        ValueError: If there is none.

    Source:
        Panayotov et al., "Librispeech: an ASR corpus based on public domain audio books",
        ICASSP 2015.

    Notebook: 05
    """
    files = _files(folder, "**/*-*-*.flac", "speaker/chapter/speaker-chapter-number.flac")
    return [Recording(path, *[path.name.split("-")[0]] * 2) for path in files]


def musan(folder: str | os.PathLike, *, part: str = "noise") -> list[Recording]:
    """List MUSAN: ``part/source/*.wav``; label: the part; group: the recording itself.

    Args:
        folder: The folder ``musan``, or the one that holds it.
        part: "noise", "music" or "speech".

    Returns:
        The recordings, sorted by path.

    Raises:
        ValueError: If ``part`` is unknown or there is no recording.

    Source:
        Snyder, Chen and Povey, "MUSAN: A Music, Speech, and Noise Corpus", arXiv:1510.08484.

    Notebook: 05
    """
    validate_choice(part, "part", ("noise", "music", "speech"))
    files = _files(folder, f"**/{part}/*/*.wav", f"{part}/source/name.wav")
    return [Recording(path, part, path.stem) for path in files]


def esc50(folder: str | os.PathLike) -> list[Recording]:
    """List ESC-50: 2000 clips of 5 s; label: the category; group: the recording it was cut from.

    Args:
        folder: The unpacked repository, with ``meta/esc50.csv`` and ``audio/``, or the folder
            that holds it.

    Returns:
        The recordings, in the order of the table.

    Raises:
        ValueError: If the table or a clip is missing.

    Source:
        Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.

    Notebook: 05
    """
    table = _files(folder, "**/meta/esc50.csv", "meta/esc50.csv")[0]
    root = table.parents[1]
    with open(table, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    found = [
        Recording(root / "audio" / row["filename"], row["category"], row["src_file"])
        for row in rows
    ]
    for recording in found:
        if not recording.path.is_file():
            raise ValueError(
                f"folder must hold every clip of meta/esc50.csv, got {str(root)!r} without "
                f"audio/{recording.path.name}; unpack ESC-50 again."
            )
    return found


def demand(folder: str | os.PathLike, *, channel: int = 1) -> list[Recording]:
    """List DEMAND: ``PLACE/ch01.wav`` to ``ch16.wav``; label and group: the place.

    The sixteen files of a place are one moment heard by sixteen microphones, so only one of
    them is taken.

    Args:
        folder: The folder into which the archives of the places were unpacked.
        channel: Which microphone, 1 to 16.

    Returns:
        One recording for each place, sorted.

    Raises:
        ValueError: If ``channel`` is out of range or there is no recording.

    Source:
        Thiemann, Ito and Vincent, "The Diverse Environments Multi-channel Acoustic Noise
        Database", ICA 2013.

    Notebook: 05
    """
    validate_choice(channel, "channel", range(1, 17))
    files = _files(folder, f"**/ch{channel:02d}.wav", f"PLACE/ch{channel:02d}.wav")
    return [Recording(path, path.parent.name, path.parent.name) for path in files]


def _group(file: Path) -> Group | None:
    """Find the group of a file by its own name and those of the folders above it."""
    if clip := re.fullmatch(r"[1-5]-(\d+)-[A-Z]-\d{1,2}", file.stem):
        return Group("recording", clip[1])
    if re.fullmatch(r"(noise|music|speech)-[a-z-]+-\d{4}", file.stem):
        return Group("recording", file.stem)
    if sentence := re.fullmatch(r"(p\d{3})_\d{3}", file.stem):
        return Group("speaker", sentence[1])
    above = (file.parent.parent.name, file.parent.name)
    sentence = re.fullmatch(r"(\d+)-(\d+)-\d+", file.stem)
    if sentence and sentence.groups() == above:
        return Group("speaker", sentence[1])
    if _is_microphone(file):
        return Group("place", file.parent.name)
    return None


def _is_microphone(file: Path) -> bool:
    """Tell whether a file is what one microphone heard at a place of DEMAND."""
    if not re.fullmatch(r"ch\d\d", file.stem):
        return False
    return file.parent.resolve().name in DEMAND_PLACES


def _files(folder: str | os.PathLike, pattern: str, layout: str) -> list[Path]:
    found = existing_folder(folder).glob(pattern)
    # macOS leaves a file ._name beside each name in an archive.
    files = sorted(path for path in found if path.is_file() and not path.name.startswith("."))
    if not files:
        raise ValueError(f"folder must hold {layout}, got {str(folder)!r}; point to the set's top.")
    return files
