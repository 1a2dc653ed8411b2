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

import argparse
import csv
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from torch import Tensor

from course_utils.audio import SAMPLE_RATE, load_audio
from course_utils.catalogue import CATALOGUE, table
from course_utils.fetching import fetch, free_space

DATA_DIR = Path(__file__).resolve().parents[1] / "data"
PUBLIC_DIR = DATA_DIR / "public"  # not in Git
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
        if not self.path.is_file():
            raise FileNotFoundError(f"the clip {self.path} is missing: {REBUILD}.")
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
    if not manifest.is_file():
        raise FileNotFoundError(f"data_dir {folder} holds no manifest.csv: {REBUILD}.")
    columns = [column.name for column in fields(Clip) if column.name != "data_dir"]
    with open(manifest, newline="", encoding="utf-8") as handle:
        reader = csv.DictReader(handle)
        absent = sorted(set(columns) - set(reader.fieldnames or []))
        if absent:
            raise ValueError(f"{manifest} lacks the columns {', '.join(absent)}: {REBUILD}.")
        rows = list(reader)
    try:
        durations = [float(row["duration"]) for row in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{manifest} has a row without a valid duration: {REBUILD}.") from error
    return [
        Clip(**{**{name: row[name] for name in columns}, "duration": seconds}, data_dir=folder)
        for row, seconds in zip(rows, durations, strict=True)
    ]


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
                f"no clip matches {asked}: choose {name} from {', '.join(values) or 'nothing'}."
            )
        clips = left
    if not clips:
        raise ValueError(f"data_dir {data_dir} lists no clips: {REBUILD}.")
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
        if not clip.path.is_file():
            raise FileNotFoundError(f"the clip {clip.path} is missing: {REBUILD}.")
        if hashlib.sha256(clip.path.read_bytes()).hexdigest() != clip.sha256:
            raise ValueError(f"the clip {clip.path} has changed (wrong checksum): {REBUILD}.")
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
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}: the ready pairs come as 'train' and 'test'.")
    pairs = Path(data_dir).resolve() / "pairs"
    folders = (pairs / f"noisy_{split}set", pairs / f"clean_{split}set")
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"the folder {folder} is missing: {REBUILD}.")
    return folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: list the public sets, or fetch one.

    Args:
        arguments: What stands behind the command; None takes it from the shell.

    Returns:
        0 after a list or when the set is there, 1 if nothing was fetched for want of ``--yes`` or
        the command was interrupted, 2 after an error, which is printed in one sentence.

    Notebook: 01
    """
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.corpus",
        description="Fetch a public set: its size and licence first, and with --yes the set.",
    )
    parser.add_argument("set", nargs="?", help="name of the set; without one, all are listed")
    parser.add_argument("--list", action="store_true", help="list the sets and the free room")
    parser.add_argument(
        "--folder", type=Path, default=PUBLIC_DIR, help="where to put it (default data/public)"
    )
    parser.add_argument(
        "--archive", type=Path, action="append", default=[],
        help="an archive that you have already, instead of a download; may be repeated",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="fetch it")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    """Say size, licence and source; fetch only what was agreed to."""
    print(f"{free_space(options.folder) / 1e9:.1f} GB free in {options.folder}\n")
    if options.list or options.set is None:
        print(table())
        return 0
    if options.set not in CATALOGUE:
        raise ValueError(f"set must be one of {', '.join(CATALOGUE)}, got {options.set!r}.")
    chosen = CATALOGUE[options.set]
    print(f"{chosen.name}: {chosen.holds}\nlicence: {chosen.licence}\nsource: {chosen.page}")
    print(f"size: {chosen.size / 1e9:.1f} GB to fetch, {chosen.unpacked / 1e9:.1f} GB unpacked\n")
    if not options.yes and not (options.folder / chosen.name).is_dir():
        print("Nothing was fetched. To fetch it, repeat the command with --yes.")
        return 1
    show = _show_progress if sys.stderr.isatty() else None
    folder = fetch(chosen, options.folder, archives=options.archive, progress=show)
    print(f"{chosen.name} is in {folder}: {chosen.count(folder)} recordings or pairs")
    print(f"the other commands take it as {chosen.options(folder)}")
    return 0


def _show_progress(done: int, total: int) -> None:
    """Count on one line of the terminal."""
    end = "\n" if done >= total else ""
    print(f"\r{done / 1e6:,.0f} of {total / 1e6:,.0f} MB", end=end, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
