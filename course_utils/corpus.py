"""The clips in data/: who speaks, what makes the noise, which split they belong to.

`data/manifest.csv` has one row for each clip. `select` picks rows, `Clip.load` reads the sound:

    voices = select(role="speech", split="train")
    waveform = voices[0].load()  # (1, time), 16 kHz

The same functions read the full set, once it is built: `select(..., data_dir="data/full")`.
When data/ is not enough, the command fetches a large public set::

    python -m course_utils.corpus --list
    python -m course_utils.corpus voicebank-demand-test --yes
"""

from __future__ import annotations

import csv
import hashlib
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path

from torch import Tensor

from course_utils.audio import SAMPLE_RATE, load_audio
from course_utils.validate import validate_choice

DATA_DIR = Path(__file__).resolve().parents[1] / "data"
ROLES = ("speech", "noise", "room")
SPLITS = ("train", "validation", "test")
REBUILD = "run `git checkout data`, or build the clips again with `python data/build_data.py`"


@dataclass(frozen=True)
class Clip:
    """One sound of the corpus and where it comes from.

    `kind` is the voice's name for speech, the kind of noise for noise, the room's name for rooms;
    `duration` is in seconds; `sha256` is the checksum of the file.
    """

    file: str
    role: str
    kind: str
    language: str
    split: str
    duration: float
    title: str
    author: str
    licence: str
    source: str
    sha256: str = field(repr=False)
    data_dir: Path = field(default=DATA_DIR, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.data_dir / self.file

    def load(self) -> Tensor:
        """Read the clip.

        Returns:
            The waveform, float32 in [-1, 1], shape (1, time), at 16 kHz.

        Raises:
            FileNotFoundError: The file is not there.

        Notebook: 01
        """
        _existing(self.path)
        return load_audio(self.path, sample_rate=SAMPLE_RATE)[0]


def load_manifest(data_dir: str | Path = DATA_DIR) -> list[Clip]:
    """Read the list of all clips.

    Args:
        data_dir: The folder that holds `manifest.csv`.

    Returns:
        One Clip for each row, in the order of the file.

    Raises:
        FileNotFoundError: There is no manifest in `data_dir`.
        ValueError: The manifest lacks a column or holds a duration that is no number.

    Notebook: 01
    """
    folder = Path(data_dir).resolve()
    manifest = folder / "manifest.csv"
    _existing(manifest)
    columns = [column.name for column in fields(Clip) if column.name != "data_dir"]
    with open(manifest, newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        absent = sorted(set(columns) - set(reader.fieldnames or []))
        if absent:
            raise ValueError(
                f"{manifest} must have all columns, got none named {', '.join(absent)}; {REBUILD}."
            )
        rows = list(reader)
    clips = []
    for row in rows:
        text = {name: row[name] for name in columns if name != "duration"}
        try:
            clips.append(Clip(**text, duration=float(row["duration"]), data_dir=folder))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{manifest} must have a number under duration, got {row['duration']!r}; {REBUILD}."
            ) from error
    return clips


def select(
    *,
    role: str | None = None,
    split: str | None = None,
    kind: str | None = None,
    language: str | None = None,
    data_dir: str | Path = DATA_DIR,
) -> list[Clip]:
    """Pick the clips that match every condition given.

    Args:
        role: "speech", "noise" or "room".
        split: "train", "validation" or "test".
        kind: A voice, a kind of noise, or a room, as in the manifest.
        language: A code of two letters, for speech: "en", "es", "fr", "it", "ru", "cs", "nl".
        data_dir: The folder that holds `manifest.csv`.

    Returns:
        The matching clips, in the order of the manifest; never an empty list.

    Raises:
        ValueError: No clip matches; the message lists what there is.

    Notebook: 01
    """
    wanted = {"role": role, "split": split, "kind": kind, "language": language}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    clips = load_manifest(data_dir)
    for name, value in wanted.items():
        left = [clip for clip in clips if getattr(clip, name) == value]
        if not left:
            values = sorted({getattr(clip, name) for clip in clips} - {""})
            asked = ", ".join(f"{key}={text!r}" for key, text in wanted.items())
            raise ValueError(
                f"{name} must fit at least one clip, got {asked}; choose {name} from "
                f"{', '.join(values) or 'nothing'}."
            )
        clips = left
    if not clips:
        raise ValueError(f"data_dir must list clips, got none in {str(data_dir)!r}; {REBUILD}.")
    return clips


def check_files(data_dir: str | Path = DATA_DIR) -> int:
    """Compare every file with its checksum in the manifest.

    Args:
        data_dir: The folder that holds `manifest.csv`.

    Returns:
        How many files were checked.

    Raises:
        FileNotFoundError: A clip is missing.
        ValueError: A clip is not what the manifest says.

    Notebook: 01
    """
    clips = load_manifest(data_dir)
    for clip in clips:
        _existing(clip.path)
        if hashlib.sha256(clip.path.read_bytes()).hexdigest() != clip.sha256:
            raise ValueError(
                f"{clip.path} must have the checksum in the manifest, got another; {REBUILD}."
            )
    return len(clips)


def pair_folders(split: str, *, data_dir: str | Path = DATA_DIR) -> tuple[Path, Path]:
    """Find the ready pairs, laid out like VoiceBank+DEMAND: same name in two folders.

    Args:
        split: "train" or "test".
        data_dir: The folder that holds `pairs/`.

    Returns:
        The folder of the noisy files and the folder of the clean ones.

    Raises:
        ValueError: `split` is neither "train" nor "test".
        FileNotFoundError: A folder is missing.

    Notebook: 01
    """
    validate_choice(split, "split", ("train", "test"))
    pairs = Path(data_dir).resolve() / "pairs"
    folders = (pairs / f"noisy_{split}set", pairs / f"clean_{split}set")
    for folder in folders:
        _existing(folder)
    return folders


def _existing(path: Path) -> None:
    """Refuse a part of the data that is not there, and say how to get it back."""
    if not path.exists():
        raise FileNotFoundError(f"data_dir must hold {path.name}, got no {str(path)!r}; {REBUILD}.")


if __name__ == "__main__":
    from course_utils.public_sets.__main__ import main  # the command, beside what it fetches

    sys.exit(main())
