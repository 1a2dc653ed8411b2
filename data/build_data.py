"""Build the course's sounds from free Debian packages.

    python data/build_data.py                      # the small set that the repository ships
    python data/build_data.py --full               # eight hours, into data/full/ (not in git)
    python data/build_data.py --packages DIR       # DIR/<package>/usr/share/... already unpacked

Needs Debian or Ubuntu (apt-get, dpkg) unless --packages is given, FFmpeg for the G.722 files, and
the course's Python packages plus pyroomacoustics. The same packages always give the same files:
everything is sorted, nothing is drawn at random, and a clip's split depends on its name alone, so
that the full set can never train on what the small set tests with.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import catalogue
import more_sounds
import numpy as np
import rooms
import soundfile
import torch
import torchaudio.functional as AF
from catalogue import PACKAGES, VOICES
from more_catalogue import MORE_PACKAGES, NOT_EVERYWHERE
from shaping import (
    FRAME,
    PEAK,
    SAMPLE_RATE,
    cut_at_pauses,
    dynamic_range,
    finish,
    frame_db,
    same_takes,
    trim,
)

SPEECH_SECONDS = (2.0, 8.0)
SHORTEST_FULL_SPEECH = 1.0
SHORTEST_NOISE, LONGEST_NOISE = 1.5, 12.0
MINUTES = {"train": 4.5, "validation": 0.5, "test": 2.5}  # per voice, in the small set
NOISES_PER_FAMILY = 2  # in the small set
COLUMNS = "file role kind language split duration title author licence source sha256".split()
CREDITS = ("<!-- credits: written by build_data.py -->", "<!-- end of credits -->")


@dataclass
class Piece:
    """One finished clip and everything the manifest says about it."""

    role: str
    kind: str
    language: str
    title: str
    author: str
    licence: str
    source: str
    name: str
    samples: np.ndarray = field(repr=False)  # int16, 16 kHz, mono
    family: str = ""
    split: str = ""
    whole: bool = True  # False: a part of a longer recording
    range_db: float = 0.0  # speech level above the quietest frames

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    @property
    def file(self) -> str:
        folder = {"speech": "speech", "noise": "noise", "room": "rooms"}[self.role]
        return f"{folder}/{self.name}.flac"


# --- reading -----------------------------------------------------------------------------------


def fetch_packages(cache: Path, names: list[str]) -> Path:
    """Download the Debian packages (no root needed) and unpack them below `cache`."""
    cache.mkdir(parents=True, exist_ok=True)
    for package in names:
        target = cache / package
        if target.is_dir():
            continue
        try:
            subprocess.run(["apt-get", "download", package], cwd=cache, check=True)
            deb = max(cache.glob(f"{package}_*.deb"))
            subprocess.run(["dpkg", "-x", deb.name, package + ".part"], cwd=cache, check=True)
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            if package in NOT_EVERYWHERE:
                print(f"{package} is not in this edition of Debian or Ubuntu: left out.")
                continue
            sys.exit(
                f"Could not fetch the package {package} ({error}): run this on Debian or "
                f"Ubuntu after `apt-get update`, or give --packages with unpacked packages."
            )
        (cache / (package + ".part")).rename(target)
    return cache


def read_audio(source: Path | bytes) -> np.ndarray:
    """Decode a file to mono float32 at 16 kHz, without any offset."""
    if isinstance(source, Path) and source.suffix == ".g722":
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "g722",
            "-i",
            str(source),
            "-f",
            "s16le",
            "-ac",
            "1",
            "-ar",
            "16000",
            "-",
        ]
        raw = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        samples, rate = np.frombuffer(raw.stdout, "<i2").astype(np.float32) / 32768, 16_000
    else:
        handle = io.BytesIO(source) if isinstance(source, bytes) else source
        samples, rate = soundfile.read(handle, dtype="float32", always_2d=True)
        samples = samples.mean(axis=1)
    samples = samples - samples.mean()
    if rate != SAMPLE_RATE:
        wave = torch.from_numpy(np.ascontiguousarray(samples))
        samples = AF.resample(
            wave,
            rate,
            SAMPLE_RATE,
            lowpass_filter_width=64,
            rolloff=0.97,
            resampling_method="sinc_interp_kaiser",
        ).numpy()
    return samples


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


# --- speech ------------------------------------------------------------------------------------


def speech_files(packages: Path) -> Iterator[tuple[str, str, str, str, Path]]:
    """Yield (voice, language, family, name, path) for every prompt and line of dialogue."""
    for voice in VOICES:
        root = packages / voice.package / voice.folder
        for path in sorted(root.rglob(voice.pattern)):
            name = path.relative_to(root).with_suffix("").as_posix()
            if voice.matches(name) and path.stat().st_size > 4000:
                prefix = f"{voice.name}_{voice.language}" if voice.name == "allison" else voice.name
                # Both languages of a package use the same names: a sentence and its translation
                # share a family, and a family lies in one split.
                family = voice.family(name)
                yield voice, family, f"{prefix}_{slug(voice.short(name))}", name, path


def speech_pieces(packages: Path) -> list[Piece]:
    """Every usable sentence of the eight voices."""
    files = list(speech_files(packages))
    pieces = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = pool.map(lambda item: read_audio(item[-1]), files)
        for (voice, family, name, title, _), samples in zip(files, decoded, strict=True):
            if np.abs(samples).max(initial=0) < 1e-3:
                continue
            samples = trim(samples, 40, FRAME * 5)
            parts = cut_at_pauses(samples, SPEECH_SECONDS[1]) if len(samples) else []
            for index, part in enumerate(parts, start=1):
                if len(parts) > 1:
                    part = trim(part, 40, FRAME * 5)
                if not SHORTEST_FULL_SPEECH <= len(part) / SAMPLE_RATE <= SPEECH_SECONDS[1]:
                    continue
                whole = len(parts) == 1
                pieces.append(
                    Piece(
                        "speech",
                        voice.name,
                        voice.language,
                        title if whole else f"{title}, part {index}",
                        voice.author,
                        voice.licence,
                        voice.package,
                        name if whole else f"{name}_{index}",
                        finish(part),
                        family,
                        whole=whole,
                        range_db=dynamic_range(part),
                    )
                )
    return pieces


def split_speech(pieces: list[Piece]) -> None:
    """Test: two voices of their own. Validation: one sentence in ten, by the hash of its name.

    A sentence that shares a take with a sentence of train goes to train as well.
    """
    held_out = set()
    for piece in pieces:
        number = int(hashlib.sha256(piece.family.encode()).hexdigest()[:8], 16)
        if piece.kind not in catalogue.TEST_VOICES and number % 10 == 0:
            held_out.add(piece.family)
    learned = {p.family for p in pieces if p.kind not in catalogue.TEST_VOICES} - held_out
    while learned:  # families new in train, to be compared with those still held out
        shared = set()
        for voice in sorted({p.kind for p in pieces} - set(catalogue.TEST_VOICES)):
            own = [p for p in pieces if p.kind == voice]
            held = [p for p in own if p.family in held_out]
            others = [p for p in own if p.family in learned]
            shared |= {a.family for a, _, _ in same_takes(held, others, 4000, 1 << 16)}
        print(f"  {len(shared)} held-out sentences share a take with train and join it")
        held_out, learned = held_out - shared, shared
    for piece in pieces:
        inside = "validation" if piece.family in held_out else "train"
        piece.split = "test" if piece.kind in catalogue.TEST_VOICES else inside


def choose_speech(pieces: list[Piece]) -> list[Piece]:
    """The small set: for each voice and language the longest sentences above a quiet background."""
    chosen = []
    languages = {(piece.kind, piece.language) for piece in pieces}
    for voice, language in sorted(languages):
        share = sum(name == voice for name, _ in languages)
        for split, minutes in MINUTES.items():
            pool = [
                p
                for p in pieces
                if (p.kind, p.language, p.split) == (voice, language, split)
                and p.whole
                and p.seconds >= SPEECH_SECONDS[0]
            ]
            # Recordings with room noise in their pauses are poor targets: keep the quieter half.
            pool = [p for p in pool if p.range_db >= np.median([q.range_db for q in pool])]
            seconds = 0.0
            for piece in sorted(pool, key=lambda p: (-p.seconds, p.name)):
                if seconds >= minutes * 60 / share:
                    break
                chosen.append(piece)
                seconds += piece.seconds
    return chosen


# --- noise -------------------------------------------------------------------------------------


def opensfx_entries(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (description, WAV bytes) from OpenTTD's sound catalogue.

    The file opens with an index of (offset, size) pairs; each entry is a length byte, the
    description, and a RIFF file. The top bit of an offset is a flag.
    """
    data = path.read_bytes()
    offset = struct.unpack_from("<I", data)[0] & 0x7FFFFFFF
    for index in range(offset // 8):
        offset, size = struct.unpack_from("<II", data, 8 * index)
        offset &= 0x7FFFFFFF
        start = offset + 1 + data[offset]
        text = data[offset + 1 : start].decode("utf-8").rstrip("\0")
        yield text, data[start : start + size]


def noise_sources(packages: Path) -> Iterator[tuple[Piece, Path | bytes]]:
    """Yield every noise with its description, still without samples."""
    empty = np.zeros(0, np.int16)
    package = "openttd-opensfx"
    cat = packages / package / "usr/share/games/openttd/baseset/opensfx/opensfx.cat"
    for index, (text, data) in enumerate(opensfx_entries(cat)):
        if index in catalogue.OPENSFX:
            kind, family = catalogue.OPENSFX[index]
            title, author, licence = catalogue.parse_opensfx(text)
            name = f"{kind}_{slug(title.split(' (original')[0])}"
            yield (
                Piece("noise", kind, "", title, author, licence, package, name, empty, family),
                data,
            )
    package = "lincity-ng-data"
    for path in sorted((packages / package / "usr/share/games/lincity-ng/sounds").glob("*.wav")):
        stem = re.sub(r"\d+$", "", path.stem)
        kind = catalogue.LINCITY_CLIPS.get(path.stem) or catalogue.LINCITY.get(stem)
        if kind and path.stem not in catalogue.LINCITY_LEFT_OUT:
            yield (
                Piece(
                    "noise",
                    kind,
                    "",
                    path.stem,
                    catalogue.LINCITY_AUTHOR,
                    "CC BY-SA 2.0",
                    package,
                    f"{kind}_{slug(path.stem)}",
                    empty,
                    catalogue.lincity_family(stem),
                ),
                path,
            )
    package = "asterisk-moh-opsound-g722"
    for path in sorted((packages / package / "usr/share/asterisk/moh").glob("*.g722")):
        author = catalogue.MUSIC[path.stem]
        yield (
            Piece(
                "noise",
                "music",
                "",
                path.stem,
                author,
                "CC BY-SA 3.0",
                package,
                f"music_{slug(path.stem)}",
                empty,
                path.stem,
            ),
            path,
        )


def noise_pieces(packages: Path) -> list[Piece]:
    """Every noise of at least 1.5 s, each recording once, with its split from the catalogue."""
    pieces = []
    for piece, source in noise_sources(packages):
        samples = trim(read_audio(source), 45, FRAME)
        if len(samples) >= SHORTEST_NOISE * SAMPLE_RATE:
            piece.samples = finish(samples)
            piece.split = catalogue.NOISE_SPLIT.get(piece.family, "train")
            pieces.append(piece)
    short = [piece for piece in pieces if piece.kind != "music"]
    copies, place = set(), {piece.name: number for number, piece in enumerate(pieces)}
    for a, b, value in same_takes(short, short, 8000, 1 << 17):
        if a.split != b.split:
            sys.exit(
                f"{a.name} and {b.name} share a recording (correlation {value:.2f}) but lie "
                f"in {a.split} and {b.split}: give them one family in catalogue.py."
            )
        if value > 0.99 and place[a.name] < place[b.name]:
            copies.add(b.name)
    return [piece for piece in pieces if piece.name not in copies]


def choose_noise(pieces: list[Piece]) -> list[Piece]:
    """The small set: two clips of each family, the longer ones, and at most 12 s of each."""
    chosen = []
    families: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        families.setdefault((piece.family, piece.kind), []).append(piece)
    for family in families.values():
        for piece in sorted(family, key=lambda p: (-p.seconds, p.name))[:NOISES_PER_FAMILY]:
            most = int(LONGEST_NOISE * SAMPLE_RATE)
            start = max(0, len(piece.samples) - most) // 3
            if start:
                samples = finish(piece.samples[start : start + most] / 32768)
                piece = replace(piece, samples=samples, title=f"{piece.title}, an excerpt")
            chosen.append(piece)
    return chosen


def more_pieces(packages: Path, pieces: list[Piece]) -> list[Piece]:
    """What only the full set holds, beside `pieces`: voices, noises, and a better validation.

    In the small set validation has other sentences of the training voices. Here it has voices and
    noises that appear nowhere else, and those sentences become the split `familiar`, which nobody
    trains on either: a network that knows its teachers by heart shines there and nowhere else.
    """
    for piece in pieces:
        piece.split = "familiar" if piece.split == "validation" else piece.split
    noise = [*more_sounds.more_noise(packages, read_audio, Piece)]
    noise += more_sounds.typing(packages, read_audio, Piece)
    known = [p for p in pieces if p.role == "noise" and p.kind != "music"]
    strangers = [p for p in noise if p.split == "validation"]
    learned = [p for p in noise if p.split == "train"]
    held_out = [p for p in known if p.split != "train"]
    shared = {a.family for a, _, _ in same_takes(strangers, learned + known, 4000, 1 << 16)}
    shared |= {a.family for a, _, _ in same_takes(learned, held_out, 4000, 1 << 16)}
    print(f"  {len(shared)} further noises share a recording with another split: left out")
    speech = [*more_sounds.more_speech(packages, read_audio, Piece)]
    return speech + [piece for piece in noise if piece.family not in shared]


def room_pieces(chosen: list[rooms.Room]) -> list[Piece]:
    """The simulated rooms."""
    pieces = []
    for room in chosen:
        response, description = rooms.impulse_response(room, SAMPLE_RATE)
        samples = np.round(response * 32767).astype(np.int16)
        pieces.append(
            Piece(
                "room",
                room.name,
                "",
                description,
                "Simulated by data/rooms.py",
                "CC0 1.0",
                "pyroomacoustics",
                room.name,
                samples,
                room.name,
                room.split,
            )
        )
    return pieces


# --- pairs -------------------------------------------------------------------------------------


def sentence_start(samples: np.ndarray) -> np.ndarray:
    """The first words of a sentence: cut at the quietest moment between 2.5 and 3.6 seconds."""
    if len(samples) <= 3.6 * SAMPLE_RATE:
        return samples
    first, last = int(2.5 * SAMPLE_RATE) // FRAME, int(3.6 * SAMPLE_RATE) // FRAME
    cut = (first + int(np.argmin(frame_db(samples)[first:last]))) * FRAME
    samples = samples[:cut].copy()
    samples[-80:] *= np.linspace(1, 0, 80)
    return samples


def make_pairs(pieces: list[Piece], target: Path) -> None:
    """Write a few noisy/clean pairs in the folder layout of VoiceBank+DEMAND, and pairs.csv."""
    rows = []
    speech = {p.name: p for p in pieces if p.role == "speech"}
    noises = {p.name: p for p in pieces if p.role == "noise"}
    for split, voice, rank, noise_name, snr_db in catalogue.PAIRS:
        ranked = sorted(n for n, p in speech.items() if (p.kind, p.split) == (voice, split))
        sentence, noise = speech[ranked[rank]], noises[noise_name]
        if noise.split != split:
            sys.exit(f"The pair of {voice} and {noise_name} mixes splits: correct catalogue.PAIRS.")
        clean = sentence_start(sentence.samples / 32768)
        noise_samples = noise.samples[: len(clean)] / 32768
        clean = clean[: len(noise_samples)]
        gain = np.sqrt((clean**2).sum() / (noise_samples**2).sum() / 10 ** (snr_db / 10))
        noisy = clean + gain * noise_samples
        scale = min(1.0, PEAK / np.abs(noisy).max())
        name = f"{voice}_{sum(row['split'] == split for row in rows) + 1:03d}.flac"
        row = {
            "file": name,
            "split": split,
            "speech": sentence.file,
            "noise": noise.file,
            "snr_db": snr_db,
            "licence": catalogue.pair_licence(sentence, noise),
        }
        for side, wave in (("noisy", noisy), ("clean", clean)):
            path = target / "pairs" / f"{side}_{split}set" / name
            write_flac(path, np.round(wave * scale * 32767).astype(np.int16))
            row[f"sha256_{side}"] = sha256(path)
        rows.append(row)
    with open(target / "pairs" / "pairs.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


# --- writing -----------------------------------------------------------------------------------


def write_flac(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16", compression_level=1.0
    )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_set(pieces: list[Piece], target: Path) -> None:
    """Write the clips and manifest.csv; replaces only what an earlier build wrote."""
    folders = [target / folder for folder in ("speech", "noise", "rooms", "pairs")]
    if not (target / "manifest.csv").is_file() and any(map(Path.exists, folders)):
        sys.exit(f"{target} holds folders of somebody else: give --target an empty folder.")
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    order = {"speech": 0, "noise": 1, "room": 2}
    pieces = sorted(pieces, key=lambda p: (order[p.role], p.file))
    names = [piece.file for piece in pieces]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        sys.exit(f"Two clips share one name: {sorted(twice)[:3]}.")
    with open(target / "manifest.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for p in pieces:
            write_flac(target / p.file, p.samples)
            checksum = sha256(target / p.file)
            writer.writerow(
                [p.file, p.role, p.kind, p.language, p.split, f"{p.seconds:.3f}"]
                + [p.title, p.author, p.licence, p.source, checksum]
            )


def write_credits(pieces: list[Piece], readme: Path) -> None:
    """Bring the table of authors in data/README.md up to date."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for p in sorted(pieces, key=lambda p: (p.source, p.author, p.licence, p.title)):
        groups.setdefault((p.source, p.author, p.licence), []).append(p.title)
    lines = ["| package | authors | licence | clips | which |", "|---|---|---|---|---|"]
    for (source, author, licence), titles in groups.items():
        which = "; ".join(titles) if source == "openttd-opensfx" else "see manifest.csv"
        lines.append(f"| {source} | {author} | {licence} | {len(titles)} | {which} |")
    before, _, rest = readme.read_text(encoding="utf-8").partition(CREDITS[0])
    after = rest.partition(CREDITS[1])[2]
    table = "\n".join([CREDITS[0], "", *lines, "", CREDITS[1]])
    readme.write_text(before + table + after, encoding="utf-8")


def report(pieces: list[Piece], target: Path) -> None:
    """Print what was written."""
    for role in ("speech", "noise", "room"):
        for split in ("train", "validation", "familiar", "test"):
            own = [p for p in pieces if (p.role, p.split) == (role, split)]
            minutes = sum(p.seconds for p in own) / 60
            if not own:
                continue
            print(f"{role:7s} {split:11s} {len(own):5d} clips {minutes:6.1f} minutes")
    size = sum(path.stat().st_size for path in target.rglob("*.flac"))
    print(f"{size / 1e6:.1f} MB in {target}")


def main() -> None:
    """Read the command line and build."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages", type=Path, help="folder of unpacked Debian packages")
    parser.add_argument("--cache", type=Path, default=here / "cache", help="where to fetch to")
    parser.add_argument("--full", action="store_true", help="build the complete set")
    parser.add_argument("--target", type=Path, help="where to write (data/, or data/full/)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if shutil.which("ffmpeg") is None:
        sys.exit("FFmpeg is missing: install it with `sudo apt-get install ffmpeg`.")
    target = (args.target or (here / "full" if args.full else here)).resolve()
    target.mkdir(parents=True, exist_ok=True)
    names = PACKAGES + MORE_PACKAGES if args.full else PACKAGES
    packages = args.packages or fetch_packages(args.cache, names)
    names = [package for package in names if package not in NOT_EVERYWHERE]
    missing = [package for package in names if not (packages / package).is_dir()]
    if missing:
        sys.exit(f"{packages} lacks {', '.join(missing)}: unpack them with `dpkg -x` first.")

    print("Reading speech ...")
    speech = speech_pieces(packages)
    split_speech(speech)
    print("Reading noise ...")
    noise = noise_pieces(packages)
    small = choose_speech(speech) + choose_noise(noise)
    pieces = small
    if args.full:
        print("Reading what only the full set holds ...")
        pieces = speech + noise + more_pieces(packages, speech + noise)
    pieces = pieces + room_pieces(rooms.ROOMS + (rooms.more_rooms() if args.full else []))
    write_set(pieces, target)
    make_pairs(small, target)
    if target == here:
        write_credits(pieces, here / "README.md")
    report(pieces, target)


if __name__ == "__main__":
    main()
